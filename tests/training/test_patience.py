"""When a study ends because nothing new comes of it."""

import io

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from training.tuning import shared_study
from training.tuning.objective import STANDARD_ERROR
from training.tuning.patience import is_exhausted
from training.tuning.shared_study import connect, run_shared_study
from training.tuning.study import finished, open_study, run_study

ERROR = 0.004
PRUNED = (None, 0)


def complete(score, cost):
    """A trial of a study of a score alone, whose model has `cost` trees of depth 1; pruned without a score."""
    return create_trial(
        state=TrialState.PRUNED if score is None else TrialState.COMPLETE,
        value=score,
        params={"n_estimators": cost, "max_depth": 1},
        distributions={"n_estimators": IntDistribution(0, 10_000), "max_depth": IntDistribution(1, 1)},
        user_attrs={STANDARD_ERROR: ERROR},
    )


def timed(score, us_per_row):
    """A trial of a study of a score and of latency."""
    return create_trial(values=(score, us_per_row), user_attrs={STANDARD_ERROR: ERROR})


def patience_that_lasts(trials):
    """The least patience with which the study would not have ended."""
    return next(patience for patience in range(1, len(trials) + 2) if not is_exhausted(trials, patience))


@pytest.mark.parametrize(
    ("last", "brings_something"),
    [
        ((0.8015, 200), True),  # better by more than a quarter of a standard error
        ((0.8005, 200), False),  # better by less
        ((0.8000, 90), True),  # as good, and cheaper
        ((0.8000, 99), False),  # cheaper by 1 %
        ((0.7970, 90), True),  # cheaper, and within a standard error of the best
        ((0.7970, 100), False),
        ((0.7950, 10), False),  # cheap, but never published
        (PRUNED, False),
    ],
)
def test_what_a_trial_must_bring(last, brings_something):
    trials = [complete(0.8, 100), complete(*last), complete(*PRUNED), complete(*PRUNED)]
    assert patience_that_lasts(trials) == (3 if brings_something else 4)


def test_models_between_the_best_and_the_cheapest_bring_nothing_but_to_a_front():
    trials = [(0.800, 100), (0.804, 300), (0.8025, 200)]
    assert patience_that_lasts([complete(*one) for one in trials]) == 2
    assert patience_that_lasts([timed(*one) for one in trials]) == 1


def test_cheap_model_counts_no_more_when_better_ones_are_found():
    trials = [complete(0.790, 10), complete(0.800, 300), complete(0.799, 200)]
    assert patience_that_lasts(trials) == 1


@pytest.mark.parametrize(
    ("last", "brings_something"),
    [
        ((0.8015, 30.0), True),
        ((0.8, 19.7), False),  # latency differs by less than 2 %
        ((0.8, 19.5), True),
        ((0.6, 11.0), True),  # another point of the front, which a limit of time may want
        ((0.6, 21.0), False),
    ],
)
def test_what_a_trial_must_bring_to_a_front(last, brings_something):
    assert is_exhausted([timed(0.8, 20.0), timed(*last)], 1) is not brings_something


def test_small_gains_that_add_up_are_one():
    trials = [complete(0.8 + step * 0.0006, 100) for step in range(5)]
    assert patience_that_lasts(trials) == 2


def test_a_model_without_trees_and_depth_is_judged_by_its_score():
    trials = [create_trial(value=score, user_attrs={STANDARD_ERROR: ERROR}) for score in (0.8, 0.81, 0.81)]
    assert is_exhausted(trials, 1)
    assert not is_exhausted(trials[:2], 1)


def test_an_end_is_an_end_whatever_comes_after():
    """A process of a shared study may still finish its trial."""
    trials = [complete(0.8, 100), *[complete(*PRUNED)] * 3, complete(0.9, 100)]
    assert is_exhausted(trials, 3)
    assert not is_exhausted(trials, 4)
    assert not is_exhausted(trials, 0)


