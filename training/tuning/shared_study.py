"""One study on many machines: processes take trials from a common storage until it has as many as were asked for.

Each process that runs a trial records a sign of life in the storage every few seconds. One that has stopped doing so is
taken for dead; its trial counts as failed, and the next process repeats it. Unlike a study of a single process, a
shared one isn't reproducible: what is suggested depends on which trials are finished by then.
"""

import random
import sys
import time
import warnings
from typing import TextIO

import optuna
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError, ProgrammingError

from training.errors import TrainingError
from training.interruption import Insisted, interrupts_held, raise_held
from training.progress import progress_bar
from training.tuning.objective import Objective
from training.tuning.patience import is_exhausted
from training.tuning.study import STORAGE_FAILURES, finished, first_line, show_best, show_end

HEARTBEAT_SECONDS = 10
DEAD_SECONDS = 60
"""Without a sign of life. Longer than any time for which a trial holds the interpreter's lock."""

POLL_SECONDS = 1.0
CONNECT_ATTEMPTS = 10
"""The tables are made by whoever connects first. Of several that do so at once, the server refuses all but one."""

_LIVE = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)


class Surplus(Exception):
    """A trial that was begun when others had taken all the places, or when the study had come to its end."""


def is_shared(storage: str) -> bool:
    """Whether the storage URL names a database server; SQLite's file is for one process.

    Raises:
        ArgumentError: it is no such URL.
    """
    return make_url(storage).get_backend_name() != "sqlite"


def connect(storage: str) -> RDBStorage:
    """The storage behind the URL, with signs of life.

    Raises:
        SQLAlchemyError, OptunaError: it can't be used.
        ImportError: the driver that the URL names is not installed.
    """
    for _ in range(CONNECT_ATTEMPTS - 1):
        try:
            return _connect(storage)
        except (IntegrityError, ProgrammingError):
            time.sleep(random.uniform(0.1, 0.5))  # noqa: S311  no secret; not all at once again
    return _connect(storage)


def _connect(storage: str) -> RDBStorage:
    with warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"):
        return RDBStorage(
            storage,
            engine_kwargs={"pool_pre_ping": True},
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=DEAD_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )


def run_shared_study(
    study: optuna.Study,
    objective: Objective,
    *,
    trials: int,
    label: str,
    patience: int = 0,
    progress: TextIO = sys.stderr,
) -> bool:
    """Take part until the study has `trials` finished ones, whoever ran them, or until `patience` trials in a row have
    brought nothing and those that were begun are finished. Returns False if Ctrl-C ended it early.

    Suggestions are not seeded, or all processes would make the same ones.

    Raises:
        Insisted: Ctrl-C was pressed again before the study had ended.
        TrainingError: the storage failed on the way. What was finished before is kept.
    """
    study.sampler = optuna.samplers.TPESampler(n_startup_trials=15, constant_liar=True)

    def take_place(trial: optuna.Trial) -> float | tuple[float, float]:
        if _rank(study, trial) >= trials or is_exhausted(finished(study), patience):
            raise Surplus
        return objective(trial)

    seen: set[int] = set()
    with (
        progress_bar("study", "trials", file=progress, total=trials) as bar,
        warnings.catch_warnings(category=optuna.exceptions.ExperimentalWarning, action="ignore"),
        interrupts_held(),
    ):
        try:
            while len(done := finished(study)) < trials:
                raise_held()
                bar.update(len(done) - bar.n)
                show_best(bar, study, label)
                live = len(study.get_trials(deepcopy=False, states=_LIVE))
                exhausted = is_exhausted(done, patience)
                if exhausted and live == len(done):
                    break
                if live < trials and not exhausted:
                    study.optimize(take_place, n_trials=1, catch=(Surplus,))
                else:
                    time.sleep(POLL_SECONDS)  # for processes that run the last ones, or have died doing so
                    _show_life_once(study, seen)
                    fail_stale_trials(study)
            bar.update(len(done) - bar.n)
            show_end(bar, study, label)
            raise_held()
        except Insisted:
            raise
        except KeyboardInterrupt:
            return False
        except STORAGE_FAILURES as error:
            raise TrainingError(f"the study storage failed: {first_line(error)}") from error
    return True


def _show_life_once(study: optuna.Study, seen: set[int]) -> None:
    """Record a sign of life for each running trial, once. Optuna never takes a trial without any for dead, though its
    process may have been killed before the first.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if trial._trial_id not in seen:  # noqa: SLF001 - no public name
            seen.add(trial._trial_id)  # noqa: SLF001
            study._storage.record_heartbeat(trial._trial_id)  # noqa: SLF001


def _rank(study: optuna.Study, trial: optuna.Trial) -> int:
    """How many trials took their place before this one. Two processes may see the same last place free."""

    def begun(one: FrozenTrial | optuna.Trial) -> tuple[float, int]:
        return (one.datetime_start.timestamp() if one.datetime_start else 0.0, one.number)

    mine = begun(trial)
    return sum(begun(other) < mine for other in study.get_trials(deepcopy=False, states=_LIVE))
