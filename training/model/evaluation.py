"""Scores of a model on rows that it had not seen, and the threshold that gives the best score.

Definitions as in scikit-learn's user guide, "Classification metrics" and "Regression metrics"; F-beta after C. J. van
Rijsbergen, Information Retrieval, 1979. `training.model.score` says what targets and outputs look like.
"""

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    f1_score,
    log_loss,
    mean_absolute_error,
    median_absolute_error,
    r2_score,
    roc_auc_score,
    root_mean_squared_error,
)

from training.model.score import Output, Score, Target

RESAMPLES = 2000
"""How often an F-beta is resampled: each resample is four numbers."""

RESAMPLES_OF_ROWS = 100
THRESHOLDS = 50
"""Candidates for the threshold of a score that isn't F-beta: quantiles of the predicted probabilities."""


@dataclass(frozen=True)
class Scored:
    """Rows and what a model that had not seen them gave: targets [rows] and outputs."""

    target: Target
    output: Output


def f_beta_curve(
    target: NDArray[np.int_] | NDArray[np.float64], probability: Output, beta: float
) -> tuple[NDArray[np.float64], ...]:
    """F-beta of "positive where probability >= t" for every distinct score t, in one sort.

    A `target` of probabilities instead of 0 and 1 gives the expected F-beta.

    Returns:
        (thresholds, scores), both [distinct scores], thresholds descending.
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last_of_ties = np.append(np.nonzero(np.diff(ranked))[0], ranked.size - 1)
    true_positives = np.cumsum(target[order])[last_of_ties]
    predicted = last_of_ties + 1
    scores = (1 + beta**2) * true_positives / (beta**2 * target.sum() + predicted)
    return ranked[last_of_ties], scores


def calibrated(target: NDArray[np.int_], probability: Output) -> NDArray[np.float64]:
    """How likely a row with this score is positive: a logistic curve on the scores' log-odds, after J. Platt, 1999.

    Targets of a single class are returned as they are.
    """
    if target.min() == target.max():
        return target.astype(np.float64)
    bounded = np.clip(probability.astype(np.float64), 1e-7, 1 - 1e-7)
    log_odds = np.log(bounded / (1 - bounded)).reshape(-1, 1)
    curve = LogisticRegression(C=1e6).fit(log_odds, target)
    likelihood: NDArray[np.float64] = curve.predict_proba(log_odds)[:, 1]
    return likelihood


def best_threshold(score: Score, target: Target, probability: Output) -> float:
    """The threshold of the highest score, exactly representable as float32; 0.5 for a score that needs none.

    F-beta: the highest point of the rows' own curve would be noise, since that curve is flat around its top. The F-beta
    expected from calibrated scores has a smooth curve with the same top (that is where a row's probability is
    F / (1 + beta²); see Z. Lipton et al., "Optimal Thresholding of Classifiers to Maximize F1 Measure", 2014). In ten
    splits inside Adult's training rows its thresholds had a ninth of the scatter, and 0.0008 more F2 on unseen rows.

    The threshold lies halfway to the next lower score, so that a rounding difference of one float32 step in a
    probability flips no label among the rows that chose it.
    """
    if not score.needs_threshold:
        return 0.5
    if score.beta is None:
        return _best_of_quantiles(score, target, probability)
    thresholds, scores = f_beta_curve(calibrated(target, probability), probability, score.beta)
    best = int(scores.argmax())
    if best + 1 == thresholds.size:
        return float(thresholds[best])
    return _between(thresholds[best], thresholds[best + 1])


def _best_of_quantiles(score: Score, target: Target, probability: Output) -> float:
    candidates = np.unique(np.quantile(probability, np.linspace(0, 1, THRESHOLDS), method="nearest"))
    scores = [score(target, probability, float(threshold)) for threshold in candidates]
    best = int(np.argmax(scores))
    return float(candidates[0]) if best == 0 else _between(candidates[best], candidates[best - 1])


def _between(upper: np.float32, lower: np.float32) -> float:
    """Halfway between two scores, above the lower one."""
    middle = np.float32((np.float32(upper) + np.float32(lower)) / 2)
    return float(middle if middle > lower else upper)


def tuned(score: Score, target: Target, output: Output) -> float:
    """The score that the rows have at their own `best_threshold`."""
    if score.task != "binary_classification":
        return score(target, output)
    return score(target, output, best_threshold(score, target, output))


def standard_error(score: Score, scored: Scored, threshold: float | None, *, seed: int = 0) -> float:
    """Bootstrap standard error of the score: the rows are redrawn, the model and the threshold stay as they are.

    See B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, chapter 6. For an F-beta, drawing rows means
    drawing the four counts of the confusion matrix.
    """
    generator = np.random.default_rng(seed)
    if score.beta is not None:
        predicted = scored.output >= np.float32(threshold or 0.0)
        return _f_beta_error(scored.target, predicted, score.beta, generator)
    rows = len(scored.target)
    values = []
    for _ in range(RESAMPLES_OF_ROWS):
        drawn = generator.integers(0, rows, rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a small sample may lack a class, and the scorer then warns
            values.append(score(scored.target[drawn], scored.output[drawn], threshold))
    return float(np.nanstd(values, ddof=1))


def _f_beta_error(target: Target, predicted: NDArray[np.bool_], beta: float, generator: np.random.Generator) -> float:
    positive = target == 1
    counts = [(predicted & positive).sum(), (predicted & ~positive).sum(), (~predicted & positive).sum()]
    shares = np.array([*counts, len(target) - sum(counts)]) / len(target)
    hits, false_alarms, misses, _ = generator.multinomial(len(target), shares, RESAMPLES).T
    denominators = (1 + beta**2) * hits + beta**2 * misses + false_alarms
    return float(np.std((1 + beta**2) * hits / np.maximum(denominators, 1), ddof=1))


def measure(score: Score, scored: Scored, threshold: float | None) -> dict[str, float]:
    """The score under its own name, then what else is usual for the task."""
    if score.task == "regression":
        scores = _of_values(scored.target, scored.output)
    elif score.task == "binary_classification":
        scores = _of_two_classes(scored.target, scored.output, 0.5 if threshold is None else threshold)
    else:
        scores = _of_classes(scored.target, scored.output)
    return {score.name: score(scored.target, scored.output, threshold), **scores}


def _of_two_classes(target: Target, probability: Output, threshold: float) -> dict[str, float]:
    """Scores at the threshold, then those over all thresholds, then the confusion counts."""
    predicted = probability >= np.float32(threshold)
    true_positives = int((predicted & (target == 1)).sum())
    false_positives = int((predicted & (target == 0)).sum())
    positives, rows = int(target.sum()), int(target.size)
    false_negatives = positives - true_positives
    true_negatives = rows - positives - false_positives
    return {
        "f1": 2 * true_positives / max(2 * true_positives + false_positives + false_negatives, 1),
        "precision": true_positives / max(true_positives + false_positives, 1),
        "recall": true_positives / positives,
        "accuracy": (true_positives + true_negatives) / rows,
        "pr_auc": float(average_precision_score(target, probability)),
        "roc_auc": float(roc_auc_score(target, probability)),
        "brier": float(brier_score_loss(target, probability)),
        "log_loss": float(log_loss(target, probability.astype(np.float64))),
        "true_positives": true_positives,
        "false_positives": false_positives,
        "false_negatives": false_negatives,
        "true_negatives": true_negatives,
    }


def _of_classes(target: Target, probabilities: Output) -> dict[str, float]:
    classes = list(range(probabilities.shape[1]))
    predicted = probabilities.argmax(axis=1)
    wide = probabilities.astype(np.float64)
    wide /= wide.sum(axis=1, keepdims=True)
    return {
        "accuracy": float(accuracy_score(target, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(target, predicted)),
        "f1_macro": float(f1_score(target, predicted, average="macro", labels=classes, zero_division=0)),
        "roc_auc_ovr": float(roc_auc_score(target, wide, multi_class="ovr", labels=classes)),
        "log_loss": float(log_loss(target, wide, labels=classes)),
    }


def _of_values(target: Target, values: Output) -> dict[str, float]:
    predicted = values.astype(np.float64)
    return {
        "r2": float(r2_score(target, predicted)),
        "rmse": float(root_mean_squared_error(target, predicted)),
        "mae": float(mean_absolute_error(target, predicted)),
        "median_ae": float(median_absolute_error(target, predicted)),
        "bias": float(np.mean(predicted - target)),
    }


def trivial_output(score: Score, training_target: Target, rows: int) -> tuple[Output, float | None]:
    """The output of a model that looks at no feature, and its threshold: the classes' shares, or the mean.

    With two classes the threshold makes it always answer yes or always no, whichever scores higher in training.
    """
    if score.task == "regression":
        return np.full(rows, np.float32(np.mean(training_target))), None
    shares = (np.bincount(training_target) / len(training_target)).astype(np.float32)
    if score.task == "multiclass_classification":
        return np.tile(shares, (rows, 1)), None
    constant = np.full(len(training_target), shares[1])
    yes, no = float(shares[1]), 2.0
    threshold = yes if score(training_target, constant, yes) >= score(training_target, constant, no) else no
    return np.full(rows, shares[1]), threshold