def test_trials_count_in_the_order_in_which_they_finished():
    late, *others = [complete(0.9, 100), complete(0.8, 100), complete(*PRUNED), complete(*PRUNED)]
    late.datetime_complete = others[-1].datetime_complete.replace(year=9000)
    assert is_exhausted([late, *others], 2)


def constant(trial):
    trial.suggest_float("x", 0, 1)
    trial.set_user_attr(STANDARD_ERROR, ERROR)
    return 0.8


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


@pytest.fixture
def run(storage):
    """Go on with the study; what the progress bar showed last."""

    def go(trials, patience):
        bar = io.StringIO()
        study = open_study("study", storage, fresh=False)
        assert run_study(study, constant, trials=trials, seed=1, label="F2", patience=patience, progress=bar)
        return bar.getvalue().splitlines()[-1]

    return go


def described(storage):
    return [(trial.params, trial.value) for trial in finished(open_study("study", storage, fresh=False))]


def test_study_ends_when_patience_runs_out_and_goes_on_with_more(run, storage):
    assert run(50, 3).startswith("study: 4/4 trial")  # the first trial, and three without gain
    first = described(storage)
    assert run(50, 3).startswith("study: 4/4 trial")
    assert described(storage) == first
    assert run(50, 5).startswith("study: 6/6 trial")
    assert described(storage)[:4] == first
    assert run(8, 0).startswith("study: 8/8 trial")


def test_resumed_study_ends_where_an_uninterrupted_one_does(run, storage, tmp_path):
    whole = open_study("study", f"sqlite:///{tmp_path / 'whole.db'}", fresh=False)
    run_study(whole, constant, trials=50, seed=1, label="F2", patience=3, progress=io.StringIO())
    run(2, 3)
    run(50, 3)
    assert described(storage) == [(trial.params, trial.value) for trial in finished(whole)]


def test_trials_end_a_study_that_is_still_patient(run):
    assert run(3, 20).startswith("study: 3/3 trial")


def test_processes_of_a_shared_study_see_the_same_end(storage):
    for _ in range(2):
        study = optuna.create_study(
            storage=connect(storage), direction="maximize", study_name="study", load_if_exists=True
        )
        bar = io.StringIO()
        assert run_shared_study(study, constant, trials=50, label="F2", patience=3, progress=bar)
        assert bar.getvalue().splitlines()[-1].startswith("study: 4/4 trial")
        assert [trial.state for trial in study.get_trials()] == [TrialState.COMPLETE] * 4


def test_end_of_a_shared_study_waits_for_the_trials_that_were_begun(storage, monkeypatch):
    """Here by somebody who went away with it: it is taken for dead, and not repeated."""
    monkeypatch.setattr(shared_study, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(shared_study, "DEAD_SECONDS", 1)
    monkeypatch.setattr(shared_study, "POLL_SECONDS", 0.1)
    study = optuna.create_study(storage=connect(storage), direction="maximize")
    study.add_trial(create_trial(state=TrialState.RUNNING))
    assert run_shared_study(study, constant, trials=50, label="F2", patience=3, progress=io.StringIO())
    states = [trial.state for trial in study.get_trials()]
    assert states.count(TrialState.COMPLETE) == 4
    assert TrialState.RUNNING not in states


def test_trial_that_was_begun_as_the_study_came_to_its_end_is_given_up(storage):
    study = optuna.create_study(storage=connect(storage), direction="maximize")
    asked = study.ask

    def ask(*arguments, **keywords):
        trial = asked(*arguments, **keywords)
        if trial.number == 3:  # in the meantime, another process finishes what uses the patience up
            study.add_trial(complete(0.8, 100))
        return trial

    study.ask = ask
    assert run_shared_study(study, constant, trials=50, label="F2", patience=3, progress=io.StringIO())
    states = [trial.state for trial in study.get_trials()]
    assert (states.count(TrialState.COMPLETE), states.count(TrialState.FAIL)) == (4, 1)
