"""The study: what it suggests, how it goes on after a kill or Ctrl-C, and which storage it refuses."""

import dataclasses
import io
import sqlite3
import time
from contextlib import closing

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from training.errors import TrainingError
from training.model import folds as folding
from training.model.evaluation import Scored, best_threshold, standard_error, tuned
from training.model.folds import FOLDS, Fold, fold_predictions, out_of_fold, prepare_folds
from training.model.score import parse_score
from training.tuning import objective as tuning
from training.tuning.objective import STANDARD_ERROR, ScoreObjective, search_space, study_name, suggest_parameters
from training.tuning.study import finished, open_study, run_study

TRIALS = 18  # more than the sampler's and the pruner's random start
SEED = 3


class Killed(BaseException):
    """Stands in for SIGKILL: nothing in the code under test handles it."""


F2 = parse_score("f2", "binary_classification")


def small(trial):
    """The real search space with very few, very shallow trees: a trial takes milliseconds."""
    return {**suggest_parameters(trial, F2.task), "n_estimators": trial.suggest_int("trees", 1, 4), "max_depth": 2}


@pytest.fixture(scope="module")
def rows(made_up):
    return made_up.prepared(*made_up.orchard(rows=160))


@pytest.fixture(scope="module")
def folds(rows):
    return prepare_folds(rows.dataset, rows.features, rows.target, rows.wide, seed=SEED)


@pytest.fixture(scope="module")
def objective(folds, rows):
    return ScoreObjective(F2, small, folds, rows.target, 1)


@pytest.fixture
def run(objective):
    """Go on with a study up to `trials`; False if interrupted."""

    def go(study, trials=TRIALS, seed=SEED, progress=None):
        progress = progress or io.StringIO()
        return run_study(study, objective, trials=trials, seed=seed, label="F2", progress=progress)

    return go


@pytest.fixture
def storage(tmp_path):
    return f"sqlite:///{tmp_path / 'study.db'}"


def described(study):
    """What has to be the same of two studies: the finished trials."""
    return [(t.params, t.state, t.value, t.intermediate_values) for t in finished(study)]


@pytest.fixture(scope="module")
def uninterrupted(objective):
    """The finished trials of one run without interruption."""
    study = open_study("whole", "sqlite://", fresh=False)
    assert run_study(study, objective, trials=TRIALS, seed=SEED, label="F2", progress=io.StringIO())
    return described(study)


def stop_in_trials(monkeypatch, error, *numbers):
    """Raise `error` in the middle of the given trials (counted from 0 over all runs).

    Before the 10th, where the pruner begins, a trial gets to report its first fold.
    """
    started = []

    def predictions(*arguments, **keywords):
        number = len(started)
        started.append(number)
        steps = fold_predictions(*arguments, **keywords)
        if number in numbers:
            first = next(steps)
            if number < 10:
                yield first
            raise error
        yield from steps

    monkeypatch.setattr(tuning, "fold_predictions", predictions)


def test_study_has_the_asked_number_of_finished_trials(uninterrupted):
    states = [state for _, state, _, _ in uninterrupted]
    assert len(states) == TRIALS
    assert states.count(TrialState.COMPLETE) >= 10
    assert states.count(TrialState.PRUNED) > 0


def test_value_of_a_trial_is_the_best_f2_of_its_out_of_fold_predictions(run, folds, rows):
    study = open_study("values", "sqlite://", fresh=False)
    run(study, trials=2)
    for trial in finished(study):
        parameters = {**trial.params, "n_estimators": trial.params["trees"], "max_depth": 2}
        del parameters["trees"]
        probability = out_of_fold(folds, parameters, threads=2)
        assert trial.value == tuned(F2, rows.target, probability)
        assert sorted(trial.intermediate_values) == list(range(FOLDS))


