"""Sends recorded rows, in pieces, to a target, and adds the comparison to the tallies of their version."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from bundle.manifest import Manifest
from bundle.tolerance import tolerance_of
from monitoring.record.reader import Located, Reading
from monitoring.record.rows import Misfit, Rows, Shape
from monitoring.replay.answered import Answered
from monitoring.replay.comparison import Tally
from training.export.predictions import Predictions


class Target(Protocol):
    """What answers again: the ways in which it does, by name, and what a reader must know about it."""

    @property
    def manifest(self) -> Manifest:
        """The manifest of the model that answers; its artifacts may be left out."""
        ...

    @property
    def ways(self) -> Mapping[str, Callable[[Rows], Answered]]:
        """Functions from rows that have all features to answers."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What a reader must know."""
        ...

    def close(self) -> None:
        """Release what it holds."""
        ...


@dataclass(frozen=True)
class Limits:
    """Only rows of `version`, if it isn't empty; at most `rows` of them; and what counts as a changed value."""

    version: str
    rows: int | None
    changed_by: float


class Replay:
    """One pass over a record. `tallies` are by way and recorded version; `left_out` counts rows by reason."""

    def __init__(self, target: Target, limits: Limits, reading: Reading) -> None:
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.left_out: Counter[str] = Counter()
        self.notes: list[str] = []
        self.tolerance = tolerance_of(target.manifest)
        self._target, self._limits, self._reading = target, limits, reading
        self._shape = Shape(target.manifest)
        self._names = [feature.name for feature in target.manifest.features]
        self._taken = 0

    def over(self, pieces: Iterable[list[Located]]) -> None:
        """Ask for the rows, and compare."""
        for piece in pieces:
            by_version: dict[str, list[Located]] = {}
            for located in piece:
                if self._is_wanted(located):
                    by_version.setdefault(located.line.version, []).append(located)
            for version, rows in by_version.items():
                self._replay(version, rows)
            if self._limits.rows is not None and self._taken >= self._limits.rows:
                self.notes.append(f"Only the first {self._taken:,} rows were asked again; ROWS= sets how many.")
                return

    def _is_wanted(self, located: Located) -> bool:
        line, model = located.line, self._target.manifest.name
        if line.model != model:
            self.left_out[f"they are of another model, {line.model}"] += 1
        elif self._limits.version and line.version != self._limits.version:
            self.left_out[f"they are of version {line.version}, not of the VERSION given"] += 1
        elif self._limits.rows is not None and self._taken >= self._limits.rows:
            return False
        else:
            self._taken += 1
            return True
        return False

    def _replay(self, version: str, located: list[Located]) -> None:
        same = version == self._target.manifest.version
        for rows in self._shape.arrange(located):
            if isinstance(rows, Misfit) and same:
                self._reading.note_damage(f"{rows.located.path.name}, line {rows.located.number:,}", rows.reason)
            elif isinstance(rows, Misfit):
                self._refuse(version, rows.reason)
            elif missing := [name for name in self._names if name not in rows.frame.columns]:
                names = ", ".join(missing)
                self.left_out[f"{names}: not in the record (SERVE_RECORD_FIELDS), or not a feature of it"] += len(
                    rows.lines
                )
            else:
                self._compare(version, rows)

    def _refuse(self, version: str, reason: str) -> None:
        for way in self._target.ways:
            self._tally(way, version).refused[reason] += 1

    def _compare(self, version: str, rows: Rows) -> None:
        for way, answer in self._target.ways.items():
            tally, answered = self._tally(way, version), answer(rows)
            tally.refused.update(answered.refused)
            tally.failed.update(answered.failed)
            if answered.places:
                places = answered.places
                recorded = Predictions(rows.labels[places], rows.numbers[places].astype(np.float32))
                tally.add([rows.lines[place] for place in places], recorded, answered.together())

    def _tally(self, way: str, version: str) -> Tally:
        classes = len(self._target.manifest.classes)
        return self.tallies.setdefault((way, version), Tally(classes, self.tolerance, self._limits.changed_by))
