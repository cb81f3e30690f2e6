"""Assemble the manifest from the results of a run."""

import platform
from collections.abc import Iterable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import optuna
from optuna.trial import TrialState

from bundle.manifest import FORMAT_VERSION, Expected, Manifest, utc_now
from bundle.training_record import Study, TrainingRecord
from training.data.prepare import PreparedRows
from training.export.artifacts import BundleContents
from training.export.distributions import trained_distributions
from training.export.interface import Interface
from training.export.publish import StagedArtifacts
from training.model.evaluation import Scored
from training.model.fitting import Model
from training.model.folds import FOLDS
from training.model.score import Score
from training.tuning.choose_trial import Choice, pareto_front

LIBRARIES = ("scikit-learn", "polars", "numpy", "onnx", "skl2onnx", "onnxruntime", "optuna")


def describe_study(
    study: optuna.Study, rows: PreparedRows, choice: Choice, score: Score, *, seed: int, asked: int, ended: str
) -> Study:
    """How the parameters were found and chosen; `ended` says why there are fewer trials than were `asked` for."""
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
        asked=asked if ended else None,
        ended=ended,
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
    """The manifest of a model that was trained. `held_out` is what it gives for all held-out rows."""
    return make_manifest(
        contents.interface,
        rows.dataset.name,
        rows.dataset.target,
        contents.expected,
        staged,
        library_versions(("xgboost", *LIBRARIES)),
        metrics=record.metrics,
        study=record.study,
        data=record.data,
        parity=record.parity,
        distributions=trained_distributions(rows, contents.interface.features, held_out, model.threshold),
    )


def make_manifest(
    interface: Interface,
    name: str,
    target: str,
    expected: Expected,
    staged: StagedArtifacts,
    libraries: dict[str, str],
    **known: Any,  # noqa: ANN401 - sections of several types
) -> Manifest:
    """The manifest of the staged artifacts. `known` are the sections that not every bundle has."""
    binary = interface.task == "binary_classification"
    return Manifest(
        format_version=FORMAT_VERSION,
        name=name,
        version=staged.version,
        created=utc_now(),
        task=interface.task,
        features=interface.features,
        target=target,
        classes=interface.classes,
        positive_class=interface.classes[interface.positive] if binary else None,
        decision_threshold=interface.threshold if binary else None,
        tokens=interface.tokens,
        expected=expected,
        frame=interface.frame,
        libraries=libraries,
        artifacts=staged.artifacts,
        **known,
    )


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """What the artifacts were made with: reading a pickle needs the same scikit-learn and XGBoost.

    A library that is installed as NAME-cpu (as XGBoost may be) is listed under its own name.
    """
    found = {"python": platform.python_version()}
    for name in names:
        for distribution in (name, f"{name}-cpu"):
            with suppress(PackageNotFoundError):
                found.setdefault(name, version(distribution))
    return found
