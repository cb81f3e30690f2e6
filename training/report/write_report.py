"""The training report: pictures of one run as PNG and SVG files, its figures in `report.md` and `report.json`."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import optuna
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from optuna.importance import get_param_importances
from optuna.trial import TrialState
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve

from bundle.files import encode_result, write_files
from bundle.machine import command_line, describe_machine
from bundle.manifest import Manifest
from bundle.table import to_markdown
from training.manifest import LIBRARIES
from training.model.evaluation import Scored
from training.report.front_report import BLUE, GREY, ORANGE, draw_front
from training.report.training_report import TrainedModel, TrainingReport

KINDS = ("png", "svg")
PARETO = "pareto"


@dataclass(frozen=True)
class Evidence:
    """What the pictures are drawn from; `importance` is each feature's share."""

    study: optuna.Study
    held_out: Scored
    out_of_sample: Scored
    importance: dict[str, float]


def write_report(manifest: Manifest, evidence: Evidence, folder: Path) -> None:
    """Draw every picture and write `report.md`, and `report.json`, replacing an earlier report."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures: dict[str, tuple[str, Callable[[Axes, Manifest, Evidence], None]]] = {
        "study_history": ("Study history", _study_history),
        "parameter_importance": ("Importance of the parameters", _parameter_importance),
        "precision_recall": ("Precision and recall, with the chosen threshold", _precision_recall),
        "calibration": ("Calibration", _calibration),
        "confusion_matrix": ("Confusion matrix at the threshold", _confusion_matrix),
        "feature_importance": ("Importance of the features", _feature_importance),
    }
    if manifest.record.study.front:
        pictures[PARETO] = ("Accuracy against latency", _pareto)
    else:
        _remove(folder, PARETO)
    machine = describe_machine((*LIBRARIES, "xgboost-cpu", "xgboost"))
    trained = TrainedModel.of(manifest)
    report = TrainingReport(created=manifest.created, command=command_line(), machine=machine, manifest=trained)
    lines = [f"# {manifest.name} {manifest.version}", "", *_facts(manifest), ""]
    lines += [f"{to_markdown(table)}\n" for table in report.tables()]
    for name, (title, draw) in pictures.items():
        figure = Figure(figsize=(7.2, 4.4), layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        axes.set_title(title, loc="left", fontweight="bold")
        draw(axes, manifest, evidence)
        for kind in KINDS:
            figure.savefig(folder / f"{name}.{kind}", dpi=120)
        lines += [f"## {title}", "", f"![{title}]({name}.png)", ""]
    write_files(folder, {"report.md": "\n".join(lines).encode(), "report.json": encode_result(report)})


def _facts(manifest: Manifest) -> list[str]:
    data, study = manifest.record.data, manifest.record.study
    return [
        f"Trained {manifest.created:%Y-%m-%d %H:%M} UTC on {data.training_rows:,} of {data.rows:,} rows "
        f"(source: **{data.source}**), scored once on {data.held_out_rows:,} held-out rows.",
        f"Study: {study.completed} trials complete, {study.pruned} pruned, {study.folds} folds, seed {study.seed}. "
        f"Decision threshold {manifest.decision_threshold:.6f}, chosen on rows unseen by their model.",
    ]


def _remove(folder: Path, picture: str) -> None:
    """An earlier run's, which this run has not."""
    for kind in KINDS:
        (folder / f"{picture}.{kind}").unlink(missing_ok=True)


def _study_history(axes: Axes, _: Manifest, evidence: Evidence) -> None:
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
    axes.set(xlabel="trial", ylabel="F2, out of fold")
    axes.legend(frameon=False, loc="lower right")


def _pareto(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    draw_front(axes, manifest.record.study, evidence.study.get_trials(deepcopy=False))


def _parameter_importance(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)
            importance = get_param_importances(evidence.study)  # of two objectives: for coming near the front
    except (UserWarning, RuntimeError, ValueError):  # Optuna's answers to too few trials, or to trials of one score
        importance = {}
    if not importance:
        axes.text(0.5, 0.5, "too few trials to tell", ha="center", va="center", transform=axes.transAxes)
        return
    _bars(axes, importance, "share in what sets the best trials apart (PED-ANOVA)")


def _feature_importance(axes: Axes, _: Manifest, evidence: Evidence) -> None:
    _bars(axes, evidence.importance, "share of the trees' total gain")


def _bars(axes: Axes, shares: dict[str, float], label: str) -> None:
    names = list(reversed(shares))
    bars = axes.barh(names, [shares[name] for name in names], color=BLUE)
    axes.bar_label(bars, fmt="%.3f", padding=3, fontsize=8)
    axes.set_xlabel(label)


def _precision_recall(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    curves = (
        ("out of sample", GREY, evidence.out_of_sample.target, evidence.out_of_sample.probability, "out_of_fold"),
        ("held out", BLUE, evidence.held_out.target, evidence.held_out.probability, "held_out"),
    )
    for name, color, target, probability, key in curves:
        precision, recall, _ = precision_recall_curve(target, probability)
        area = getattr(manifest.record.metrics, key)["pr_auc"]
        axes.plot(recall, precision, color=color, label=f"{name}, area {area:.3f}")
    at = manifest.record.metrics.held_out
    label = f"threshold {manifest.decision_threshold:.3f}: F2 {at['f2']:.3f}"
    axes.plot(at["recall"], at["precision"], "o", color=ORANGE, label=label)
    axes.set(xlabel="recall", ylabel="precision", xlim=(0, 1.01), ylim=(0, 1.01))
    axes.legend(frameon=False, loc="lower left")


def _calibration(axes: Axes, manifest: Manifest, evidence: Evidence) -> None:
    held_out = evidence.held_out
    observed, predicted = calibration_curve(held_out.target, held_out.probability, n_bins=15, strategy="quantile")
    weight = manifest.record.study.best_parameters.get("scale_pos_weight", 1)
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, label="perfect")
    axes.plot(predicted, observed, "o-", color=BLUE, markersize=4, label=f"held out (class weight {weight:.2f})")
    if manifest.decision_threshold is not None:
        axes.axvline(manifest.decision_threshold, color=ORANGE, linewidth=1, label="threshold")
    axes.set(xlabel="predicted P(positive)", ylabel="observed fraction")
    axes.legend(frameon=False, loc="lower right")


def _confusion_matrix(axes: Axes, manifest: Manifest, _: Evidence) -> None:
    scores = manifest.record.metrics.held_out
    counts = np.array(
        [[scores["true_negatives"], scores["false_positives"]], [scores["false_negatives"], scores["true_positives"]]]
    )
    share = counts / counts.sum(axis=1, keepdims=True)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if share[row, column] > 0.5 else "black"
        text = f"{int(count):,}\n{share[row, column]:.1%}"
        axes.text(column, row, text, ha="center", va="center", color=color)
    axes.set_xticks([0, 1], [str(label) for label in manifest.classes])
    axes.set_yticks([0, 1], [str(label) for label in manifest.classes])
    axes.set(xlabel="predicted", ylabel="true")
    axes.spines[:].set_visible(False)
