"""What the gate can't see, because graph and model share it: how well the model answers the rows that it came with, and
what rounding their numbers to float32 changes.
"""

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import accuracy_score, balanced_accuracy_score, mean_absolute_error, r2_score

from bundle.manifest import ClassLabel
from training.export.interface import Interface, Tensors
from training.export.parity import distance, usual_tolerance
from training.export.predictions import Predictions
from training.model.score import number_text

MUCH_BETTER = 0.2
"""So much more accuracy with the classes in another order means that they are in the wrong one."""


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
        lines = [f"rounding   rows with numbers that are rounded to float32, as services do: {self.rows:,}"]
        if not self.changed:
            return [f"{lines[0]}; none gets another answer by it"]
        return [
            *lines,
            f"warning: the model's own answer to {self.changed:,} of them is another one without rounding: it differs "
            f"by up to {self.largest:.2g}"
            + (f", and in the class for {self.labels:,}" if self.labels else "")
            + "; fit the model on float32 numbers to avoid it",
        ]


class TargetScore(NamedTuple):
    """The scores of the answers, as services give them, to the rows whose target is known: name to value. `least` is
    what the first one has to exceed, the score of a model that looks at no feature; None where targets are all alike or
    so large that there is no score. `reordered`: the classes in an order in which the accuracy would be clearly higher,
    and that accuracy.
    """

    rows: int
    unknown: int
    scores: dict[str, float]
    least: float | None
    reordered: tuple[tuple[ClassLabel, ...], float] | None = None

    def lines(self, *, rounding_matters: bool = False) -> list[str]:
        """The scores, and a warning if they are no better than those of a model that looks at no feature."""
        first, *others = self.scores
        rest = "".join(f", {name} {self.scores[name]:.4g}" for name in others)
        left_out = f" ({self.unknown:,} without one that the model knows are left out)" if self.unknown else ""
        lines = [f"target     {counted(self.rows)}{left_out}: {first} {number_text(self.scores[first])}{rest}"]
        if self.least is None:
            return lines
        lines[0] += f"; a model that looks at no feature has {first} {self.least:.4g}"
        if self.reordered is not None:
            order, accuracy = self.reordered
            lines.append(
                f"warning: with the classes in the order {', '.join(map(str, order))} the accuracy would be "
                f"{accuracy:.4g}: are they in the model's order, and is TARGET the right column?"
            )
        elif not self.scores[first] > self.least:
            cause = "are TARGET and the columns those of the model, and in its order?"
            if rounding_matters:
                cause = "what rounding changes may be the cause"
            lines.append(f"warning: on ROWS the model is no better than one that looks at no feature: {cause}")
        return lines


def counted(rows: int) -> str:
    """`1 row`, `2,000 rows`."""
    return f"{rows:,} row{'' if rows == 1 else 's'}"


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
    changed = moved | ~(apart <= usual_tolerance(interface))
    return Rounding(count, int(changed.sum()), int(moved.sum()), float(np.nanmax(apart, initial=0.0)))


def score_rows(interface: Interface, answers: Predictions, target: pl.Series) -> TargetScore | None:
    """The scores of the answers, given class indices or values, null where unknown; None if all are null."""
    known = target.is_not_null().to_numpy()
    if not known.any():
        return None
    truth, given = target.drop_nulls().to_numpy(), answers.at(known)
    scores: dict[str, float] = {}
    least: float | None
    reordered = None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a few rows may lack a class, and R² needs two rows
        if interface.task == "regression":
            values = given.numbers[:, 0].astype(np.float64)
            scores["R²"] = float(r2_score(truth, values))
            scores["mean absolute error"] = float(mean_absolute_error(truth, values))
            least = 0.0 if len(np.unique(truth)) > 1 and np.isfinite(scores["R²"]) else None
        else:
            scores["balanced accuracy"] = float(balanced_accuracy_score(truth, given.labels))
            scores["accuracy"] = float(accuracy_score(truth, given.labels))
            least = 1 / len(np.unique(truth)) if len(np.unique(truth)) > 1 else None
            reordered = _better_order(interface, truth, given.labels, scores["accuracy"])
    return TargetScore(int(known.sum()), int((~known).sum()), scores, least, reordered)


def _better_order(
    interface: Interface, truth: NDArray[Any], labels: NDArray[np.int64], accuracy: float
) -> tuple[tuple[ClassLabel, ...], float] | None:
    """The assignment of labels to class indices with the highest accuracy, if it is higher by `MUCH_BETTER`."""
    count = len(interface.classes)
    confusion = np.zeros((count, count), dtype=np.int64)  # [class index answered, class index of the target]
    np.add.at(confusion, (labels, truth), 1)
    answered, meant = linear_sum_assignment(confusion, maximize=True)
    best = float(confusion[answered, meant].sum() / len(truth))
    if best < accuracy + MUCH_BETTER:
        return None
    return tuple(interface.classes[place] for place in meant), best