def test_best_trials_so_far_know_their_standard_error(run, folds, rows):
    study = open_study("errors", "sqlite://", fresh=False)
    run(study, trials=6)
    best = -1.0
    for trial in finished(study):
        assert (STANDARD_ERROR in trial.user_attrs) == (trial.value >= best)
        best = max(best, trial.value)
    parameters = {**study.best_params, "n_estimators": study.best_params["trees"], "max_depth": 2}
    del parameters["trees"]
    scored = Scored(rows.target, out_of_fold(folds, parameters, threads=2))
    expected = standard_error(F2, scored, best_threshold(F2, scored.target, scored.output))
    assert study.best_trial.user_attrs[STANDARD_ERROR] == pytest.approx(expected, rel=0.05)


def test_same_seed_gives_the_same_study_and_another_seed_another(run, uninterrupted):
    same, other = (open_study(name, "sqlite://", fresh=False) for name in ("same", "other"))
    run(same, trials=6)
    run(other, trials=6, seed=SEED + 1)
    assert described(same) == uninterrupted[:6]
    assert described(other) != uninterrupted[:6]


def test_trials_differ_from_each_other(uninterrupted):
    assert len({tuple(parameters.items()) for parameters, *_ in uninterrupted}) == TRIALS


def test_suggestions_stay_in_bounds_that_keep_predictions_fast():
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for _ in range(50):
        parameters = suggest_parameters(study.ask(), F2.task)
        assert 50 <= parameters["n_estimators"] <= 300
        assert 3 <= parameters["max_depth"] <= 6
        assert 1 <= parameters["scale_pos_weight"] <= 6


@pytest.mark.slow
def test_resumed_study_has_the_trials_of_an_uninterrupted_one(run, storage, uninterrupted):
    for trials in (5, 16, TRIALS):
        assert run(open_study("resumed", storage, fresh=False), trials=trials)
    assert described(open_study("resumed", storage, fresh=False)) == uninterrupted


@pytest.mark.slow
def test_killed_study_goes_on_as_if_nothing_had_been(run, storage, uninterrupted, monkeypatch):
    stop_in_trials(monkeypatch, Killed(), 2, 16)
    for finished_trials in (2, 15):
        study = open_study("killed", storage, fresh=False)
        with pytest.raises(Killed):
            run(study)
        assert len(finished(study)) == finished_trials
        assert study.trials[-1].state is TrialState.RUNNING
    study = open_study("killed", storage, fresh=False)
    assert [trial.number for trial in study.trials if trial.state is TrialState.FAIL] == [2, 16]
    assert run(study)
    assert described(study) == uninterrupted


@pytest.mark.slow
def test_ctrl_c_ends_the_study_cleanly_and_it_can_go_on(run, storage, uninterrupted, monkeypatch):
    stop_in_trials(monkeypatch, KeyboardInterrupt(), 0, 4)
    assert not run(open_study("stopped", storage, fresh=False))
    study = open_study("stopped", storage, fresh=False)
    assert [trial.state for trial in study.trials] == [TrialState.FAIL]
    assert not run(study)
    assert len(finished(study)) == 3
    assert run(open_study("stopped", storage, fresh=False))
    assert described(study) == uninterrupted


