"""Counts of recorded rows in the cells of a bundle's distributions, by window of time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import Manifest
from monitoring.drift.statistics import ClusteredCounts
from monitoring.drift.variables import Variable
from monitoring.record.reader import Located
from monitoring.record.rows import Rows

LONGEST_REQUEST = 200_000
"""The most rows of one request that are held in memory to be counted together."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Tally:
    """The recorded rows of a variable: those with a value by cell; and all by whether it is missing, or unseen."""

    values: ClusteredCounts
    missing: ClusteredCounts = field(default_factory=lambda: ClusteredCounts(2))
    unseen: ClusteredCounts = field(default_factory=lambda: ClusteredCounts(2))

    def merge(self, other: "Tally") -> None:
        """Add the other's rows."""
        self.values.merge(other.values)
        self.missing.merge(other.missing)
        self.unseen.merge(other.unseen)


@dataclass
class Window:
    """The rows of a span of time, by variable in the order of `variables_of`."""

    tallies: list[Tally]
    rows: int = 0


class _Placed(NamedTuple):
    """The rows of a variable, [rows] each: their cells, and whether they have none, being missing or unseen."""

    cell: NDArray[np.int64]
    missing: NDArray[np.bool_]
    unseen: NDArray[np.bool_]


def whole_requests(pieces: Iterable[list[Located]]) -> Iterator[list[Located]]:
    """The pieces, cut between requests: the rows of one request, which follow each other, are in one piece."""
    held: list[Located] = []
    for piece in pieces:
        rows = [*held, *piece]
        end = len(rows)
        while end and len(rows) - end < LONGEST_REQUEST and rows[end - 1].line.request_id == rows[-1].line.request_id:
            end -= 1
        if len(rows) - end >= LONGEST_REQUEST:
            end = len(rows)
        held = rows[end:]
        yield rows[:end]
    yield held


class Counter:
    """Counts arranged rows into windows of equal length, which start at multiples of it since 1970 (UTC)."""

    def __init__(self, variables: Sequence[Variable], manifest: Manifest, window: timedelta) -> None:
        self.variables = variables
        self.windows: dict[datetime, Window] = {}
        self._manifest = manifest
        self._window = window
        self._score = self._score_column()

    def add(self, rows: Rows) -> None:
        """Count rows of whole requests."""
        starts = np.array([(line.time - _EPOCH) // self._window for line in rows.lines])
        ids: dict[str, int] = {}
        request = np.array([ids.setdefault(line.request_id, len(ids)) for line in rows.lines], dtype=np.int64)
        columns = [self._place(variable, rows) for variable in self.variables]
        for start in np.unique(starts):
            chosen = starts == start
            window = self._open(_EPOCH + int(start) * self._window)
            window.rows += int(chosen.sum())
            for tally, column in zip(window.tallies, columns, strict=True):
                if column is not None:
                    _count(tally, request[chosen], _Placed(*(part[chosen] for part in column)))

    def total(self) -> Window:
        """All windows together."""
        every = self._new()
        for window in self.windows.values():
            every.rows += window.rows
            for tally, other in zip(every.tallies, window.tallies, strict=True):
                tally.merge(other)
        return every

    def _open(self, start: datetime) -> Window:
        if start not in self.windows:
            self.windows[start] = self._new()
        return self.windows[start]

    def _new(self) -> Window:
        return Window([Tally(ClusteredCounts(len(variable.cells))) for variable in self.variables])

    def _score_column(self) -> int | None:
        """The column of the answers' numbers that is the score; None: the largest of the row."""
        manifest = self._manifest
        if manifest.positive_class is not None:
            return manifest.classes.index(manifest.positive_class)
        return None if manifest.classes else 0

    def _place(
        self, variable: Variable, rows: Rows
    ) -> "tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]] | None":
        """Cell, missing and unseen [rows] of a variable; None if it was not recorded in these rows."""
        nothing = np.zeros(len(rows.lines), dtype=bool)
        if variable.place == "answers":
            return _Placed(rows.labels, nothing, nothing)
        if variable.place == "score":
            score = rows.numbers.max(axis=1) if self._score is None else rows.numbers[:, self._score]
            return _Placed(_interval(variable, score), np.isnan(score), nothing)
        if variable.name not in rows.frame.columns:
            return None
        column, unseen = rows.frame[variable.name], rows.unseen.get(variable.name, nothing)
        missing = column.is_null().to_numpy() & ~unseen
        if variable.ordered:
            numbers = column.to_physical() if column.dtype == pl.Date else column
            values = numbers.cast(pl.Float64).fill_null(0.0).to_numpy()
            return _Placed(_interval(variable, values), missing, unseen)
        texts = column.cast(pl.String) if column.dtype == pl.Boolean else column
        places = {name: place for place, name in enumerate(variable.cells[:-1])}
        cells = texts.replace_strict(places, default=len(places), return_dtype=pl.Int64)
        return _Placed(cells.fill_null(len(places)).to_numpy(), missing, unseen)


def _interval(variable: Variable, values: NDArray[np.float64]) -> NDArray[np.int64]:
    edges = np.array(variable.edges, dtype=np.float32)
    return np.searchsorted(edges, values.astype(np.float32), side="left").astype(np.int64)


def _count(tally: Tally, request: NDArray[np.int64], placed: _Placed) -> None:
    present = ~placed.missing & ~placed.unseen
    tally.values.add(request[present], placed.cell[present])
    tally.missing.add(request, placed.missing.astype(np.int64))
    tally.unseen.add(request, placed.unseen.astype(np.int64))
