"""Recorded rows, decoded and checked; what is damaged is named and counted, never guessed."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec

from monitoring.record.files import DamagedFileError, Folder, list_folder, read_pieces

Value = str | bool | int | float | None

_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

MOST_NAMED = 20
"""At most so many damaged places are named; the others are only counted."""


class Line(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One recorded row, as a service writes it. A value of `features` is null if it is missing or unseen; `prediction`
    is a class index, or a regressor's value (null where that was not finite).
    """

    time: datetime
    request_id: str
    row: Annotated[int, msgspec.Meta(ge=0)]
    route: str
    service: str
    model: str
    version: str
    features: dict[str, Value]
    missing: list[str]
    unseen: list[str]
    prediction: int | float | None
    probabilities: list[float] = []


class Located(NamedTuple):
    """A line, and where it stands; lines count from 1."""

    path: Path
    number: int
    line: Line


class Source(NamedTuple):
    """Who answered."""

    model: str
    version: str
    service: str


@dataclass
class Reading:
    """What was found while reading: rows by who answered them, damage, and what was left out.

    `damaged` counts lines, and files that end too early. `damage` names the first of both.
    """

    folder: Folder
    rows: Counter[Source] = field(default_factory=Counter)
    early: int = 0
    damaged: int = 0
    damage: list[str] = field(default_factory=list)
    removed: int = 0
    first: datetime | None = None
    last: datetime | None = None

    def note_damage(self, place: str, reason: str) -> None:
        """Count a damaged line or file."""
        self.damaged += 1
        if len(self.damage) < MOST_NAMED:
            self.damage.append(f"{place}: {reason}")


class RecordReader:
    """Reads a folder once, file by file, in order, with a few megabytes in memory."""

    def __init__(self, folder: Path, since: datetime | None = None) -> None:
        """Rows before `since` (with a time zone) are left out.

        Raises:
            RecordError: there is no such folder, or no finished file in it.
        """
        self._since = since
        self._decoder = msgspec.json.Decoder(Line)
        self.reading = Reading(list_folder(folder, since))

    def __iter__(self) -> Iterator[list[Located]]:
        """Rows in pieces."""
        for path in self.reading.folder.files:
            number = 1
            try:
                for lines in read_pieces(path):
                    yield list(self._decode(path, number, lines))
                    number += len(lines)
            except DamagedFileError as error:
                self.reading.note_damage(f"{path.name}, after line {number - 1:,}", str(error))
            except FileNotFoundError:
                self.reading.removed += 1
            except OSError as error:
                self.reading.note_damage(path.name, error.strerror or str(error))

    def _decode(self, path: Path, first: int, lines: list[bytes]) -> Iterator[Located]:
        found, decode = self.reading, self._decoder.decode
        for number, text in enumerate(lines, start=first):
            try:
                line = decode(text)
                if line.time.tzinfo is not UTC or line.time < _EARLIEST:
                    raise ValueError("its time is not one since 1970 in UTC")
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
                found.note_damage(f"{path.name}, line {number:,}", str(error))
                continue
            if self._since is not None and line.time < self._since:
                found.early += 1
                continue
            found.rows[Source(line.model, line.version, line.service)] += 1
            found.first = line.time if found.first is None else min(found.first, line.time)
            found.last = line.time if found.last is None else max(found.last, line.time)
            yield Located(path, number, line)
