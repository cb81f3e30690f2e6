"""Assemble the manifest from what a run found out."""

import platform
from importlib.metadata import version

import optuna
import xgboost
from optuna.trial import TrialState

from bundle.manifest import FORMAT_VERSION, Manifest, utc_now
from bundle.training_record import Study, TrainingRecord
from training.data.prepare import PreparedRows
from training.export.artifacts import BundleContents
from training.export.distributions import trained_distributions
from training.export.publish import StagedArtifacts
from training.model.evaluation import Scored
from training.model.fitting import Model
from training.model.folds import FOLDS
from training.model.score import Score
from training.tuning.choose_trial import Choice, pareto_front

LIBRARIES = ("scikit-learn", "polars", "numpy", "onnx", "skl2onnx", "onnxruntime", "optuna")


def describe_study(study: optuna.Study, rows: PreparedRows, choice: Choice, score: Score, *, seed: int) -> Study:
    """How the parameters were found and chosen."""
    seen, every = rows.training.height, rows.description.training_rows
    sample = f" of a sample of {seen:,} training rows" if seen < every else ""
    states = [trial.state for trial in study.get_trials(deepcopy=False)]
    completed, pruned = states.count(TrialState.COMPLETE), states.count(TrialState.PRUNED)
    latency = "; against µs per row of the packed graph, one row a call" if len(study.directions) > 1 else ""
    at_best = ", at the best threshold" if score.needs_threshold else ""
    return Study(
        objective=f"{score.label} on out-of-fold predictions{sample}{at_best}{latency}",
        score=score.name,
        seed=seed,
        folds=FOLDS,
        trials=completed + pruned,
        completed=completed,
        pruned=pruned,
        best_value=choice.trial.values[0],
        best_parameters=choice.trial.params,
        chosen_trial=choice.trial.number if choice.how else None,
        choice=choice.how,
        front=pareto_front(study),
    )


def describe_bundle(
    rows: PreparedRows,
    model: Model,
    contents: BundleContents,
    record: TrainingRecord,
    staged: StagedArtifacts,
    held_out: Scored,
) -> Manifest:
    """The manifest of the staged artifacts. `held_out` is what the model gives for all held-out rows."""
    dataset = rows.dataset
    binary = dataset.task == "binary_classification"
    return Manifest(
        format_version=FORMAT_VERSION,
        name=dataset.name,
        version=staged.version,
        created=utc_now(),
        task=dataset.task,
        features=contents.interface.features,
        target=dataset.target,
        classes=dataset.classes,
        positive_class=dataset.classes[1] if binary else None,
        decision_threshold=model.threshold,
        tokens=rows.tokens,
        expected=contents.expected,
        metrics=record.metrics,
        study=record.study,
        data=record.data,
        parity=record.parity,
        distributions=trained_distributions(rows, contents.interface.features, held_out, model.threshold),
        libraries=library_versions(),
        artifacts=staged.artifacts,
    )


def library_versions() -> dict[str, str]:
    """What the artifacts were made with: a pickle wants the same scikit-learn and XGBoost to be read."""
    versions = {name: version(name) for name in LIBRARIES}
    return {"python": platform.python_version(), "xgboost": xgboost.__version__, **versions}
