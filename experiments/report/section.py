"""What a source of the page becomes, whatever it was read from."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from markupsafe import Markup

from bundle.machine import Machine


@dataclass(frozen=True)
class Table:
    """Texts under their heads. The first column is words, as are those in `words`; the others are numbers."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})


@dataclass(frozen=True)
class Picture:
    """An SVG chart, with the text that stands for it. A wide one gets the whole width of the page."""

    title: str
    svg: bytes
    wide: bool = False

    @property
    def address(self) -> str:
        """A data URI: within it, the ids of one chart can't meet those of another."""
        return f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"


@dataclass(frozen=True, kw_only=True)
class Section:
    """A source that is there.

    `facts` are {what: text}: the command, versions and machine, as far as the result file records them. `key_figures`
    are the one or two lines by which the overview and the terminal know it. `body` is HTML of the source's own.
    """

    created: datetime
    facts: dict[str, str]
    key_figures: tuple[str, ...]
    ok: bool = True
    pictures: tuple[Picture, ...] = ()
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    body: Markup = field(default_factory=Markup)


@dataclass(frozen=True)
class Source:
    """A kind of report: `read` finds it in the folder of the reports and raises ReportError for a broken one.

    `command` makes the result file, whose path in the folder is `file`.
    """

    key: str
    title: str
    command: str
    file: str
    read: Callable[[Path], Section]


def machine_facts(machine: Machine) -> dict[str, str]:
    """Machine, versions and commit of a result."""
    facts = {
        "machine": f"{machine.processor}, {machine.cpus} CPUs, {machine.memory_bytes / 1e9:.0f} GB, {machine.system}",
        "versions": versions({"python": machine.python} | machine.libraries),
    }
    return facts | ({"commit": machine.commit} if machine.commit else {})


def versions(libraries: dict[str, str]) -> str:
    """{distribution: version} as text."""
    return ", ".join(f"{name} {version}" for name, version in libraries.items())


def count_rows(rows: int) -> str:
    """So many rows, as heads and labels say it."""
    return "1 row" if rows == 1 else f"{rows:,} rows"
