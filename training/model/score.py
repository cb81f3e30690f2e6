"""The score that a study maximises: an F-beta of the positive class, or any scorer that scikit-learn knows by name.

Outputs of a model are, everywhere in training, one float32 array: P(positive) [rows] of a binary classifier, P(class)
[rows, K] of one with more classes, values [rows] of a regressor. Targets are class indices, or values.
"""

import difflib
import re
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names

from bundle.graph_names import Task
from training.errors import TrainingError

DEFAULTS: dict[Task, str] = {
    "binary_classification": "f2",
    "multiclass_classification": "f1_macro",
    "regression": "r2",
}
EXAMPLES: dict[Task, str] = {
    "binary_classification": "f1, f0.5, roc_auc, average_precision, balanced_accuracy, neg_log_loss",
    "multiclass_classification": "f1_macro, balanced_accuracy, accuracy, roc_auc_ovr, neg_log_loss",
    "regression": "r2, neg_mean_absolute_error, neg_root_mean_squared_error",
}
_F_BETA = re.compile(r"f(\d+(?:\.\d+)?)")

Target = NDArray[Any]
Output = NDArray[np.float32]


@dataclass(frozen=True)
class Score:
    """`name` is what `SCORE` takes; larger values are better. `beta` is None for scikit-learn's scorers."""

    name: str
    task: Task
    beta: float | None = None

    @property
    def label(self) -> str:
        """How reports write it."""
        return label_of(self.name)

    @property
    def needs_threshold(self) -> bool:
        """Whether it scores labels, so that it depends on a binary classifier's threshold."""
        return self.task == "binary_classification" and (self.beta is not None or not self._ranks)

    @cached_property
    def _ranks(self) -> bool:
        """Whether a scorer of a binary classifier asks for probabilities instead of labels."""
        probe = _GivenClassifier(np.array([0, 1]), np.array([0.25, 0.75], dtype=np.float32), 0.5)
        get_scorer(self.name)(probe, np.zeros((2, 1)), np.array([0, 1]))
        return probe.asked_for_probabilities

    def __call__(self, target: Target, output: Output, threshold: float | None = None) -> float:
        """The score of `output`; `threshold` turns P(positive) into labels, and is for binary classifiers only."""
        if self.beta is not None:
            return f_beta(target, output >= np.float32(threshold or 0.0), self.beta)
        estimator: BaseEstimator
        if self.task == "regression":
            estimator = _GivenRegressor(output)
        else:
            classes = np.arange(2 if output.ndim == 1 else output.shape[1])
            estimator = _GivenClassifier(classes, output, 0.5 if threshold is None else threshold)
        return float(get_scorer(self.name)(estimator, np.zeros((len(target), 1)), target))


def label_of(name: str) -> str:
    """How reports write a score's name: F2, or scikit-learn's own."""
    return name.upper() if _F_BETA.fullmatch(name) else name


def number_text(value: float) -> str:
    """A score for a report: four decimals, but one for large values, and a significant digit for tiny ones."""
    if abs(value) >= 1000:
        return f"{value:,.1f}"
    return f"{value:.4f}" if abs(value) >= 0.00005 or value == 0 else f"{value:.1g}"


def parse_score(name: str, task: Task) -> Score:
    """The score of that name, "" being the task's default.

    Raises:
        TrainingError: there is none, or it is not for the task. The message names some that are.
    """
    name = name or DEFAULTS[task]
    match = _F_BETA.fullmatch(name)
    score = Score(name, task, float(match[1]) if match else None)
    if match and (task != "binary_classification" or not 0 < float(match[1]) < 100):
        raise TrainingError(f"SCORE={name}: F-beta is for two classes; for this data choose {EXAMPLES[task]}")
    if not match and name not in get_scorer_names():
        near = difflib.get_close_matches(name, get_scorer_names(), 3)
        hint = f"did you mean {' or '.join(near)}?" if near else f"for example {EXAMPLES[task]}"
        raise TrainingError(f"SCORE={name}: not F-beta, and not a scorer of scikit-learn; {hint}")
    if not match and not _fits(score):
        raise TrainingError(f"SCORE={name}: not for {task.replace('_', ' ')}; choose for example {EXAMPLES[task]}")
    return score


def _fits(score: Score) -> bool:
    """Whether the scorer can score an output of this task."""
    target: Target = np.array([0, 1, 0, 1, 1])
    output = np.array([0.25, 0.75, 0.5, 0.75, 0.25], dtype=np.float32)
    if score.task == "multiclass_classification":
        target = np.array([0, 1, 2, 1, 2])
        output = np.full((5, 3), 0.25, dtype=np.float32) + np.float32(0.25) * np.eye(3, dtype=np.float32)[target]
    elif score.task == "regression":
        target = output + np.float32(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = score(target, output)
    except (ValueError, TypeError, AttributeError):
        return False
    return bool(np.isfinite(value))


def f_beta(target: Target, predicted: NDArray[np.bool_], beta: float) -> float:
    """F-beta of the positive class; 0 if no row is positive or predicted to be."""
    true_positives = int(target[predicted].sum())
    both = beta**2 * int(target.sum()) + int(predicted.sum())
    return (1 + beta**2) * true_positives / both if both else 0.0


class _GivenClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Stands for a fitted classifier whose answers are known: scikit-learn's scorers score estimators only."""

    def __init__(self, classes: NDArray[np.int_], output: Output, threshold: float) -> None:
        self.classes_ = classes
        self.output = output
        self.threshold = threshold
        self.asked_for_probabilities = False

    def predict_proba(self, _: object) -> NDArray[np.float64]:
        self.asked_for_probabilities = True
        if self.output.ndim == 1:
            return np.column_stack([1 - self.output.astype(np.float64), self.output])
        wide = self.output.astype(np.float64)  # its rows sum to 1 only in float32
        return np.asarray(wide / wide.sum(axis=1, keepdims=True))

    def predict(self, _: object) -> NDArray[np.int_]:
        if self.output.ndim == 1:
            return np.asarray(self.output >= np.float32(self.threshold)).astype(int)
        return np.asarray(self.output.argmax(axis=1))


class _GivenRegressor(RegressorMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Stands for a fitted regressor in the same way."""

    def __init__(self, output: Output) -> None:
        self.output = output

    def predict(self, _: object) -> NDArray[np.float64]:
        return self.output.astype(np.float64)
