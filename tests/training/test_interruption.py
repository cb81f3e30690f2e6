"""Ctrl-C at the worst moment: within a statement of the study's storage, or while XGBoost reads rows."""

import io
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event
from sqlalchemy.engine import Engine
from xgboost import XGBClassifier

from training.interruption import Insisted, StoppedError, interrupts_held, raise_held, stop_if_held
from training.model import folds as folding
from training.model.evaluation import Scored
from training.model.fitting import finish_model, fit_model
from training.model.folds import prepare_folds
from training.model.score import parse_score
from training.tuning.shared_study import run_shared_study
from training.tuning.study import finished, open_study, run_study

TRIALS = 2


@pytest.fixture(autouse=True)
def ctrl_c():
    """Ctrl-C is Python's own, and is so again afterwards."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def objective(trial):
    trial.report(trial.suggest_float("x", 0, 1), 0)
    return trial.params["x"]


@pytest.fixture
def count_statements():
    """Begin to count what SQLAlchemy sends; SIGINT arrives right behind the statements of these numbers."""
    watched = []

    def begin(*numbers):
        seen = [0]

        def after(*_):
            seen[0] += 1
            if seen[0] in numbers:
                signal.raise_signal(signal.SIGINT)

        event.listen(Engine, "after_cursor_execute", after)
        watched.append(after)
        return seen

    def end():
        while watched:
            event.remove(Engine, "after_cursor_execute", watched.pop())

    begin.end = end
    yield begin
    end()


def test_within_any_statement_it_ends_the_study_cleanly_and_nothing_is_lost(count_statements, tmp_path):
    storage = f"sqlite:///{tmp_path}/study.db"

    def run(study):
        return run_study(study, objective, trials=TRIALS, seed=1, label="F2", progress=io.StringIO())

    study = open_study("whole", storage, fresh=False)
    seen = count_statements()
    assert run(study)
    count_statements.end()
    assert seen[0] > 20
    expected = [trial.params for trial in finished(study)]
    for number in range(1, seen[0] + 1, seen[0] // 12):
        study = open_study(f"cut at {number}", storage, fresh=False)
        count_statements(number)
        assert not run(study), number
        count_statements.end()
        assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.FAIL}, number
        assert run(study), number
        assert [trial.params for trial in finished(study)] == expected, number


def test_a_study_that_many_share_is_left_as_cleanly(count_statements, tmp_path):
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / 'study.db'}")
    study = open_study("shared", f"sqlite:///{tmp_path / 'study.db'}", fresh=False, connection=storage)
    for number in range(1, 40, 3):
        count_statements(number)
        assert not run_shared_study(study, objective, trials=1000, label="F2", progress=io.StringIO()), number
        count_statements.end()
        assert {trial.state for trial in study.trials} <= {TrialState.COMPLETE, TrialState.FAIL}, number


def test_pressed_again_it_does_not_wait(tmp_path):
    study = open_study("twice", f"sqlite:///{tmp_path / 'study.db'}", fresh=False)

    def twice(trial):
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        raise AssertionError(trial.number)

    with pytest.raises(Insisted):
        run_study(study, twice, trials=2, seed=1, label="F2", progress=io.StringIO())
    assert open_study("twice", f"sqlite:///{tmp_path / 'study.db'}", fresh=False).trials[0].state is TrialState.FAIL


def test_pressed_again_while_the_first_is_dealt_with_it_is_not_lost(count_statements, tmp_path):
    study = open_study("again", f"sqlite:///{tmp_path / 'study.db'}", fresh=False)

    def once(_):
        signal.raise_signal(signal.SIGINT)
        count_statements(1)
        raise_held()

    with pytest.raises(KeyboardInterrupt):
        run_study(study, once, trials=2, seed=1, label="F2", progress=io.StringIO())
    count_statements.end()
    assert study.trials[0].state is TrialState.FAIL


def test_it_is_raised_where_it_may_be_and_only_once():
    done = []
    with interrupts_held():
        raise_held()
        signal.raise_signal(signal.SIGINT)
        done.append("held")
        with pytest.raises(KeyboardInterrupt):
            raise_held()
        raise_held()
    assert done == ["held"]


def test_it_is_raised_at_the_end_at_the_latest():
    done = []

    def hold():
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            done.append("held")

    with pytest.raises(KeyboardInterrupt):
        hold()
    assert done == ["held"]


def test_an_error_is_not_hidden_by_it():
    def fail():
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            raise sqlite3.OperationalError

    with pytest.raises(sqlite3.OperationalError):
        fail()


def test_outside_of_a_study_it_is_as_ever():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise_held()


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda *_: None], ids=["ignored", "another's"])
def test_another_handler_stays(handler):
    signal.signal(signal.SIGINT, handler)
    with interrupts_held():
        assert signal.getsignal(signal.SIGINT) is handler
        raise_held()
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_a_thread_changes_nothing():
    seen = []

    def work():
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))
            raise_held()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]


def test_a_run_in_a_thread_does_not_take_what_the_main_thread_is_to_get():
    program = """
        import signal, threading
        from training.interruption import interrupts_held, raise_held
        try:
            with interrupts_held():
                signal.raise_signal(signal.SIGINT)
                thread = threading.Thread(target=raise_held)
                thread.start()
                thread.join()
        except KeyboardInterrupt:
            print("raised in the main thread")
    """
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("raised in the main thread\n", "")


def test_a_fold_is_prepared_to_its_end(made_up, monkeypatch):
    rows = made_up.prepared(*made_up.orchard())
    made = []
    original = folding._boosted

    def boosted(split):
        signal.raise_signal(signal.SIGINT)
        made.append(original(split))
        return made[-1]

    monkeypatch.setattr(folding, "_boosted", boosted)
    with pytest.raises(KeyboardInterrupt):
        prepare_folds(rows.dataset, rows.features, rows.target, rows.wide, seed=1)
    assert len(made) == 1


def test_a_fit_is_finished(made_up, monkeypatch):
    rows = made_up.prepared(*made_up.orchard())
    fitted = []
    original = XGBClassifier.fit

    def fit(self, *arguments, **keywords):
        signal.raise_signal(signal.SIGINT)
        fitted.append(original(self, *arguments, **keywords))
        return fitted[-1]

    monkeypatch.setattr(XGBClassifier, "fit", fit)
    nothing = Scored(rows.target[:0], np.empty(0, dtype=np.float32))
    with pytest.raises(KeyboardInterrupt):
        finish_model(rows, {"n_estimators": 3, "max_depth": 2}, 0.5, nothing, seed=1)
    assert len(fitted) == 1


def test_the_folds_that_were_begun_are_finished_before_the_threshold_is_chosen(made_up, monkeypatch):
    rows = made_up.prepared(*made_up.orchard())
    folds = prepare_folds(rows.dataset, rows.features, rows.target, rows.wide, seed=1)
    finished_folds = []

    def predicting(fold):
        def predict(parameters):
            output = fold.predict(parameters)
            finished_folds.append(output)
            return output

        return predict

    class Pressing(ThreadPoolExecutor):
        def __enter__(self):
            signal.raise_signal(signal.SIGINT)
            return super().__enter__()

    monkeypatch.setattr(folding, "ThreadPoolExecutor", Pressing)
    watched = [folding.Fold(fold.rows, predicting(fold)) for fold in folds]
    with pytest.raises(KeyboardInterrupt):
        fit_model(rows, watched, {"n_estimators": 3}, parse_score("f2", rows.dataset.task), seed=1, threads=2)
    assert len(finished_folds) == 2


def test_reading_stops_with_an_error_that_xgboost_passes_on():
    stopped = []

    def read():
        with interrupts_held():
            stop_if_held()
            signal.raise_signal(signal.SIGINT)
            for _ in range(2):  # XGBoost may ask again
                with pytest.raises(StoppedError):
                    stop_if_held()
                stopped.append(True)

    stop_if_held()
    with pytest.raises(KeyboardInterrupt):
        read()
    assert stopped == [True, True]