@pytest.mark.parametrize("call", ["ask", "tell"])
def test_ctrl_c_between_two_trials_ends_the_study_as_cleanly(run, storage, uninterrupted, monkeypatch, call):
    study = open_study("between", storage, fresh=False)
    done = getattr(optuna.Study, call)

    def interrupted(self, *arguments, **keywords):
        if len(finished(study)) == 3 and TrialState.FAIL not in keywords.values():
            raise KeyboardInterrupt
        return done(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(optuna.Study, call, interrupted)
        assert not run(study, trials=6)
    assert [trial.state for trial in study.trials if not trial.state.is_finished()] == []
    assert run(open_study("between", storage, fresh=False), trials=6)
    assert described(study) == uninterrupted[:6]


def test_finished_study_is_not_repeated(run, storage, monkeypatch):
    run(open_study("done", storage, fresh=False), trials=3)
    stop_in_trials(monkeypatch, AssertionError("a trial was started"), *range(99))
    study = open_study("done", storage, fresh=False)
    before = described(study)
    for trials in (3, 2, 1):
        assert run(study, trials=trials)
    assert described(study) == before


def test_fresh_forgets_the_trials_of_this_study_only(run, storage):
    for name in ("mine", "other"):
        run(open_study(name, storage, fresh=False), trials=2)
    assert finished(open_study("mine", storage, fresh=True)) == []
    assert len(finished(open_study("other", storage, fresh=False))) == 2
    assert finished(open_study("new", storage, fresh=True)) == []


def test_study_name_changes_with_all_that_a_trial_depends_on(rows):
    dataset = rows.dataset

    def named(dataset=dataset, content=b"rows", score=F2, seed=1, latency=None):
        return study_name(dataset, content, score, seed=seed, latency=latency)

    assert named() == named()
    assert named().startswith("orchard-")
    others = [
        named(dataclasses.replace(dataset, name="farm")),
        named(dataclasses.replace(dataset, features=dataset.features[:2])),
        named(dataclasses.replace(dataset, min_frequency=3)),
        named(content=b"more"),
        named(score=parse_score("f1", F2.task)),
        named(score=parse_score("roc_auc", F2.task)),
        *(named(seed=seed) for seed in (0, 2, 11)),
        *(named(latency=version) for version in (1, 2)),
    ]
    assert len({named(), *others}) == 1 + len(others)


def test_changed_search_space_is_another_study(rows, monkeypatch):
    own = {"pipeline": lambda parameters, seed: None}
    names = {
        study_name(dataclasses.replace(rows.dataset, space=space, **own), b"rows", F2, seed=1)
        for space in (lambda trial: {"a": 1}, lambda trial: {"a": 2})
    }
    assert len(names) == 2
    before = study_name(rows.dataset, b"rows", F2, seed=1)
    monkeypatch.setattr(tuning, "SPACE_VERSION", tuning.SPACE_VERSION + 1)
    assert study_name(rows.dataset, b"rows", F2, seed=1) != before


def test_a_data_set_s_own_space_is_searched(rows):
    own = dataclasses.replace(rows.dataset, pipeline=lambda parameters, seed: None, space=lambda trial: {"depth": 1})
    assert search_space(own)(None) == {"depth": 1}


def test_two_objectives_are_told_apart_from_one_in_the_storage_and_the_bar(storage):
    values = iter([(0.5, 20.0), (0.6, 30.0), (0.4, 40.0)])
    bar = io.StringIO()
    study = open_study("both", storage, fresh=False, metrics=("F2", "µs/row"))
    assert run_study(study, lambda _: next(values), trials=3, seed=1, label="F2", progress=bar)
    assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.values for trial in finished(study)] == [[0.5, 20.0], [0.6, 30.0], [0.4, 40.0]]
    assert "best F2 0.6000, 2 on the front" in bar.getvalue().splitlines()[-1]


def test_progress_bar_counts_trials_and_shows_the_best(run, storage):
    first, second = io.StringIO(), io.StringIO()
    run(open_study("bar", storage, fresh=False), trials=2, progress=first)
    study = open_study("bar", storage, fresh=False)
    run(study, trials=3, progress=second)
    assert "0/2" in first.getvalue()
    assert "2/3" in second.getvalue().splitlines()[0]
    assert "3/3" in second.getvalue().splitlines()[-1]
    assert f"best F2 {study.best_value:.4f}" in second.getvalue().splitlines()[-1]


def test_storage_folder_is_made(tmp_path):
    open_study("first", f"sqlite:///{tmp_path / 'a' / 'b' / 'study.db'}", fresh=False)
    assert (tmp_path / "a" / "b" / "study.db").is_file()


