"""The Pareto front, and which trial is published."""

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from training.errors import TrainingError
from training.tuning import choose_trial
from training.tuning.choose_trial import FASTEST, SMALLEST, Wish, pareto_front

TRIALS = (  # F2, µs per row
    (0.70, 15.0),
    (0.81, 40.0),  # the best
    (0.80, 45.0),  # dominated by the one before
    (0.808, 30.0),
    (0.8055, 20.0),
    (0.8055, 25.0),  # as good as the one before, but slower
    (0.60, 11.0),
)
FRONT = [1, 3, 4, 0, 6]


def choose(study, **wish):
    return choose_trial.choose(study, Wish(**wish), "F2")


def trial_of(values, *, standard_error=0.003, state=TrialState.COMPLETE):
    return create_trial(
        state=state,
        values=values,
        params={"n_estimators": 7, "max_depth": 3},
        distributions={"n_estimators": IntDistribution(5, 300, log=True), "max_depth": IntDistribution(2, 6)},
        user_attrs={
            "standard_error": standard_error,
            "us_per_row_of_100": 2.5,
            "nodes": 77,
            "graph_bytes": 4321,
            "a person's own": "note",
        },
    )


@pytest.fixture
def study():
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([trial_of(values) for values in TRIALS])
    return study


@pytest.fixture
def of_f2_alone():
    study = optuna.create_study(direction="maximize")
    for value in (0.7, 0.81, 0.8):
        study.add_trial(create_trial(value=value, user_attrs={"standard_error": 0.02}))
    study.add_trial(create_trial(state=TrialState.PRUNED, params={}, distributions={}))
    return study


def test_front_has_what_nothing_beats_best_first(study):
    front = pareto_front(study)
    assert [one.trial for one in front] == FRONT
    assert [(one.score, one.us_per_row) for one in front] == [TRIALS[number] for number in FRONT]
    one = front[0]
    assert (one.trees, one.depth, one.nodes, one.graph_bytes, one.us_per_row_of_100) == (7, 3, 77, 4321, 2.5)


def test_trials_that_failed_are_not_on_the_front(study):
    study.add_trial(trial_of(None, state=TrialState.FAIL))
    assert [one.trial for one in pareto_front(study)] == FRONT


def test_a_study_of_f2_alone_has_no_front(of_f2_alone):
    assert pareto_front(of_f2_alone) == ()


@pytest.mark.parametrize(("standard_error", "number"), [(0.0, 1), (0.0019, 1), (0.0021, 3), (0.005, 4), (0.5, 6)])
def test_default_is_the_fastest_within_a_standard_error_of_the_best(standard_error, number):
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([trial_of(values, standard_error=standard_error) for values in TRIALS])
    choice = choose(study)
    assert choice.trial.number == number
    assert choice.how == f"{FASTEST.format('F2')} (0.8100 - {standard_error:.4f})"


def test_default_of_f2_alone_is_the_best_and_needs_no_words(of_f2_alone):
    choice = choose(of_f2_alone)
    assert (choice.trial.number, choice.how) == (1, "")


@pytest.mark.parametrize(("max_us", "number"), [(40.0, 1), (39.9, 3), (22.5, 4), (11.0, 6)])
def test_a_limit_takes_the_best_that_keeps_it(study, max_us, number):
    choice = choose(study, max_us=max_us)
    assert choice.trial.number == number
    assert choice.how == f"MAX_US={max_us:g}: the best F2 in at most that many µs a row"


def test_a_limit_that_nothing_keeps_names_the_fastest(study):
    with pytest.raises(TrainingError, match=r"^MAX_US=10\.5: the fastest trial takes 11\.00 µs a row$"):
        choose(study, max_us=10.5)


@pytest.mark.parametrize("number", range(len(TRIALS)))
def test_any_complete_trial_can_be_named(study, number):
    choice = choose(study, number=number)
    assert (choice.trial.number, choice.how) == (number, f"TRIAL={number}")


def test_a_trial_can_be_named_in_a_study_of_f2_alone(of_f2_alone):
    assert choose(of_f2_alone, number=2).trial.value == 0.8


@pytest.mark.parametrize("number", [-1, 4, 99])
def test_an_unknown_trial_is_an_error_that_says_which_there_are(of_f2_alone, number):
    with pytest.raises(TrainingError, match=rf"^TRIAL={number}: the study has the trials 0 to 3$"):
        choose(of_f2_alone, number=number)


def test_a_trial_that_is_not_complete_is_an_error(of_f2_alone):
    with pytest.raises(TrainingError, match=r"^TRIAL=3: the trial is not complete but pruned$"):
        choose(of_f2_alone, number=3)


def of_sizes(error):
    """A study of a score alone whose trials have (score, trees, depth), and the best one the standard error."""
    study = optuna.create_study(direction="maximize")
    for value, trees, depth in ((0.81, 300, 6), (0.809, 125, 5), (0.8085, 125, 4), (0.80, 50, 3)):
        study.add_trial(
            create_trial(
                value=value,
                params={"n_estimators": trees, "max_depth": depth},
                distributions={"n_estimators": IntDistribution(5, 300), "max_depth": IntDistribution(2, 6)},
                user_attrs={"standard_error": error} if value == 0.81 else {},
            )
        )
    return study


@pytest.mark.parametrize(("error", "number"), [(0.0, 0), (0.0011, 1), (0.0016, 2), (0.02, 3)])
def test_default_of_a_score_alone_is_the_smallest_within_a_standard_error(error, number):
    choice = choose(of_sizes(error))
    assert choice.trial.number == number
    told = f"{SMALLEST.format('F2')} (0.8100 - {error:.4f}); CHOICE=best for the best"
    assert choice.how == (told if number else "")


def test_the_best_can_be_asked_for(study):
    assert choose(of_sizes(0.02), rule="best").trial.number == 0
    assert choose(study, rule="best").trial.number == 1
