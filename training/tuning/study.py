"""The Optuna study, seeded and resumable: F2 on out-of-fold predictions of the training split, pruned.

`training.tuning.tradeoff` has the trials of a study of F2 against latency.
"""

import hashlib
import re
import sys
import warnings
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal, Never, TextIO

import numpy as np
import optuna
from numpy.typing import NDArray
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from training.errors import TrainingError
from training.model.evaluation import tuned_f_beta
from training.model.folds import Fold, fold_predictions
from training.model.pipeline import Parameters

SPACE_VERSION = 3
"""Part of the study's name: a changed search space or objective must not continue an old study."""

ObjectiveName = Literal["f2", "f2,latency"]
OBJECTIVES: tuple[ObjectiveName, ...] = ("f2", "f2,latency")

TRADEOFF_VERSION = 1
"""As `SPACE_VERSION`, of the study of two objectives."""

Evaluation = Callable[..., float | tuple[float, float]]
"""As `evaluate`, or F2 and µs per row."""

STORAGE_FAILURES = (SQLAlchemyError, optuna.exceptions.OptunaError)

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def suggest_parameters(trial: optuna.Trial) -> Parameters:
    """One point of the search space, named as XGBClassifier names its arguments.

    The upper bounds of trees and depth keep a prediction in tens of microseconds: a larger model must earn its latency.
    """
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 300, step=25),
        "learning_rate": trial.suggest_float("learning_rate", 0.03, 0.3, log=True),
        "max_depth": trial.suggest_int("max_depth", 3, 6),
        **suggest_regularization(trial),
    }


def suggest_regularization(trial: optuna.Trial) -> Parameters:
    """What every search space has in common."""
    return {
        "min_child_weight": trial.suggest_float("min_child_weight", 0.5, 20, log=True),
        "subsample": trial.suggest_float("subsample", 0.5, 1.0),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
        "gamma": trial.suggest_float("gamma", 1e-3, 5, log=True),
        "reg_alpha": trial.suggest_float("reg_alpha", 1e-3, 10, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 30, log=True),
        "scale_pos_weight": trial.suggest_float("scale_pos_weight", 1, 6, log=True),
    }


def study_name(model: str, content: bytes, *, seed: int, objective: ObjectiveName = "f2") -> str:
    """A name that changes with training rows, seed, objective and search space: only the same study is resumed."""
    space = f"{SPACE_VERSION}" if objective == "f2" else f"{objective}|{TRADEOFF_VERSION}"
    digest = hashlib.sha256(content + f"|{seed}|{space}|{optuna.__version__}".encode()).hexdigest()
    return f"{model}-{digest[:12]}"


def open_study(
    name: str,
    storage: str,
    *,
    fresh: bool,
    connection: BaseStorage | None = None,
    objective: ObjectiveName = "f2",
) -> optuna.Study:
    """Create the study, or load it to go on with; `fresh` deletes what is there.

    Trials that a killed run left running are marked as failed; not so in a study that others may be at, which has a
    `connection` of its own to the storage.

    Raises:
        TrainingError: the storage URL is not valid, or the storage can't be opened, is locked or corrupt.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        url = make_url(storage)
        if url.drivername.startswith("sqlite") and url.database:
            Path(url.database).parent.mkdir(parents=True, exist_ok=True)
        if fresh and name in optuna.get_all_study_names(storage):
            optuna.delete_study(study_name=name, storage=storage)
        study = optuna.create_study(
            study_name=name,
            storage=connection or storage,
            directions=["maximize"] if objective == "f2" else ["maximize", "minimize"],
            pruner=optuna.pruners.PercentilePruner(33.0, n_startup_trials=10),
            load_if_exists=True,
        )
        if objective != "f2":
            _name_metrics(study)
        if connection is None:
            _fail_running(study)
    except (*STORAGE_FAILURES, ImportError, OSError, ValueError) as error:
        raise TrainingError(
            f"STORAGE={without_password(storage)}: the study storage can't be used: {first_line(error)}"
        ) from error
    return study


def _name_metrics(study: optuna.Study) -> None:
    """For the dashboard."""
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        study.set_metric_names(["F2", "µs/row"])


def without_password(storage: str) -> str:
    """The storage URL without the password in it."""
    return re.sub("(://[^:/@]*:)[^@]*@", r"\1***@", storage)


def first_line(error: Exception) -> str:
    """What an error says, without its background."""
    return (str(error) or type(error).__name__).splitlines()[0]


def _fail_running(study: optuna.Study) -> None:
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Completed and pruned trials, in order."""
    return list(study.get_trials(deepcopy=False, states=_FINISHED))


def run_study(
    study: optuna.Study,
    folds: list[Fold],
    target: NDArray[np.int_],
    *,
    trials: int,
    seed: int,
    threads: int,
    progress: TextIO = sys.stderr,
    evaluation: Evaluation | None = None,
) -> bool:
    """Go on until the study has `trials` finished ones, which `evaluation` (default: `evaluate`) gives their values.
    Returns False if Ctrl-C ended it early.

    The sampler is seeded anew for each trial from how many are finished, so that a resumed study suggests what an
    uninterrupted one would have, instead of repeating its first draws.

    Raises:
        TrainingError: the storage failed on the way (a full disk, a lock). What was finished before is kept.
    """
    done, evaluation = len(finished(study)), evaluation or evaluate
    interval = 0.1 if progress.isatty() else 15.0
    with tqdm(
        total=max(trials, done), initial=done, desc="study", unit="trial", file=progress, mininterval=interval
    ) as bar:
        try:
            while done < trials:
                show_best(bar, study)
                study.sampler = optuna.samplers.TPESampler(seed=seed + 7919 * done, n_startup_trials=15)
                trial = study.ask()
                try:
                    study.tell(trial, evaluation(trial, folds, target, seed=seed, threads=threads))
                except optuna.TrialPruned:
                    study.tell(trial, state=TrialState.PRUNED)
                done += 1
                bar.update()
        except KeyboardInterrupt:
            _fail_running(study)
            return False
        except STORAGE_FAILURES as error:
            raise TrainingError(f"the study storage failed in trial {done + 1}: {first_line(error)}") from error
        show_best(bar, study)
    return True


def evaluate(trial: optuna.Trial, folds: list[Fold], target: NDArray[np.int_], *, seed: int, threads: int) -> float:
    """F2 over all folds' predictions together; after each fold the study may give the trial up."""
    seen: list[NDArray[np.int_]] = []
    probabilities: list[NDArray[np.float32]] = []
    value = 0.0
    with closing(fold_predictions(folds, suggest_parameters(trial), seed=seed, threads=threads)) as predictions:
        for step, (rows, predicted) in enumerate(predictions):
            seen.append(rows)
            probabilities.append(predicted)
            value = tuned_f_beta(target[np.concatenate(seen)], np.concatenate(probabilities))
            trial.report(value, step)
            if step + 1 < len(folds) and trial.should_prune():
                raise optuna.TrialPruned
    return value


def show_best(bar: "tqdm[Never]", study: optuna.Study) -> None:
    """Put the best score so far beside the progress bar."""
    trials = finished(study)
    complete = [trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return
    aside = f"{len(trials) - len(complete)} pruned"
    if len(study.directions) > 1:
        aside = f"{len(study.best_trials)} on the front"
    bar.set_postfix_str(f"best F2 {max(complete):.4f}, {aside}")
