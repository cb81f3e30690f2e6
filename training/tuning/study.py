"""The Optuna study: opened, seeded, resumed, and run to its number of trials.

`training.tuning.objective` says what a trial is worth; `training.tuning.tradeoff`, if the study also weighs latency.
"""

import re
import sys
import warnings
from pathlib import Path
from typing import Never, TextIO

import optuna
from optuna.storages import BaseStorage
from optuna.trial import TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError
from tqdm import tqdm

from training.errors import TrainingError
from training.interruption import Insisted, interrupts_held, raise_held
from training.progress import progress_bar
from training.tuning.objective import Objective
from training.tuning.patience import is_exhausted

STORAGE_FAILURES = (SQLAlchemyError, optuna.exceptions.OptunaError)

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)


def open_study(
    name: str,
    storage: str,
    *,
    fresh: bool,
    connection: BaseStorage | None = None,
    metrics: tuple[str, ...] = (),
) -> optuna.Study:
    """Create the study, or load it to continue; `fresh` deletes what is there. `metrics` names the values of a study
    of a score and of latency; a study without them maximises its only value.

    Trials that a killed run left running are marked as failed, but not in a study that others may be working on, which
    has a `connection` of its own to the storage.

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
            directions=["maximize", "minimize"] if metrics else ["maximize"],
            pruner=optuna.pruners.PercentilePruner(33.0, n_startup_trials=10),
            load_if_exists=True,
        )
        if metrics:
            _name_metrics(study, metrics)
        if connection is None:
            _fail_running(study)
    except (*STORAGE_FAILURES, ImportError, OSError, ValueError) as error:
        raise TrainingError(
            f"STORAGE={without_password(storage)}: the study storage can't be used: {first_line(error)}"
        ) from error
    return study


def _name_metrics(study: optuna.Study, metrics: tuple[str, ...]) -> None:
    """For the dashboard."""
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        study.set_metric_names(list(metrics))


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
    objective: Objective,
    *,
    trials: int,
    seed: int,
    label: str,
    patience: int = 0,
    progress: TextIO = sys.stderr,
) -> bool:
    """Run trials until the study has `trials` finished ones, or until `patience` trials in a row have brought nothing.
    `objective` gives a trial's value; `label` names the score. Returns False if Ctrl-C ended it early.

    The sampler is seeded again for each trial, by how many are finished, so that a resumed study suggests what an
    uninterrupted one would have, instead of repeating its first draws.

    Raises:
        Insisted: Ctrl-C was pressed again before the study had ended.
        TrainingError: the storage failed on the way (a full disk, a lock). What was finished before is kept.
    """
    with interrupts_held():
        done = len(finished(study))
        with progress_bar("study", "trials", file=progress, total=max(trials, done), initial=done) as bar:
            try:
                while done < trials and not is_exhausted(finished(study), patience):
                    raise_held()
                    show_best(bar, study, label)
                    study.sampler = optuna.samplers.TPESampler(seed=seed + 7919 * done, n_startup_trials=15)
                    trial = study.ask()
                    try:
                        study.tell(trial, objective(trial))
                    except optuna.TrialPruned:
                        study.tell(trial, state=TrialState.PRUNED)
                    done += 1
                    bar.update()
                show_end(bar, study, label)
                raise_held()
            except Insisted:
                raise
            except KeyboardInterrupt:
                _fail_running(study)
                return False
            except STORAGE_FAILURES as error:
                raise TrainingError(f"the study storage failed in trial {done + 1}: {first_line(error)}") from error
    return True


def show_end(bar: "tqdm[Never]", study: optuna.Study, label: str) -> None:
    """Put the best score beside the progress bar, and fill the bar, however many trials were asked for."""
    show_best(bar, study, label)
    bar.total = bar.n


def show_best(bar: "tqdm[Never]", study: optuna.Study, label: str) -> None:
    """Put the best score so far beside the progress bar."""
    trials = finished(study)
    complete = [trial.values[0] for trial in trials if trial.state is TrialState.COMPLETE]
    if not complete:
        return
    aside = f"{len(trials) - len(complete)} pruned"
    if len(study.directions) > 1:
        aside = f"{len(study.best_trials)} on the front"
    bar.set_postfix_str(f"best {label} {max(complete):.4f}, {aside}", refresh=False)
