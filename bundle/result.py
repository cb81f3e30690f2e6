"""What a measurement leaves in `reports/`: its figures as JSON, and its tables as Markdown."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import msgspec

from bundle.files import encode_result, write_files
from bundle.machine import Machine, command_line, describe_machine
from bundle.manifest import utc_now
from bundle.table import Table, printable, to_markdown


class Answer(NamedTuple):
    """The question that people come to a result with; the answer in a sentence, and the paragraphs that explain it."""

    question: str
    verdict: str
    paragraphs: tuple[str, ...]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """When, by which command and where something was measured; subclasses add their figures.

    `title` is the kind's heading, `file` its path under `reports/`, `made_by` the make target that measures it, and
    `pictures` are patterns of the SVG files beside it.
    """

    title: ClassVar[str]
    file: ClassVar[str]
    made_by: ClassVar[str]
    pictures: ClassVar[tuple[str, ...]] = ()

    created: datetime
    command: str
    machine: Machine

    @property
    def ok(self) -> bool:
        """Whether no answer was wrong and nothing failed."""
        return True

    def verdicts(self) -> tuple[str, ...]:
        """What the Markdown report says first, in sentences."""
        return () if self.ok else ("**FAILED**: an answer was wrong or missing, see below.",)

    def answer(self) -> Answer | None:
        """What a report begins with, if there is a question that the figures answer."""
        return None

    def facts(self) -> dict[str, str]:
        """What was measured and how: {what: text}."""
        return {}

    def key_figures(self) -> tuple[str, ...]:
        """The one or two lines that an overview shows of the result."""
        return ()

    def tables(self) -> tuple[Table, ...]:
        """All figures, to be displayed."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """What a reader must know in order not to read too much into the figures."""
        return ()


def made_now(libraries: Iterable[str]) -> dict[str, Any]:
    """The fields of a `Result` that this process has just made; `libraries` are those whose versions matter."""
    return {"created": utc_now(), "command": command_line(), "machine": describe_machine(libraries)}


def provenance(result: Result) -> dict[str, str]:
    """Command, facts, machine, versions and commit: {what: text}."""
    machine = result.machine
    versions = {"python": machine.python} | machine.libraries
    return {
        "command": result.command,
        **result.facts(),
        "machine": f"{machine.processor}, {machine.cpus} CPUs, {machine.memory_bytes / 1e9:.0f} GB, {machine.system}",
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        **({"commit": machine.commit} if machine.commit else {}),
    }


def result_as_markdown(result: Result, pictures: Mapping[str, str] | None = None) -> str:
    """The whole report; `pictures` are {title: file beside it}."""
    lines = [f"# {result.title}", ""]
    for verdict in result.verdicts():
        lines += [printable(verdict), ""]
    if answer := result.answer():
        for paragraph in (f"**{answer.question}** {answer.verdict}", *answer.paragraphs):
            lines += [paragraph, ""]
    lines += [f"Measured on {result.created:%Y-%m-%d %H:%M} UTC.", ""]
    lines += [f"- {what}: {f'`{text}`' if what == 'command' else text}" for what, text in provenance(result).items()]
    for table in result.tables():
        lines += ["", f"## {printable(table.title)}", "", to_markdown(table)]
    for name, file in (pictures or {}).items():
        lines += ["", f"## {name}", "", f"![{name}]({file})"]
    if result.notes():
        lines += ["", "## Notes", "", *(f"- {printable(note)}" for note in result.notes())]
    return "\n".join([*lines, ""])


def write_result(result: Result, reports: Path, others: Mapping[str, bytes] | None = None) -> list[Path]:
    """Write the result's file, the same as Markdown, and `others` ({name: content}) beside them, each whole or not at
    all. SVG pictures among them are shown in the Markdown. Returns the paths.

    Raises:
        OSError: they can't be written.
    """
    path = reports / result.file
    others = dict(others or {})
    pictures = {picture_title(name): name for name in others if name.endswith(".svg")}
    contents = {path.name: encode_result(result), f"{path.stem}.md": result_as_markdown(result, pictures).encode()}
    return write_files(path.parent, contents | others)


def picture_title(file: str) -> str:
    """`Time per row` of `time_per_row.svg`."""
    return Path(file).stem.replace("_", " ").capitalize()
