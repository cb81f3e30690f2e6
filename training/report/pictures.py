"""The pictures of a training run. Each function draws on given axes; `pictures_for` says which ones suit a run."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial, TrialState
from sklearn.calibration import calibration_curve
from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

from bundle.manifest import Manifest
from training.model.evaluation import Scored
from training.model.score import Score
from training.report.front_report import BLUE, GREY, ORANGE, draw_front

PARETO = "pareto"

ENOUGH_TRIALS = 20
"""The least number of complete trials with which the importance of parameters is meaningful."""

MOST_FEATURES = 25
MOST_CLASSES_WRITTEN = 12
MOST_POINTS = 5000


@dataclass(frozen=True)
class Evidence:
    """What the pictures are drawn from; `importance` is each feature's share, empty where it isn't known."""

    score: Score
    study: optuna.Study
    held_out: Scored
    out_of_sample: Scored
    importance: dict[str, float]


Draw = Callable[[Axes, Manifest, Evidence], None]


def pictures_for(manifest: Manifest, evidence: Evidence) -> dict[str, tuple[str, Draw]]:
    """File name to title and drawing of every picture of this run, in their order."""
    pictures: dict[str, tuple[str, Draw]] = {}
    complete = _complete(evidence.study)
    if len(complete) > 1:
        pictures["study_history"] = ("Study history", _study_history)
    if manifest.record.study.front:
        pictures[PARETO] = ("Score against latency", _pareto)
    if len(complete) >= ENOUGH_TRIALS and _parameter_shares(evidence.study):
        pictures["parameter_importance"] = ("Importance of the parameters", _parameter_importance)
    pictures |= _OF_TASK[manifest.task]
    if evidence.importance:
        pictures["feature_importance"] = ("Importance of the features", _feature_importance)
    return pictures


def _complete(study: optuna.Study) -> list[FrozenTrial]:
    return list(study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,)))


def _study_history(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    trials = evidence.study.get_trials(deepcopy=False)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    pruned = [trial for trial in trials if trial.state is TrialState.PRUNED and trial.intermediate_values]
    last = [trial.intermediate_values[max(trial.intermediate_values)] for trial in pruned]
    values = [trial.values[0] for trial in complete]
    if pruned:
        axes.scatter([t.number for t in pruned], last, s=16, color=GREY, marker="x", label="pruned, where it stopped")
    axes.scatter([t.number for t in complete], values, s=16, color=BLUE, label="complete")
    axes.step(
        [t.number for t in complete], np.maximum.accumulate(values), where="post", color=ORANGE, label="best so far"
    )
    axes.set(xlabel="trial", ylabel=f"{evidence.score.label}, out of fold")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if (trivial := manifest.record.metrics.trivial) is not None:
        _no_skill(axes, trivial)
    _legend(axes, "best")


def _no_skill(axes: Axes, score: float) -> None:
    """The score of a model that looks at no feature: a line, or words where it is far from all trials."""
    low, high = axes.get_ylim()
    shown = f"no skill: {round(score, 3) + 0.0:.3f}"  # -0.0 is 0
    if 2 * low - high <= score <= 2 * high - low:
        axes.axhline(score, color=GREY, linewidth=1, linestyle="--", label=shown)
    else:
        axes.plot([], [], color=GREY, linewidth=1, linestyle="--", label=f"{shown}, outside")


def _pareto(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    draw_front(axes, manifest.record.study, evidence.study.get_trials(deepcopy=False))


def _parameter_shares(study: optuna.Study) -> dict[str, float]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            return dict(get_param_importances(study))  # with two objectives: for being near the front
    except (UserWarning, RuntimeError, ValueError):  # what Optuna raises for too few trials, or if all have one score
        return {}


def _parameter_importance(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    _bars(axes, _parameter_shares(evidence.study), "share in what sets the best trials apart (PED-ANOVA)")


def _feature_importance(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    shown = dict(list(evidence.importance.items())[:MOST_FEATURES])
    more = len(evidence.importance) - len(shown)
    _bars(axes, shown, "share of the trees' total gain" + (f" (and {more} more features)" if more else ""))


def _bars(axes: Axes, shares: dict[str, float], label: str) -> None:
    names = list(reversed(shares))
    bars = axes.barh([_short(name) for name in names], [shares[name] for name in names], color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    axes.set_xlabel(label)


def _precision_recall(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    held_out = evidence.held_out
    for name, color, scored, key in _both(evidence):
        precision, recall, _ = precision_recall_curve(scored.target, scored.output)
        area = getattr(manifest.record.metrics, key)["pr_auc"]
        axes.plot(recall, precision, color=color, label=f"{name}, area {area:.3f}")
    base = float(held_out.target.mean())
    axes.axhline(base, color=GREY, linewidth=1, linestyle="--", label=f"no skill: base rate {base:.3f}")
    at = manifest.record.metrics.held_out
    label = f"threshold {manifest.decision_threshold:.3f}: {evidence.score.label} {at[evidence.score.name]:.3f}"
    axes.plot(at["recall"], at["precision"], "o", color=ORANGE, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    _legend(axes, "lower left")


def _roc(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    for name, color, scored, key in _both(evidence):
        false, true, _ = roc_curve(scored.target, scored.output)
        axes.plot(
            false, true, color=color, label=f"{name}, area {getattr(manifest.record.metrics, key)['roc_auc']:.3f}"
        )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="no skill")
    axes.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
    _legend(axes, "lower right")


def _legend(axes: Axes, place: str) -> None:
    """A legend on a background of its own, so that no line runs through its text."""
    axes.legend(loc=place, facecolor="white", edgecolor="none", framealpha=0.9)


def _both(evidence: Evidence) -> Sequence[tuple[str, str, Scored, str]]:
    return (
        ("out of sample", GREY, evidence.out_of_sample, "out_of_fold"),
        ("held out", BLUE, evidence.held_out, "held_out"),
    )


def _calibration(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    held_out = evidence.held_out
    observed, predicted = calibration_curve(held_out.target, held_out.output, n_bins=15, strategy="quantile")
    weight = manifest.record.study.best_parameters.get("scale_pos_weight")
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="perfect")
    weighted = f" (class weight {weight:.2f})" if weight is not None else ""
    axes.plot(predicted, observed, "o-", color=BLUE, markersize=4, label=f"held out{weighted}")
    base = float(held_out.target.mean())
    axes.axhline(base, color=GREY, linewidth=1, linestyle="--", label=f"base rate {base:.3f}")
    axes.axvline(manifest.decision_threshold or 0.0, color=ORANGE, linewidth=1, label="threshold")
    axes.set(xlabel=f"predicted P({_short(manifest.positive_class)})", ylabel="observed fraction")
    _legend(axes, "lower right")


def _confusion_matrix(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    output = evidence.held_out.output
    threshold = np.float32(manifest.decision_threshold or 0.0)
    predicted = (output >= threshold).astype(int) if output.ndim == 1 else output.argmax(axis=1)
    counts = confusion_matrix(evidence.held_out.target, predicted, labels=range(len(manifest.classes)))
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(manifest.classes) <= MOST_CLASSES_WRITTEN:
        size = 10 if len(manifest.classes) <= 4 else 7
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if share[row, column] > 0.5 else "black"
            text = f"{int(count):,}\n{share[row, column]:.1%}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize=size)
    names = [_short(label) for label in manifest.classes]
    axes.set_xticks(range(len(names)), names, rotation=0 if len(names) <= 4 else 90)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)


def _predicted_against_true(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    target, output = _points(evidence.held_out)
    low, high = float(min(target.min(), output.min())), float(max(target.max(), output.max()))
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, label="perfect")
    mean = float(evidence.out_of_sample.target.mean())
    axes.axhline(mean, color=ORANGE, linewidth=1, linestyle="--", label="no skill: the training rows' mean")
    axes.scatter(target, output, s=8, alpha=0.4, color=BLUE, label="held out")
    axes.set(xlabel="true", ylabel="predicted")
    _legend(axes, "upper left")


def _residuals(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    target, output = _points(evidence.held_out)
    axes.axhline(0, color=GREY, linewidth=1)
    axes.scatter(output, output - target, s=8, alpha=0.4, color=BLUE)
    axes.set(xlabel="predicted", ylabel="predicted \N{MINUS SIGN} true, held out")


def _points(scored: Scored) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_POINTS` points, evenly drawn: a picture can't show more."""
    step = max(1, len(scored.target) // MOST_POINTS)
    return scored.target[::step], scored.output[::step]


def _short(label: object) -> str:
    text = str(label)
    return text if len(text) <= 24 else f"{text[:23]}…"


_CONFUSION: tuple[str, Draw] = ("Confusion matrix, held out", _confusion_matrix)
_OF_TASK: dict[str, dict[str, tuple[str, Draw]]] = {
    "binary_classification": {
        "precision_recall": ("Precision and recall, with the chosen threshold", _precision_recall),
        "roc": ("Receiver operating characteristic", _roc),
        "calibration": ("Calibration", _calibration),
        "confusion_matrix": _CONFUSION,
    },
    "multiclass_classification": {"confusion_matrix": _CONFUSION},
    "regression": {
        "predicted_against_true": ("Predicted against true", _predicted_against_true),
        "residuals": ("Residuals", _residuals),
    },
}
ALL = frozenset(
    {"study_history", PARETO, "parameter_importance", "feature_importance"}
    | {name for pictures in _OF_TASK.values() for name in pictures}
)
"""Every picture that a run may have: those of an earlier run that this one doesn't have are removed."""
