"""Recorded answers against those of another model or service: counts that add up over any number of rows."""

import heapq
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count

import msgspec
import numpy as np
from numpy.typing import NDArray

from monitoring.record.reader import Line
from training.export.predictions import Predictions

SHOWN_ROWS = 20
"""At most so many rows are named: those that differ most, beyond the tolerance."""

STEPS = (0.0, 1e-6, 1e-5, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3)
"""Upper ends of the histogram's intervals, the last one having none."""


class DifferingRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that was answered differently; its request id leads to the rest. The labels are class indices.

    The numbers are the probabilities of the class that differs most (of two, the second), or the values; None stands
    for one that is not finite.
    """

    request_id: str
    row: int
    time: datetime
    service: str
    recorded_label: int
    label: int
    recorded: float | None
    answered: float | None
    difference: float


class ServiceRows(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that one service recorded: how many, those changed or beyond the tolerance, the largest difference."""

    rows: int
    changed: int
    beyond: int
    largest: float


@dataclass
class Tally:
    """The compared rows of one recorded version. `classes` is 0 for a regressor.

    A row's difference is the largest among its probabilities, or that of its value relative to the larger of 1 and the
    recorded value. A row is `changed` if its label is another one; for a regressor, if it differs by `changed_by`.
    """

    classes: int
    tolerance: float
    changed_by: float
    rows: int = 0
    changed: int = 0
    beyond: int = 0
    largest: float = 0.0
    total: float = 0.0
    signed: float = 0.0
    refused: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    services: dict[str, ServiceRows] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.histogram = np.zeros(len(STEPS) + 1, dtype=np.int64)
        self.confusion = np.zeros((self.classes, self.classes), dtype=np.int64)
        self._worst: list[tuple[float, int, DifferingRow]] = []
        self._order = count()

    @property
    def differing(self) -> tuple[DifferingRow, ...]:
        """The rows that differ most, the largest difference first."""
        return tuple(row for _, _, row in sorted(self._worst, key=lambda entry: entry[:2], reverse=True))

    def add(self, lines: list[Line], recorded: Predictions, answered: Predictions) -> None:
        """Compare the answers to these rows, in the same order."""
        before, after = recorded.numbers.astype(np.float64), answered.numbers.astype(np.float64)
        differences = _differences(before, after, relative=not self.classes)
        largest = differences.max(axis=1, initial=0.0)
        other = recorded.labels != answered.labels if self.classes else largest >= self.changed_by
        beyond = largest > self.tolerance
        self.rows += len(lines)
        self.changed += int(other.sum())
        self.beyond += int(beyond.sum())
        self.largest = max(self.largest, float(largest.max(initial=0.0)))
        self.total += float(largest.sum())
        self.signed += float(np.nan_to_num((after - before)[:, -1]).sum())
        self.histogram += np.bincount(np.searchsorted(STEPS, largest, side="left"), minlength=len(STEPS) + 1)
        if self.classes:
            known = answered.labels >= 0
            np.add.at(self.confusion, (recorded.labels[known], answered.labels[known]), 1)
        self._add_services(lines, other, beyond, largest)
        self._keep_worst(lines, recorded, answered, differences, largest)

    def _add_services(
        self, lines: list[Line], other: NDArray[np.bool_], beyond: NDArray[np.bool_], largest: NDArray[np.float64]
    ) -> None:
        services = np.array([line.service for line in lines])
        for name in np.unique(services):
            chosen = services == name
            old = self.services.get(name, ServiceRows(rows=0, changed=0, beyond=0, largest=0.0))
            self.services[str(name)] = ServiceRows(
                rows=old.rows + int(chosen.sum()),
                changed=old.changed + int(other[chosen].sum()),
                beyond=old.beyond + int(beyond[chosen].sum()),
                largest=max(old.largest, float(largest[chosen].max())),
            )

    def _keep_worst(
        self, lines: list[Line], recorded: Predictions, answered: Predictions, differences: NDArray[np.float64],
        largest: NDArray[np.float64],
    ) -> None:  # fmt: skip
        order = np.argsort(-largest, kind="stable")[:SHOWN_ROWS]
        for place in order[largest[order] > self.tolerance].tolist():
            line = lines[place]
            shown = 1 if self.classes == 2 else int(differences[place].argmax())
            entry = DifferingRow(
                request_id=line.request_id,
                row=line.row,
                time=line.time,
                service=line.service,
                recorded_label=int(recorded.labels[place]),
                label=int(answered.labels[place]),
                recorded=_finite(recorded.numbers[place, shown]),
                answered=_finite(answered.numbers[place, shown]),
                difference=float(largest[place]),
            )
            kept = (float(largest[place]), -next(self._order), entry)
            (heapq.heappush if len(self._worst) < SHOWN_ROWS else heapq.heappushpop)(self._worst, kept)


def _differences(before: NDArray[np.float64], after: NDArray[np.float64], *, relative: bool) -> NDArray[np.float64]:
    """|difference| [rows, numbers]; 1 where only one of the two is finite."""
    with np.errstate(invalid="ignore"):
        differences = np.abs(after - before)
        if relative:
            differences /= np.maximum(1.0, np.abs(np.nan_to_num(before)))
    finite = np.isfinite(before), np.isfinite(after)
    differences[~finite[0] & ~finite[1]] = 0.0
    differences[finite[0] != finite[1]] = 1.0
    return differences


def _finite(number: np.floating) -> float | None:
    return float(number) if np.isfinite(number) else None
