"""`make record`: copy the results in `reports/` into experiments/results/, without paths of this machine.

A result that is not in `reports/`, or is older there, stays as it was recorded. Only a broken file is refused; results
that don't go together are reported.
"""

import argparse
import shlex
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from bundle.command_line import file_path
from bundle.files import encode_result, write_files
from bundle.machine import Machine
from bundle.result import Result
from experiments.command import add_folders
from experiments.errors import ExperimentError
from experiments.report.kinds import KINDS, RESULTS, read_result

TOGETHER = timedelta(hours=24)
PLACES = frozenset({"--data-dir", "--models", "--reports", "--storage"})
"""Options that say where files are; the figures don't depend on them."""


class Recorded(msgspec.Struct, frozen=True):
    """The fields that all results have; only results on a bundle's services have `model` and `version`."""

    created: datetime
    machine: Machine
    model: str = ""
    version: str = ""


def without_places(command: str) -> str:
    """The command without the paths of the machine that it ran on."""
    groups: list[list[str]] = [[]]
    for word in shlex.split(command):
        if word.startswith("--"):
            groups.append([])
        groups[-1].append(word)
    kept = [words for words in groups if words and words[0].partition("=")[0] not in PLACES]
    return shlex.join(word for words in kept for word in words)


def warnings(recorded: dict[str, Recorded]) -> Iterator[str]:
    """Results that don't go together, or whose origin can't be traced."""
    models: dict[str, list[str]] = {}
    machines: dict[str, list[str]] = {}
    for name, one in recorded.items():
        if one.model:
            models.setdefault(f"{one.model} {one.version}", []).append(name)
        machines.setdefault(f"{one.machine.processor}, {one.machine.cpus} CPUs", []).append(name)
        if one.machine.commit is None:
            yield f"{name}: measured outside a git checkout"
        elif one.machine.commit.endswith("-dirty"):
            yield f"{name}: measured on files that are in no commit ({one.machine.commit})"
    for what, groups in (("models", models), ("machines", machines)):
        if len(groups) > 1:
            places = (f"{', '.join(names)} of {key}" for key, names in groups.items())
            yield f"different {what}: {'; '.join(places)}"
    newest = max(recorded, key=lambda name: recorded[name].created)
    for name, one in recorded.items():
        age = recorded[newest].created - one.created
        if age > TOGETHER:
            yield f"{name}: {age.total_seconds() / 3600:.0f} hours older than {newest}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser, models=False)
    parser.add_argument("--results", type=file_path, default=RESULTS, help="where the results go")


def run(options: argparse.Namespace) -> int:
    """Exit status 0: recorded."""
    kept = {path.stem: _recorded(path) for path in sorted(options.results.glob("*.json"))}
    found: dict[str, Result] = {}
    for name, kind in KINDS.items():
        if (options.reports / kind.file).exists():
            found[name] = read_result(options.reports / kind.file, kind)
    older = {name for name, result in found.items() if name in kept and result.created < kept[name].created}
    new = {name: result for name, result in found.items() if name not in older}
    if not (kept or new):
        raise ExperimentError(f"{options.reports}: no results there")
    write_files(options.results, {f"{name}.json": _encode(result) for name, result in new.items()})
    recorded = kept | {name: _recorded(options.results / f"{name}.json") for name in new}
    for name, one in recorded.items():
        what = "recorded" if name in new else "kept, that in reports/ is older" if name in older else "kept"
        print(f"{name:16} {one.created:%Y-%m-%d %H:%M}  {what}")
    print(*(f"warning: {warning}" for warning in warnings(recorded)), sep="\n", file=sys.stderr)
    return 0


def _encode(result: Result) -> bytes:
    return encode_result(msgspec.structs.replace(result, command=without_places(result.command)))


def _recorded(path: Path) -> Recorded:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Recorded)
    except msgspec.DecodeError as error:
        raise ExperimentError(f"{path}: not a recorded result: {error}; remove it") from error
