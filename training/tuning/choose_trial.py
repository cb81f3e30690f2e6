"""Which trial of a study is published."""

from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState

from bundle.training_record import FrontTrial
from training.errors import TrainingError
from training.tuning.tradeoff import MEASURED

RULE = "the fastest trial of the front whose F2 is at most one standard error below the best"
"""After the one-standard-error rule of L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3."""


@dataclass(frozen=True)
class Choice:
    """A complete trial, and how it was chosen; empty for the best one of a study of F2 alone."""

    trial: FrozenTrial
    how: str = ""


def choose(study: optuna.Study, *, number: int | None = None, max_us: float | None = None) -> Choice:
    """The trial of the given number, or the best F2 in at most `max_us` a row; else the best F2 of a study of F2 alone,
    and of two objectives the one that the rule names. The study has a complete trial.

    Raises:
        TrainingError: there is no such trial, it is not complete, or none is that fast.
    """
    if number is not None:
        return Choice(_numbered(study, number), f"TRIAL={number}")
    if len(study.directions) == 1:
        return Choice(study.best_trial)
    front = pareto_front(study)
    if max_us is not None:
        chosen = next((one for one in front if one.us_per_row <= max_us), None)
        if chosen is None:
            raise TrainingError(f"MAX_US={max_us:g}: the fastest trial takes {front[-1].us_per_row:.2f} µs a row")
        return Choice(_numbered(study, chosen.trial), f"MAX_US={max_us:g}: the best F2 in at most that many µs a row")
    enough = front[0].f2 - front[0].standard_error
    chosen = [one for one in front if one.f2 >= enough][-1]
    return Choice(_numbered(study, chosen.trial), f"{RULE} ({front[0].f2:.4f} - {front[0].standard_error:.4f})")


def _numbered(study: optuna.Study, number: int) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise TrainingError(f"TRIAL={number}: the study has the trials 0 to {len(trials) - 1}")
    trial = trials[number]
    if trial.state is not TrialState.COMPLETE:
        raise TrainingError(f"TRIAL={number}: the trial is not complete but {trial.state.name.lower()}")
    return trial


def pareto_front(study: optuna.Study) -> tuple[FrontTrial, ...]:
    """The trials than which none has a better F2 in less time, best F2 (hence slowest) first.

    Empty for a study of F2 alone: it measures no latency, gives most of its trials up before they have an F2, and
    looks for no small models.
    """
    if len(study.directions) == 1:
        return ()
    return tuple(sorted(map(describe_trial, study.best_trials), key=lambda one: (-one.f2, one.us_per_row, one.trial)))


def describe_trial(trial: FrozenTrial) -> FrontTrial:
    """A complete trial of two objectives, for the manifest."""
    f2, us_per_row = trial.values
    return FrontTrial(
        trial=trial.number,
        f2=f2,
        us_per_row=us_per_row,
        trees=trial.params["n_estimators"],
        depth=trial.params["max_depth"],
        **{name: trial.user_attrs[name] for name in MEASURED},
    )
