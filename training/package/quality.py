"""What the gate can't see, because graph and model share it: how well the model answers the rows that it came with, and
what rounding their numbers to float32 changes.
"""

import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import polars as pl
from sklearn.metrics import accuracy_score, balanced_accuracy_score, mean_absolute_error, r2_score

from bundle.tolerance import PROBABILITY_TOLERANCE, VALUE_TOLERANCE
from training.export.interface import Interface, Tensors
from training.export.parity import distance
from training.export.predictions import Predictions


class Rounding(NamedTuple):
    """How many of the rows the model answers differently with unrounded numbers: by more than the usual tolerance, and
    with another class. `largest` is the largest difference; `rows` counts those with a number that is no float32.
    """

    rows: int
    changed: int
    labels: int
    largest: float

    def lines(self) -> list[str]:
        """What a person should know about it."""
        if not self.changed:
            return [f"rounding   {self.rows:,} rows have numbers that float32 rounds; none gets another answer by it"]
        return [
            f"rounding   without rounding to float32, as services do, the model answers {self.changed:,} of "
            f"{self.rows:,} rows otherwise:",
            f"           largest difference {self.largest:.2g}"
            + (f", another class for {self.labels:,}" if self.labels else "")
            + "; fit the model on float32 numbers to avoid it",
        ]


class TargetScore(NamedTuple):
    """The model's scores on the rows whose target is known: name to value. `least` is what the first one has to exceed,
    the score of a model that looks at no feature.
    """

    rows: int
    unknown: int
    scores: dict[str, float]
    least: float

    def lines(self) -> list[str]:
        """The scores, and a warning if they are no better than those of a model that looks at no feature."""
        first, *others = self.scores
        rest = "".join(f", {name} {self.scores[name]:.4g}" for name in others)
        left_out = f" ({self.unknown:,} without one that the model knows are left out)" if self.unknown else ""
        lines = [
            f"target     {self.rows:,} rows{left_out}: {first} {self.scores[first]:.4f}{rest}; "
            f"a model that looks at no feature has {first} {self.least:.4g}"
        ]
        if not self.scores[first] > self.least:
            lines.append(
                "warning: on ROWS the model is no better than one that looks at no feature: are TARGET, the columns "
                "and the classes those of the model, and in its order?"
            )
        return lines


def compare_unrounded(
    interface: Interface, answer: Callable[[Tensors], Predictions], rows: pl.DataFrame, answers: Predictions
) -> Rounding | None:
    """What rounding changes, given the model's `answers` to the rounded rows; None if all numbers are float32."""
    exact = interface.tensors(rows, np.float64)
    rounded = interface.tensors(rows).numeric
    differs = ((exact.numeric != rounded) & ~np.isnan(rounded)).any(axis=1)
    count = int(differs.sum())
    if not count:
        return None
    got, want = answer(Tensors(exact.categorical[differs], exact.numeric[differs])), answers.at(differs)
    apart = distance(interface, want, got)
    moved = got.labels != want.labels
    usual = VALUE_TOLERANCE if interface.task == "regression" else PROBABILITY_TOLERANCE
    changed = moved | ~(apart <= usual)
    return Rounding(count, int(changed.sum()), int(moved.sum()), float(np.nanmax(apart, initial=0.0)))


def score_rows(interface: Interface, answers: Predictions, target: pl.Series) -> TargetScore | None:
    """The scores of the answers, given class indices or values, null where unknown; None if all are null."""
    known = target.is_not_null().to_numpy()
    if not known.any():
        return None
    truth, given = target.drop_nulls().to_numpy(), answers.at(known)
    scores: dict[str, float] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few rows may lack a class, and R² needs two rows
        if interface.task == "regression":
            values = given.numbers[:, 0].astype(np.float64)
            scores["R²"] = float(r2_score(truth, values))
            scores["mean absolute error"] = float(mean_absolute_error(truth, values))
            least = 0.0
        else:
            scores["balanced accuracy"] = float(balanced_accuracy_score(truth, given.labels))
            scores["accuracy"] = float(accuracy_score(truth, given.labels))
            least = 1 / len(np.unique(truth))
    return TargetScore(int(known.sum()), int((~known).sum()), scores, least)
