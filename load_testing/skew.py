"""Serving skew: how far the answers of a service are from the reference predictions. Pure comparison, without I/O."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

SAMPLE = 10


class Mismatch(msgspec.Struct, frozen=True):
    """A row that was answered differently. Labels are class indices, 0 for a regressor. The probabilities are those of
    the second of two classes, or of the class that differs most among more; for a regressor they are the values.
    """

    row: int
    case: str
    expected_label: int
    served_label: int
    expected_probability: float
    served_probability: float | None


class SkewResult(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and sums over the compared rows; add two of them to merge. `mismatches` is a sample of at most 10.

    A row's difference is the largest difference of its classes' probabilities; for a regressor, that of its value,
    relative to `value_scale`.
    """

    rows: int = 0
    equal_labels: int = 0
    equal_probabilities: int = 0
    max_abs_difference: float = 0.0
    sum_abs_difference: float = 0.0
    mismatches: tuple[Mismatch, ...] = ()

    def __add__(self, other: "SkewResult") -> "SkewResult":
        return SkewResult(
            rows=self.rows + other.rows,
            equal_labels=self.equal_labels + other.equal_labels,
            equal_probabilities=self.equal_probabilities + other.equal_probabilities,
            max_abs_difference=max(self.max_abs_difference, other.max_abs_difference),
            sum_abs_difference=self.sum_abs_difference + other.sum_abs_difference,
            mismatches=(*self.mismatches, *other.mismatches)[:SAMPLE],
        )

    @property
    def prediction_match(self) -> float:
        """Percent of the rows with the expected class; 0 when nothing was compared."""
        return 100 * self.equal_labels / self.rows if self.rows else 0.0

    @property
    def probability_match(self) -> float:
        """Percent of the rows with all probabilities, or the value, within the tolerance; 0 if none was compared."""
        return 100 * self.equal_probabilities / self.rows if self.rows else 0.0

    @property
    def mean_abs_difference(self) -> float:
        """Mean |difference| over the compared rows."""
        return self.sum_abs_difference / self.rows if self.rows else 0.0

    @property
    def clean(self) -> bool:
        """Rows were compared, and all of them agree."""
        return self.rows > 0 and self.rows == self.equal_labels == self.equal_probabilities


class Comparison(NamedTuple):
    """Rows and what is expected for them. `labels` int64 [rows]; `numbers` float32 [rows, classes], or [rows, 1] of a
    regressor's values; `cases` and `rows` name each row.
    """

    labels: NDArray[np.int64]
    numbers: NDArray[np.float32]
    cases: Sequence[str]
    rows: Sequence[int]


def compare(
    expected: Comparison,
    served_labels: Sequence[int],
    served_numbers: Sequence[Sequence[float]],
    *,
    tolerance: float,
    relative: bool,
) -> SkewResult:
    """Compare the answers with what was expected. If `relative`, the numbers are values: a difference is relative to
    `value_scale`, and NaN is right where the expected value is not finite.

    NaN where a number is expected counts as a difference of 1.

    Raises:
        ValueError: the lengths differ, so that it is unknown which answer belongs to which row.
    """
    if not len(served_labels) == len(served_numbers) == len(expected.rows):
        raise ValueError(f"{len(served_labels)} answers for {len(expected.rows)} rows")
    served = np.asarray(served_numbers, dtype=np.float64).reshape(expected.numbers.shape)
    differences = np.abs(served - expected.numbers)
    if relative:
        infinite = ~np.isfinite(expected.numbers)
        differences /= np.maximum(1.0, np.abs(np.where(infinite, 0, expected.numbers)))
        differences[infinite] = np.where(np.isnan(served[infinite]), 0.0, 1.0)
    differences = np.nan_to_num(differences, nan=1.0)
    shown = np.ones(len(differences), dtype=int) if differences.shape[1] == 2 else differences.argmax(axis=1)
    largest = differences.max(axis=1, initial=0.0)
    same_label, same_number = np.asarray(served_labels) == expected.labels, largest <= tolerance
    return SkewResult(
        rows=len(expected.rows),
        equal_labels=int(same_label.sum()),
        equal_probabilities=int(same_number.sum()),
        max_abs_difference=float(largest.max(initial=0.0)),
        sum_abs_difference=float(largest.sum()),
        mismatches=tuple(
            Mismatch(
                row=expected.rows[i],
                case=expected.cases[i],
                expected_label=int(expected.labels[i]),
                served_label=served_labels[i],
                expected_probability=float(expected.numbers[i, shown[i]]),
                served_probability=_number_or_none(served[i, shown[i]]),
            )
            for i in np.flatnonzero(~(same_label & same_number))[:SAMPLE].tolist()
        ),
    )


def _number_or_none(number: float) -> float | None:
    return None if math.isnan(number) else float(number)
