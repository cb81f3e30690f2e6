"""The report of a training run: what `report.json` beside its pictures holds."""

from datetime import datetime
from typing import ClassVar

import msgspec

from bundle.manifest import Artifact, ArtifactKind, Manifest
from bundle.result import Result
from bundle.table import Table
from bundle.training_record import Study, TrainingRecord
from training.model.score import label_of, number_text
from training.report.tables import front_table, parameter_table, score_table

KEY_SCORES = ("recall", "precision", "roc_auc", "balanced_accuracy", "mae")


def study_line(study: Study) -> str:
    """How many trials there were, and why not all."""
    ended = f"; ended before {study.asked}: {study.ended}" if study.ended else ""
    return f"{study.completed} trials complete, {study.pruned} pruned{ended}; {study.folds} folds, seed {study.seed}"


class TrainedModel(TrainingRecord, frozen=True, kw_only=True):
    """What the manifest says about the training, and which model it made."""

    name: str
    version: str
    created: datetime
    decision_threshold: float | None = None
    artifacts: dict[ArtifactKind, Artifact]

    @classmethod
    def of(cls, manifest: Manifest) -> "TrainedModel":
        """The record of a bundle that was trained here.

        Raises:
            BundleError: it was packaged.
        """
        record = msgspec.structs.asdict(manifest.record)
        named = {
            name: getattr(manifest, name) for name in ("name", "version", "created", "decision_threshold", "artifacts")
        }
        return cls(**named, **record)


class TrainingReport(Result, frozen=True, kw_only=True):
    """What was trained, the command that did it, and where."""

    title: ClassVar = "Training"
    file: ClassVar = "training/report.json"
    made_by: ClassVar = "make train"
    pictures: ClassVar = ("*.svg",)

    manifest: TrainedModel

    @property
    def ok(self) -> bool:
        """Pickle and ONNX give the same labels."""
        return self.manifest.parity.label_mismatches == 0

    def facts(self) -> dict[str, str]:
        """Model, data, study, score and parity."""
        manifest = self.manifest
        data, study, parity = manifest.data, manifest.study, manifest.parity
        threshold = manifest.decision_threshold
        decided = "" if threshold is None else f", decision threshold {threshold:.6f}"
        return {
            "model": f"{manifest.name} {manifest.version}{decided}",
            "data": f"source {data.source}, {data.training_rows:,} rows for training, {data.held_out_rows:,} held out",
            "study": study_line(study),
            **({"choice": f"trial {study.chosen_trial}, {study.choice}"} if study.choice else {}),
            **self._score(),
            "parity": f"pickle and ONNX on {parity.rows:,} rows: {self._differing()}",
        }

    def _differing(self) -> str:
        parity = self.manifest.parity
        if "rmse" in self.manifest.metrics.held_out:  # of a regressor
            return f"largest relative difference {parity.max_abs_difference:.1e}"
        return f"{parity.label_mismatches} labels differ, largest difference {parity.max_abs_difference:.1e}"

    def _score(self) -> dict[str, str]:
        """What the model is worth; older reports don't say it."""
        metrics, name = self.manifest.metrics, self.manifest.study.score
        if metrics.standard_error is None or metrics.trivial is None:
            return {}
        score = f"{number_text(metrics.held_out[name])} ± {number_text(metrics.standard_error)}"
        value = f"{label_of(name)} {score} on the held-out rows"
        return {"score": f"{value}; a model that looks at no feature has {number_text(metrics.trivial)}"}

    def key_figures(self) -> tuple[str, ...]:
        """The scores on the held-out rows, and parity."""
        manifest = self.manifest
        scores = manifest.metrics.held_out
        shown = [
            f"{name} {scores[name]:.3f}"
            for name in dict.fromkeys((manifest.study.score, *KEY_SCORES))
            if name in scores
        ]
        return (
            f"{manifest.name} {manifest.version} ({manifest.data.source} data), held out: {', '.join(shown)}",
            f"parity on {manifest.parity.rows:,} rows: {self._differing()}",
        )

    def tables(self) -> tuple[Table, ...]:
        """Scores, parameters, and the Pareto front where the study looked for it."""
        study = self.manifest.study
        front = (front_table(study),) if study.front else ()
        return (score_table(self.manifest.metrics), *front, parameter_table(study))
