"""The training report: the manifest of the run, and its pictures."""

from pathlib import Path

from experiments.report.files import decode, read_svg
from experiments.report.page_errors import ReportError
from experiments.report.section import Picture, Section, Table, machine_facts
from training.report.front import HEADS, front_cells
from training.report.training_report import TrainedModel, TrainingReport

SCORES = ("f2", "recall", "precision", "f1", "accuracy", "pr_auc", "roc_auc", "brier", "log_loss")


def training_section(folder: Path) -> Section:
    """The section of `training/report.json`.

    Raises:
        ReportError: it, or a picture beside it, is broken.
    """
    path = folder / "training/report.json"
    report = decode(path, TrainingReport)
    manifest = report.manifest
    pictures = [
        Picture(svg.stem.replace("_", " ").capitalize(), read_svg(svg)) for svg in sorted(path.parent.glob("*.svg"))
    ]
    return Section(
        created=manifest.created,
        facts={"command": report.command, **_facts(manifest), **machine_facts(report.machine)},
        key_figures=_key_figures(manifest),
        ok=manifest.parity.label_mismatches == 0,
        pictures=tuple(pictures),
        tables=(_scores(path, manifest), *_front(manifest), _parameters(manifest)),
    )


def _facts(manifest: TrainedModel) -> dict[str, str]:
    data, study, parity = manifest.data, manifest.study, manifest.parity
    return {
        "model": f"{manifest.name} {manifest.version}, decision threshold {manifest.decision_threshold:.6f}",
        "data": f"source {data.source}, {data.training_rows:,} rows for training, {data.held_out_rows:,} held out",
        "study": f"{study.completed} trials complete, {study.pruned} pruned, {study.folds} folds, seed {study.seed}",
        **({"choice": f"trial {study.chosen_trial}, {study.choice}"} if study.choice else {}),
        "parity": f"pickle and ONNX on {parity.rows:,} rows: {parity.label_mismatches} labels differ, "
        f"largest difference of P(positive) {parity.max_abs_difference:.1e}",
    }


def _key_figures(manifest: TrainedModel) -> tuple[str, ...]:
    scores = manifest.metrics.held_out
    shown = [f"{name} {scores[name]:.3f}" for name in ("f2", "recall", "precision", "roc_auc") if name in scores]
    return (
        f"{manifest.name} {manifest.version} ({manifest.data.source} data), held out: {', '.join(shown)}",
        f"parity on {manifest.parity.rows:,} rows: {manifest.parity.label_mismatches} labels differ",
    )


def _scores(path: Path, manifest: TrainedModel) -> Table:
    out_of_fold, held_out = manifest.metrics.out_of_fold, manifest.metrics.held_out
    if missing := [name for name in SCORES if name not in out_of_fold or name not in held_out]:
        raise ReportError(f"{path}: the score {missing[0]} is missing; train again")
    rows = tuple((name, f"{out_of_fold[name]:.4f}", f"{held_out[name]:.4f}") for name in SCORES)
    return Table("Scores", ("score", "out of sample", "held out"), rows)


def _front(manifest: TrainedModel) -> list[Table]:
    """What could have been published instead, where the study looked for it."""
    rows = front_cells(manifest.study, "{} (published)")
    return [Table("Accuracy against latency: the Pareto front, out of fold", HEADS, rows)] if rows else []


def _parameters(manifest: TrainedModel) -> Table:
    rows = tuple((name, f"{value:.5g}") for name, value in manifest.study.best_parameters.items())
    return Table("Parameters that the study chose", ("parameter", "value"), rows)
