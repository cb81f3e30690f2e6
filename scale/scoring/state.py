"""What the scores in an output folder were made from: a run continues only one that was made from the same."""

from pathlib import Path

import msgspec

from scale.scoring.errors import ScoringError
from scale.scoring.inputs import InputFile
from scale.writing import writing
from training.data.table_files import CsvOptions

STATE = "_scoring.json"


class State(msgspec.Struct, frozen=True, kw_only=True):
    """All that a part's content depends on. `keep` are the input's columns beside the scores; None means all."""

    model: str
    version: str
    part_rows: int
    keep: tuple[str, ...] | None
    csv: CsvOptions
    inputs: tuple[InputFile, ...]


def settle(state: State, folder: Path, *, fresh: bool, alone: bool) -> None:
    """Prepare `folder` for the parts of `state`; `fresh` removes all parts in it, whatever their state.

    `alone`: no other shard writes to the folder, so that an unfinished part in it was left by a killed run.

    Raises:
        ScoringError: the folder holds the parts of another state, or files that no scoring run wrote.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / STATE
    if alone:
        for leftover in folder.glob(".part-*"):
            leftover.unlink()
    if fresh:
        for part in folder.glob("part-*.parquet"):
            part.unlink()
        path.unlink(missing_ok=True)
    if path.exists():
        _compare(_read(path), state, folder)
    elif any(folder.glob("*.parquet")):
        raise ScoringError(f"{folder}: holds Parquet files, but no {STATE}; choose another OUTPUT")
    else:
        with writing(path) as temporary:
            temporary.write_bytes(msgspec.json.format(msgspec.json.encode(state)) + b"\n")


def _read(path: Path) -> State:
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except msgspec.DecodeError as error:
        raise ScoringError(f"{path}: not the state of a scoring run: {error}; choose another OUTPUT") from error


def _compare(found: State, state: State, folder: Path) -> None:
    for name in State.__struct_fields__:
        before, now = getattr(found, name), getattr(state, name)
        if before != now:
            change = _changed_file(found.inputs, state.inputs) if name == "inputs" else f"{name} {before}, now {now}"
            raise ScoringError(f"{folder}: holds scores of another run ({change}); FRESH=1 replaces them")


def _changed_file(before: tuple[InputFile, ...], now: tuple[InputFile, ...]) -> str:
    changed = sorted({file.path for file in {*before} ^ {*now}})
    return f"input changed: {changed[0]}" if changed else "input in another order"
