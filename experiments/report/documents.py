"""`make tables`: write the tables of the recorded results into README.md and docs/.

    <!-- results: benchmark, Services side by side -->
    (the command writes the content: which command measured it, when and where, and the table)
    <!-- end of results -->

With `--check` nothing is written, and the exit status is 1 if a document differs from the results.
"""

import argparse
import difflib
import re
import sys
import textwrap
from pathlib import Path

from bundle.command_line import file_path
from bundle.files import write_files
from bundle.result import Result
from bundle.table import to_markdown
from experiments.errors import ExperimentError
from experiments.report.kinds import KINDS, RESULTS, read_result

OPENING = re.compile(r"<!-- results: (\w+), (.+) -->")
CLOSING = "<!-- end of results -->"
WIDTH = 120


def documents(root: Path) -> list[Path]:
    """README.md and docs/*.md, relative to the root."""
    return [Path("README.md"), *(path.relative_to(root) for path in sorted((root / "docs").glob("*.md")))]


def rewrite(text: str, results: Path, origin: str) -> str:
    """The Markdown with every block written again; `origin` names it in errors.

    Raises:
        ExperimentError: a block is not closed, or names nothing; a result is missing or broken.
    """
    lines: list[str] = []
    opened = 0
    for number, line in enumerate(text.split("\n"), start=1):
        where = f"{origin}:{number}"
        if opening := OPENING.fullmatch(line):
            if opened:
                raise ExperimentError(f"{where}: a block begins inside the one of line {opened}")
            opened = number
            lines += [line, block(opening[1], opening[2], results, where)]
        elif line == CLOSING:
            if not opened:
                raise ExperimentError(f"{where}: {CLOSING} closes nothing")
            opened = 0
            lines.append(line)
        elif not opened:
            lines.append(line)
    if opened:
        raise ExperimentError(f"{origin}: the block of line {opened} is not closed by {CLOSING}")
    return "\n".join(lines)


def block(name: str, title: str, results: Path, where: str) -> str:
    """The table of that title of a kind's recorded result, below where it comes from.

    Raises:
        ExperimentError: there is no such kind or table, or the result is missing or broken.
    """
    if name not in KINDS:
        raise ExperimentError(f"{where}: there is no kind of result {name!r}; there are {', '.join(KINDS)}")
    result = read_result(results / f"{name}.json", KINDS[name])
    tables = {table.title: table for table in result.tables()}
    if title not in tables:
        raise ExperimentError(f"{where}: {name} has no table {title!r}; it has {', '.join(map(repr, tables))}")
    caption = textwrap.wrap(source(result), WIDTH, break_long_words=False, break_on_hyphens=False)
    return "\n".join([*caption, "", to_markdown(tables[title])])


def source(result: Result) -> str:
    """A sentence: which command, when and where."""
    machine = result.machine
    system = re.sub(r"(\d+\.\d+)\S*", r"\1", machine.system, count=1)  # without the kernel's build
    memory, commit = f"{machine.memory_bytes / 1e9:.0f} GB", f", commit {machine.commit}" if machine.commit else ""
    facts = result.facts()
    told = "".join(f"; {what}: {facts[what]}" for what in ("model", "data", "meanwhile") if what in facts)
    return (
        f"Measured on {result.created:%Y-%m-%d} by `{result.command}` on {machine.processor}, {machine.cpus} CPUs, "
        f"{memory}, {system}{commit}{told}."
    )


def difference(document: Path, old: str, new: str) -> str:
    """The first line that differs, and a diff."""
    before, after = old.splitlines(), new.splitlines()
    pairs = enumerate(zip(before, after, strict=False), start=1)
    first = next((number for number, (one, other) in pairs if one != other), min(len(before), len(after)) + 1)
    diff = difflib.unified_diff(before, after, str(document), f"{document} by {RESULTS}", n=0, lineterm="")
    return "\n".join([f"{document}:{first}: differs from the results in {RESULTS}", *diff])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a document differs")
    parser.add_argument("--root", type=file_path, default=Path(), help="folder of README.md and docs/")


def run(options: argparse.Namespace) -> int:
    """Exit status: 0 written, or as it must be; 1 a document differs."""
    changed = {}
    for document in documents(options.root):
        old = (options.root / document).read_text(encoding="utf-8")
        new = rewrite(old, options.root / RESULTS, str(document))
        if new != old:
            changed[document] = old, new
    if options.check and changed:
        print(*(difference(path, *texts) for path, texts in changed.items()), sep="\n", file=sys.stderr)
        print("`make tables` writes them again", file=sys.stderr)
        return 1
    for path, (_, new) in changed.items():
        write_files((options.root / path).parent, {path.name: new.encode()})
        print(path)
    if options.check:
        print(f"the documents agree with {RESULTS}")
    return 0
