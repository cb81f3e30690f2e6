"""Scores of a probabilistic binary classifier, and the threshold that maximises F-beta.

Definitions as in scikit-learn's user guide, "Classification metrics"; F-beta after C. J. van Rijsbergen, Information
Retrieval, 1979. Everywhere `target` is an int array [rows] of 0 and 1, and `probability` P(positive), float32 [rows].
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

BETA = 2.0
"""Recall counts four times as much as precision: missing a positive is the costlier mistake here."""

SMOOTHING = 0.025
"""Share of the curve, to either side, that a point is averaged with. The curve is flat around its top, and its highest
single point is noise: splits inside the training rows gave the threshold of the smoothed curve 0.0003 more F2."""


def f_beta_curve(target: NDArray[np.int_], probability: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """F-beta of "positive where probability >= t" for every distinct score t, in one sort.

    Returns:
        (thresholds, scores), both [distinct scores], thresholds descending.
    """
    order = np.argsort(-probability, kind="stable")
    ranked = probability[order]
    last_of_ties = np.append(np.nonzero(np.diff(ranked))[0], ranked.size - 1)
    true_positives = np.cumsum(target[order])[last_of_ties]
    predicted = last_of_ties + 1
    scores = (1 + BETA**2) * true_positives / (BETA**2 * target.sum() + predicted)
    return ranked[last_of_ties], scores


def smoothed(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Moving average over `SMOOTHING` of the curve to either side, the ends continued level."""
    reach = int(SMOOTHING * scores.size)
    if reach == 0:
        return scores
    sums = np.cumsum(np.pad(scores, (reach + 1, reach), mode="edge"))
    window = 2 * reach + 1
    return (sums[window:] - sums[:-window]) / window


def best_f_beta(target: NDArray[np.int_], probability: NDArray[np.float32]) -> float:
    """The highest point of the smoothed F-beta curve: what `best_threshold` can be expected to reach."""
    return float(smoothed(f_beta_curve(target, probability)[1]).max())


def best_threshold(target: NDArray[np.int_], probability: NDArray[np.float32]) -> float:
    """The threshold at the highest point of the smoothed F-beta curve, exactly representable as float32.

    It lies halfway to the next lower score, so that a rounding difference of one float32 step in a probability flips no
    label among the rows that chose it.
    """
    thresholds, scores = f_beta_curve(target, probability)
    best = int(smoothed(scores).argmax())
    if best + 1 == thresholds.size:
        return float(thresholds[best])
    upper, lower = np.float32(thresholds[best]), np.float32(thresholds[best + 1])
    middle = np.float32((upper + lower) / 2)
    return float(middle if middle > lower else upper)


def score(target: NDArray[np.int_], probability: NDArray[np.float32], threshold: float) -> dict[str, float]:
    """Scores at the threshold, then those over all thresholds, then the confusion counts."""
    predicted = probability >= np.float32(threshold)
    true_positives = int((predicted & (target == 1)).sum())
    false_positives = int((predicted & (target == 0)).sum())
    positives, rows = int(target.sum()), int(target.size)
    false_negatives = positives - true_positives
    true_negatives = rows - positives - false_positives
    return {
        "f2": (1 + BETA**2) * true_positives / (BETA**2 * positives + true_positives + false_positives),
        "f1": 2 * true_positives / (2 * true_positives + false_positives + false_negatives),
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
