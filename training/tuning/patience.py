"""When a study ends before it has all its trials: the last ones brought nothing worth choosing.

Whether it does follows from the finished trials alone, in the order in which they finished. So a resumed study ends
where an uninterrupted one does, and all processes of a shared one see the same end.
"""

import math
import operator
from collections.abc import Sequence
from datetime import datetime
from itertools import compress

from optuna.trial import FrozenTrial, TrialState

from training.tuning.objective import STANDARD_ERROR, cost_of

GAIN = 0.25
"""In standard errors: a score that is better by less doesn't count as better."""

SAVING = 0.02
"""A model that saves a smaller part doesn't count as cheaper: latency is measured no more precisely than that."""


def is_exhausted(trials: Sequence[FrozenTrial], patience: int) -> bool:
    """Whether at some time `patience` finished trials in a row, complete or pruned, brought nothing; 0 means never.

    A trial brings something if its score is better than all before, or its model cheaper than all before whose score is
    at most one standard error below the best, as its own is. In a study of a score and of latency it brings something
    if none before it is as good and as fast. Later trials are not compared with those that brought nothing, so that
    small gains add up.
    """
    kept: list[FrozenTrial] = []
    best, error, idle = -math.inf, 0.0, 0
    for trial in sorted(trials, key=_end) if patience else ():
        idle += 1
        if trial.state is TrialState.COMPLETE:
            if trial.values[0] > best:  # the attribute can be missing only if the clocks of two machines disagree
                best, error = trial.values[0], trial.user_attrs.get(STANDARD_ERROR, error)
            if _brings_something(trial, kept, GAIN * error, best - error):
                kept.append(trial)
                idle = 0
        if idle == patience:
            return True
    return False


def _brings_something(trial: FrozenTrial, kept: list[FrozenTrial], gain: float, enough: float) -> bool:
    """`enough` is the least score that could be published."""
    better = [trial.values[0] > one.values[0] + gain for one in kept]
    cheaper = [cost_of(trial) < cost_of(one) * (1 - SAVING) for one in kept]
    if len(trial.values) > 1:
        return all(map(operator.or_, better, cheaper))
    rivals = compress(cheaper, (one.values[0] >= enough for one in kept))
    return all(better) or (trial.values[0] >= enough and all(rivals))


def _end(trial: FrozenTrial) -> tuple[datetime, int]:
    return trial.datetime_complete or datetime.max, trial.number
