"""The files to be scored: which ones `INPUT` names, how many rows each has, and which files are left out."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec
import polars as pl

from scale.scoring.errors import InputError
from training.data.found_files import FoundFiles, all_of, find_tables, listing
from training.data.table_files import CsvOptions, count_rows, read_schema
from training.errors import TableError


class InputFile(msgspec.Struct, frozen=True):
    """A file as it was found; a changed file has another size or time of modification (ns since the epoch)."""

    path: str
    bytes: int
    modified_ns: int
    rows: int

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was found."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.modified_ns)


class Inputs(NamedTuple):
    """The files to be scored, sorted by name; and a line with the reason for each other file that the input names."""

    files: tuple[InputFile, ...]
    left_out: tuple[str, ...]


def describe_file(path: Path, options: CsvOptions) -> InputFile:
    """Size, time and row count: Parquet's footer is read; a text file is read whole and checked by the rules of CSV.

    Raises:
        TableError: the file can't be read as what its name says.
    """
    rows = count_rows(path, options)
    status = path.stat()
    return InputFile(str(path), status.st_size, status.st_mtime_ns, rows)


def find_inputs(
    given: str,
    options: CsvOptions,
    check: Callable[[Path], object],
    scores: Collection[str],
    outputs: Collection[Path],
    *,
    skip: bool,
) -> Inputs:
    """Find and describe the files that `given` names.

    `check` raises for a file without the columns that are needed; `scores` are the names of the columns that scoring
    adds. Files in `outputs`, which are resolved paths, that have these columns were written by an earlier run with the
    same output, and are not input. With `skip`, files that can't be scored are left out instead of refused.

    Raises:
        TableError: there is nothing that can be read.
        InputError: files can't be scored. The message names all of them.
    """
    found = find_tables(given)
    tables, own = _without_outputs(found, options, scores, outputs)
    earlier = _holding_scores(tables, options, scores)
    problems = [f"{path}: a file of this kind can't be read" for path in found.unreadable]
    files = []
    for path in tables:
        try:
            if path in earlier:
                raise InputError(f"{path}: holds scores already, and other files don't; it seems to be an output")
            check(path)
            files.append(describe_file(path, options))
        except (InputError, TableError) as error:
            problems.append(str(error))
    if problems and not (skip and files):
        raise InputError(all_of(problems, "scored", "SKIP=1 scores the other files" if files else ""))
    no_data = [f"{path}: no data, by its name" for path in found.no_data]
    return Inputs(tuple(files), (*problems, *own, *no_data))


def _without_outputs(
    found: FoundFiles, options: CsvOptions, scores: Collection[str], outputs: Collection[Path]
) -> tuple[list[Path], list[str]]:
    """The tables that aren't in `outputs`, and those that an earlier run wrote there.

    Raises:
        InputError: a table in `outputs` is not of an earlier run, or no other table is left.
    """
    inside = [path for path in found.tables if {*outputs} & {path.resolve(), *path.resolve().parents}]
    others = [path for path in found.tables if path not in inside]
    for path in inside:
        if not others or not _has_scores(path, options, scores):
            raise InputError(f"{path}: would be an input, too, and OUTPUT may not be one; choose another")
    return others, [f"{path}: in OUTPUT, of an earlier run" for path in inside]


def _holding_scores(paths: Sequence[Path], options: CsvOptions, scores: Collection[str]) -> set[Path]:
    """The files with the columns of scores; none if all files have them."""
    holding = {path for path in paths if _has_scores(path, options, scores)}
    return holding if len(holding) < len(paths) else set()


def _has_scores(path: Path, options: CsvOptions, scores: Collection[str]) -> bool:
    try:
        schema: pl.Schema = read_schema(path, options)
    except TableError:
        return False
    return all(name in schema for name in scores)


def input_lines(inputs: Inputs) -> list[str]:
    """What is to be scored, and what is not, for a person."""
    return listing([(file.path, file.rows) for file in inputs.files], inputs.left_out)
