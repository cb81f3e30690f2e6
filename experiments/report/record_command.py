"""`make record-results`: take the results in reports/ over into experiments/results/.

What is not in reports/ stays as it was recorded, and what is there but older than what is recorded is left alone.
Nothing is refused but a broken file: what doesn't go together is told, and `make readme-tables` refuses figures of
different models. Exit status: 0 recorded, 1 an error, and nothing is changed.
"""

import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec

from bundle.command_line import Parser, file_path
from bundle.files import encode_result, write_files
from experiments.report.commands import without_places
from experiments.report.errors import ClaimError
from experiments.report.recorded_results import (
    FOLDER,
    SOURCES,
    Result,
    created_of,
    describe_models,
    model_of,
    names_by_model,
    read_result,
)

TOGETHER = timedelta(hours=24)


def read_all(folder: Path, *, recorded: bool) -> dict[str, Result]:
    """Those results that are there; `recorded` ones have their own names, others those of the reports.

    Raises:
        ClaimError: one of them is broken.
    """
    paths = {name: folder / (f"{name}.json" if recorded else source.path) for name, source in SOURCES.items()}
    return {name: read_result(path, SOURCES[name]) for name, path in paths.items() if path.exists()}


def warnings(results: dict[str, Result]) -> Iterator[str]:
    """What doesn't go together, or can't be traced."""
    by_model = names_by_model(results)
    if len(by_model) > 1:
        yield f"results of different models: {describe_models(by_model)}"
    machines: dict[str, list[str]] = {}
    for name, result in results.items():
        machine = result.machine
        machines.setdefault(f"{machine.processor}, {machine.cpus} CPUs", []).append(name)
        if machine.commit is None:
            yield f"{name}: measured outside a git checkout"
        elif machine.commit.endswith("-dirty"):
            yield f"{name}: measured on files that are in no commit ({machine.commit})"
    if len(machines) > 1:
        places = (f"{', '.join(names)} on {place}" for place, names in machines.items())
        yield f"different machines: {'; '.join(places)}"
    newest, latest = max(results.items(), key=lambda item: created_of(item[1]))
    for name, result in results.items():
        age = created_of(latest) - created_of(result)
        if age > TOGETHER:
            yield f"{name}: {age.total_seconds() / 3600:.0f} hours older than {newest}"
    yield from (
        f"{name}: missing; `{source.command}` makes it" for name, source in SOURCES.items() if name not in results
    )


def encode(result: Result) -> bytes:
    """The result as it is committed: without paths of the machine that it was measured on."""
    return encode_result(msgspec.structs.replace(result, command=without_places(result.command)))


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 recorded, 1 an error, and nothing is changed."""
    parser = Parser("experiments record-results", __doc__.partition("\n")[0])
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="where the results are taken from")
    parser.add_argument("--results", type=file_path, default=FOLDER, help="where they go")
    given = parser.read(arguments)
    try:
        kept, found = read_all(given.results, recorded=True), read_all(given.reports, recorded=False)
        older = {name for name, result in found.items() if name in kept and created_of(result) < created_of(kept[name])}
        new = {name: result for name, result in found.items() if name not in older}
        results = kept | new
        if not results:
            raise ClaimError(f"{given.reports}: no results there")
        write_files(given.results, {f"{name}.json": encode(result) for name, result in new.items()})
    except (ClaimError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name, result in results.items():
        what = "recorded" if name in new else "kept, that in reports/ is older" if name in older else "kept"
        print(f"{name:16} {created_of(result):%Y-%m-%d %H:%M}  {model_of(result) or '-':36} {what}")
    print(*(f"warning: {warning}" for warning in warnings(results)), sep="\n", file=sys.stderr)
    return 0