BAD_STORAGES = {
    "nonsense": "nonsense",
    "empty database name": "://",
    "unknown database": "oracular://host/study",
    "driver that is not installed": "postgresql+nosuchdriver://host/study",
    "port that is no number": "postgresql://host:port/study",
    "folder": "sqlite:///{folder}",
    "corrupt file": "sqlite:///{folder}/corrupt.db",
    "another program's file": "sqlite:///{folder}/other.db",
    "below a file": "sqlite:///{folder}/corrupt.db/deeper/study.db",
    "folder that can't be made": "sqlite:////proc/nowhere/study.db",
}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("storage", BAD_STORAGES)
def test_bad_storage_is_one_line_that_names_it(tmp_path, storage, fresh):
    (tmp_path / "corrupt.db").write_bytes(b"this is not a database " * 99)
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE studies (colour TEXT)")
    connection.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    url = BAD_STORAGES[storage].format(folder=tmp_path)
    with pytest.raises(TrainingError) as raised:
        open_study("any", url, fresh=fresh)
    message = str(raised.value)
    assert message.startswith(f"STORAGE={url}: the study storage can't be used: ")
    assert len(message.splitlines()) == 1
    assert message != f"STORAGE={url}: the study storage can't be used: "
    if storage != "another program's file":
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_locked_storage_is_an_error_that_names_it(storage, tmp_path):
    open_study("locked", storage, fresh=False)
    with sqlite3.connect(tmp_path / "study.db") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(TrainingError, match=r"STORAGE=sqlite.*locked"):
            open_study("locked", f"{storage}?timeout=0.1", fresh=False)
        connection.rollback()
    connection.close()


def test_folds_are_stratified_and_cover_every_row_once(folds, rows):
    assert len(folds) == FOLDS
    assert sorted(np.concatenate([fold.rows for fold in folds])) == list(range(rows.target.size))
    for fold in folds:
        assert rows.target[fold.rows].mean() == pytest.approx(rows.target.mean(), abs=1 / fold.rows.size)


def test_predictions_do_not_depend_on_the_number_of_threads(folds):
    parameters = {"n_estimators": 3, "max_depth": 2, "subsample": 0.7}
    one, two = (out_of_fold(folds, parameters, threads=threads) for threads in (1, 2))
    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("threads", [1, 2, FOLDS])
def test_trial_that_is_given_up_has_begun_no_more_folds_than_there_are_threads(threads):
    begun = []

    def counted(number):
        def predict(_):
            begun.append(number)
            return np.zeros(1)

        return Fold(np.array([number]), predict)

    with closing(fold_predictions([counted(number) for number in range(FOLDS)], {}, threads=threads)) as predictions:
        next(predictions)
        time.sleep(0.05)  # in which a thread that was free would begin the next
    assert sorted(begun) == list(range(threads))


def test_encoders_of_a_fold_see_its_own_training_rows_only(made_up, monkeypatch):
    dataset, frame = made_up.orchard("nominal", rows=80)
    rows = made_up.prepared(dataset, frame)
    once = rows.features["colour"].to_list()
    once[0] = "seen once"
    features = rows.features.with_columns(colour=np.array(once))
    widths = []
    binned = folding.xgb.QuantileDMatrix
    monkeypatch.setattr(
        folding.xgb,
        "QuantileDMatrix",
        lambda matrix, *more, **named: widths.append(matrix.shape[1]) or binned(matrix, *more, **named),
    )
    prepare_folds(dataset, features, rows.target, (), seed=1)
    assert sorted(max(widths) - width for width in widths) == [0, 0, 0, 0, 0, 0, 1, 1]


def test_storage_that_fails_in_a_trial_is_named_as_the_cause(monkeypatch, tmp_path):
    study = open_study("failing", f"sqlite:///{tmp_path / 'study.db'}", fresh=False)

    def fail(*_, **__):
        raise optuna.exceptions.StorageInternalError("database is locked")

    monkeypatch.setattr(study, "tell", fail)
    with pytest.raises(TrainingError, match="failed in trial 1: database is locked"):
        run_study(study, lambda _: 0.5, trials=1, seed=1, label="F2", progress=io.StringIO())


def test_progress_in_a_log_is_lines_without_carriage_returns(run, storage):
    log = io.StringIO()
    run(open_study("log", storage, fresh=False), trials=2, progress=log)
    assert "\r" not in log.getvalue()
    lines = log.getvalue().splitlines()
    assert [line.partition(" trial")[0] for line in lines] == ["study: 0/2", "study: 2/2"]
    assert "best F2" in lines[-1]


def test_progress_in_a_terminal_is_a_bar(run, storage):
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    run(open_study("terminal", storage, fresh=False), trials=1, progress=terminal)
    assert "\r" in terminal.getvalue()
    assert "100%|" in terminal.getvalue()
