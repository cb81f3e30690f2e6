"""What a report says about the record that it was made from."""

from datetime import datetime
from pathlib import Path

import msgspec

from monitoring.record.files import readable
from monitoring.record.reader import Reading


class SourceRows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that one service recorded of one version of a model."""

    model: str
    version: str
    service: str
    rows: int


class RecordSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What was read. `damaged` counts lines and files that are damaged, `damage` names the first of them; `early` rows
    were recorded before SINCE; `unfinished` files are still being written, `removed` ones were deleted meanwhile.
    """

    folder: str
    files: int
    first: datetime | None
    last: datetime | None
    sources: tuple[SourceRows, ...]
    early: int
    unfinished: int
    removed: int
    others: tuple[str, ...]
    damaged: int
    damage: tuple[str, ...]

    def __str__(self) -> str:
        rows = sum(source.rows for source in self.sources)
        times = f", {self.first:%Y-%m-%d %H:%M} to {self.last:%Y-%m-%d %H:%M} UTC" if self.first and self.last else ""
        return f"{self.folder}: {self.files:,} files, {rows:,} rows{times}"


def summarize(folder: Path, reading: Reading) -> RecordSummary:
    """The summary of a finished reading."""
    return RecordSummary(
        folder=readable(str(folder)),
        files=len(reading.folder.files),
        first=reading.first,
        last=reading.last,
        sources=tuple(
            SourceRows(model=source.model, version=source.version, service=source.service, rows=rows)
            for source, rows in sorted(reading.rows.items())
        ),
        early=reading.early,
        unfinished=reading.folder.unfinished,
        removed=reading.removed,
        others=reading.folder.others,
        damaged=reading.damaged,
        damage=tuple(reading.damage),
    )


def record_notes(record: RecordSummary) -> tuple[str, ...]:
    """What was not read, and why."""
    notes = []
    if record.damaged:
        rest = record.damaged - len(record.damage)
        notes += [f"Damaged: {place}." for place in record.damage]
        notes += [f"Damaged: {rest:,} more places."] if rest else []
    if record.early:
        notes.append(f"{record.early:,} rows are older than SINCE.")
    if record.unfinished:
        files = "1 file is" if record.unfinished == 1 else f"{record.unfinished:,} files are"
        notes.append(f"{files} still being written, and not read yet: wait a minute, or stop the service.")
    if record.removed:
        notes.append(f"{record.removed:,} files were removed by the service while the record was read.")
    if record.others:
        notes.append(f"Not files of a record, and not read: {', '.join(record.others[:10])}.")
    return tuple(notes)


def first_damage(record: RecordSummary) -> str:
    """The first damaged place and how many there are, for the end of a sentence; empty if there is none."""
    return f"; {record.damaged:,} damaged places, the first: {record.damage[0]}" if record.damage else ""


def not_read(record: RecordSummary) -> str:
    """Rows that are too old and files that are too new, for the end of a sentence; empty if there are none."""
    early = f"; {record.early:,} rows are older than SINCE" if record.early else ""
    late = f"; files still being written: {record.unfinished:,}, wait a minute or stop the service"
    return early + (late if record.unfinished else "")


def versions_seen(record: RecordSummary) -> str:
    """Models, versions and their rows, for a sentence."""
    counts: dict[str, int] = {}
    for source in record.sources:
        name = f"{source.model} {source.version}"
        counts[name] = counts.get(name, 0) + source.rows
    return ", ".join(f"{name} ({rows:,} rows)" for name, rows in counts.items()) or "no rows"
