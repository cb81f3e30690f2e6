"""`make report`: gather the results that are in `reports/` into one page, and print their key figures."""

import argparse
import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bundle.files import write_files
from bundle.result import Result, picture_title, provenance
from bundle.table import Table
from experiments.command import add_folders
from experiments.errors import ExperimentError
from experiments.report.kinds import KINDS, read_result
from load_testing.report import TEMPLATES as LOAD_TEMPLATES
from load_testing.report import html_environment

TEMPLATES = Path(__file__).parent / "templates"
WIDE_POINTS = 600


@dataclass(frozen=True)
class Picture:
    """An SVG chart, with the text that stands for it. A wide one gets the whole width of the page."""

    title: str
    svg: bytes

    @property
    def wide(self) -> bool:
        """Wider than half of the page."""
        width = re.search(rb'<svg[^>]*\swidth="([\d.]+)pt"', self.svg)
        return width is not None and float(width[1]) > WIDE_POINTS

    @property
    def address(self) -> str:
        """A data URI: within it, the ids of one chart can't meet those of another."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


@dataclass(frozen=True)
class Entry:
    """A kind of result, and the one that was found; None where its file is missing."""

    name: str
    kind: type[Result]
    result: Result | None
    pictures: tuple[Picture, ...] = ()

    @property
    def facts(self) -> dict[str, str]:
        """The information that the result's file records beside its figures."""
        return provenance(self.result) if self.result else {}

    @property
    def tables(self) -> dict[str, Table]:
        """The result's tables by title."""
        return {table.title: table for table in self.result.tables()} if self.result else {}


def read_entries(reports: Path) -> list[Entry]:
    """Every kind, in the order of the page.

    Raises:
        ExperimentError: a file is there, but broken or of another format.
    """
    entries = []
    for name, kind in KINDS.items():
        path = reports / kind.file
        if not path.exists():
            entries.append(Entry(name, kind, None))
            continue
        files = [file for pattern in kind.pictures for file in sorted(path.parent.glob(pattern))]
        entries.append(Entry(name, kind, read_result(path, kind), tuple(map(read_picture, files))))
    return entries


def read_picture(path: Path) -> Picture:
    """An SVG picture.

    Raises:
        ExperimentError: it can't be read, or isn't SVG from beginning to end.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}") from error
    if b"<svg" not in content[:2000] or not content.rstrip().endswith(b"</svg>"):
        raise ExperimentError(f"{path}: not a whole SVG picture; measure again, or remove it")
    return Picture(picture_title(path.name), content)


def render_page(entries: Sequence[Entry]) -> str:
    """The page as self-contained HTML."""
    return html_environment(TEMPLATES, LOAD_TEMPLATES).get_template("page.html.j2").render(entries=entries)


def summary_lines(entries: Sequence[Entry]) -> list[str]:
    """The key figures for a terminal, a line or two per kind."""
    width = max(len(entry.name) for entry in entries)
    lines = []
    for entry in entries:
        if entry.result is None:
            continue
        first, *others = entry.result.key_figures() or ("no figures",)
        lines.append(f"{entry.name:{width}}  {entry.result.created:%Y-%m-%d %H:%M}  {first}")
        lines += [f"{'':{width}}  {'':16}  {line}" for line in others]
    if missing := [entry.kind.made_by for entry in entries if entry.result is None]:
        lines.append(f"not measured yet: {', '.join(missing)}")
    return lines


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser, models=False)


def run(options: argparse.Namespace) -> int:
    """Write the page whole or not at all."""
    page = options.reports / "index.html"
    if not options.reports.is_dir():
        raise ExperimentError(f"{options.reports}: no such folder")
    entries = read_entries(options.reports)
    try:
        write_files(options.reports, {page.name: render_page(entries).encode()})
    except OSError as error:
        raise ExperimentError(f"{page}: {error.strerror}") from error
    print(*summary_lines(entries), "", page, sep="\n")
    return 0
