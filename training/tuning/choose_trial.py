"""Which trial of a study is published."""

from dataclasses import dataclass
from typing import Literal

import optuna
from optuna.trial import FrozenTrial, TrialState

from bundle.training_record import FrontTrial
from training.errors import TrainingError
from training.tuning.objective import STANDARD_ERROR, cost_of
from training.tuning.tradeoff import MEASURED

FASTEST = "the fastest trial of the front whose {} is at most one standard error below the best"
SMALLEST = "the smallest model whose {} is at most one standard error below the best"
"""After the one-standard-error rule of L. Breiman et al., Classification and Regression Trees, 1984, section 3.4.3."""


Rule = Literal["small", "best"]
RULES: tuple[Rule, ...] = ("small", "best")


@dataclass(frozen=True)
class Choice:
    """A complete trial, and how it was chosen; `how` is empty if it is the one with the study's best score."""

    trial: FrozenTrial
    how: str = ""


@dataclass(frozen=True)
class Wish:
    """What a person asks for: a trial by its number, one of at most `max_us` µs a row, or one by the rule."""

    number: int | None = None
    max_us: float | None = None
    rule: Rule = RULES[0]


def choose(study: optuna.Study, wish: Wish, label: str) -> Choice:
    """The trial that is published. `label` names the score.

    By the rule "small" it is the cheapest one to serve among those within a standard error of the best: the fastest of
    a study that has measured latency, else the one with the fewest comparisons a row. The study has a complete trial.

    Raises:
        TrainingError: there is no such trial, it is not complete, or none is that fast.
    """
    if wish.number is not None:
        return Choice(_numbered(study, wish.number), f"TRIAL={wish.number}")
    if len(study.directions) > 1:
        return _of_front(study, wish, label)
    best = study.best_trial
    if wish.rule == "best" or not cost_of(best):
        return Choice(best)
    margin = best.user_attrs[STANDARD_ERROR]
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    enough = [one for one in complete if one.values[0] >= best.values[0] - margin]
    smallest = min(enough, key=lambda one: (cost_of(one), -one.values[0], one.number))
    if smallest.number == best.number:
        return Choice(best)
    return Choice(smallest, f"{SMALLEST.format(label)} ({best.values[0]:.4f} - {margin:.4f}); CHOICE=best for the best")


def _of_front(study: optuna.Study, wish: Wish, label: str) -> Choice:
    front = pareto_front(study)
    if wish.max_us is not None:
        chosen = next((one for one in front if one.us_per_row <= wish.max_us), None)
        if chosen is None:
            raise TrainingError(f"MAX_US={wish.max_us:g}: the fastest trial takes {front[-1].us_per_row:.2f} µs a row")
        how = f"MAX_US={wish.max_us:g}: the best {label} in at most that many µs a row"
        return Choice(_numbered(study, chosen.trial), how)
    if wish.rule == "best":
        return Choice(_numbered(study, front[0].trial), f"CHOICE=best: the best {label}")
    enough = front[0].score - front[0].standard_error
    chosen = [one for one in front if one.score >= enough][-1]
    how = f"{FASTEST.format(label)} ({front[0].score:.4f} - {front[0].standard_error:.4f})"
    return Choice(_numbered(study, chosen.trial), how)


def _numbered(study: optuna.Study, number: int) -> FrozenTrial:
    trials = study.get_trials(deepcopy=False)
    if not 0 <= number < len(trials):
        raise TrainingError(f"TRIAL={number}: the study has the trials 0 to {len(trials) - 1}")
    trial = trials[number]
    if trial.state is not TrialState.COMPLETE:
        raise TrainingError(f"TRIAL={number}: the trial is not complete but {trial.state.name.lower()}")
    return trial


def pareto_front(study: optuna.Study) -> tuple[FrontTrial, ...]:
    """The trials that no other one dominates in score and time, best score (hence slowest) first.

    Empty for a study of a score alone: it measures no latency, gives up most of its trials half-way, and doesn't look
    for small models.
    """
    if len(study.directions) == 1:
        return ()
    return tuple(
        sorted(map(describe_trial, study.best_trials), key=lambda one: (-one.score, one.us_per_row, one.trial))
    )


def describe_trial(trial: FrozenTrial) -> FrontTrial:
    """A complete trial of two objectives, for the manifest."""
    score, us_per_row = trial.values
    return FrontTrial(
        trial=trial.number,
        score=score,
        us_per_row=us_per_row,
        trees=trial.params["n_estimators"],
        depth=trial.params["max_depth"],
        **{name: trial.user_attrs[name] for name in MEASURED},
    )
