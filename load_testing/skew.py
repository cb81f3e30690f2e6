"""Serving skew: how far the answers of a service are from the reference predictions. Pure comparison, no IO."""

import math
from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-6
SAMPLE = 10


class Mismatch(msgspec.Struct, frozen=True):
    """A row that was answered differently. Labels are class indices, probabilities those of the positive class."""

    row: int
    case: str
    expected_label: int
    served_label: int
    expected_probability: float
    served_probability: float | None


class SkewResult(msgspec.Struct, frozen=True, kw_only=True):
    """Counts and sums over the compared rows; add two of them to merge. `mismatches` is a sample of at most 10."""

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
        """Percent of the rows with P(positive) within the tolerance; 0 when nothing was compared."""
        return 100 * self.equal_probabilities / self.rows if self.rows else 0.0

    @property
    def mean_abs_difference(self) -> float:
        """Mean |difference| of P(positive) over the compared rows."""
        return self.sum_abs_difference / self.rows if self.rows else 0.0

    @property
    def clean(self) -> bool:
        """Rows were compared, and all of them agree."""
        return self.rows > 0 and self.rows == self.equal_labels == self.equal_probabilities


def compare(
    expected_labels: NDArray[np.int8],
    expected_probabilities: NDArray[np.float32],
    served_labels: Sequence[int],
    served_probabilities: Sequence[float],
    cases: Sequence[str],
    rows: Sequence[int],
) -> SkewResult:
    """Compare the answers with what was expected, all of one length; `rows` are the row numbers in the reference.

    A probability that is not a number counts as the largest difference there can be, 1.

    Raises:
        ValueError: the lengths differ, so that it is unknown which answer belongs to which row.
    """
    columns = (expected_labels, expected_probabilities, served_labels, served_probabilities, cases)
    if any(len(column) != len(rows) for column in columns):
        raise ValueError(f"{len(served_labels)} answers for {len(rows)} rows")
    difference = np.nan_to_num(np.abs(np.asarray(served_probabilities) - expected_probabilities), nan=1.0)
    same_label, same_probability = np.asarray(served_labels) == expected_labels, difference <= TOLERANCE
    differing = np.flatnonzero(~(same_label & same_probability))[:SAMPLE].tolist()
    return SkewResult(
        rows=len(rows),
        equal_labels=int(same_label.sum()),
        equal_probabilities=int(same_probability.sum()),
        max_abs_difference=float(difference.max(initial=0.0)),
        sum_abs_difference=float(difference.sum()),
        mismatches=tuple(
            Mismatch(
                row=rows[i],
                case=cases[i],
                expected_label=int(expected_labels[i]),
                served_label=served_labels[i],
                expected_probability=float(expected_probabilities[i]),
                served_probability=None if math.isnan(served_probabilities[i]) else served_probabilities[i],
            )
            for i in differing
        ),
    )
