"""Timing a graph against the reference graph; nothing here depends on how fast the machine is."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from serving.onnx_predictor import OnnxPredictor
from training.tuning import latency
from training.tuning.latency import BLOCK_CALLS, Latency, Stopwatch, export_trial, open_session

STANDARD = Latency({1: 10.0, 100: 2.0})


@pytest.fixture(scope="module")
def graph(made_up):
    return export_trial(made_up.rows, {"n_estimators": 3, "max_depth": 2}, 0.5, seed=1)


@pytest.fixture(scope="module")
def stopwatch(made_up):
    return Stopwatch(made_up.rows, seed=1)


@pytest.fixture
def clock(monkeypatch, stopwatch):
    """Takes the place of the clock: what a block takes, given whose it is, the rows of a call and the calls."""
    monkeypatch.setattr(latency, "ROUNDS", 5)

    def replace(seconds):
        def block_seconds(session, block):
            return seconds(session is stopwatch._reference, len(next(iter(block[0].values()))), len(block))

        monkeypatch.setattr(latency, "_seconds", block_seconds)

    return replace


@pytest.mark.parametrize("slowdown", [1, 1.1, 7])
def test_a_machine_that_is_slower_for_a_while_gives_the_same_latency(clock, stopwatch, graph, slowdown):
    """The reference takes 10 µs a row in calls of one, and 2 in calls of 100; the graph three and two times as long."""

    def seconds(is_reference, rows, calls):
        us_per_row = (10 if is_reference else 30) if rows == 1 else (2 if is_reference else 4)
        return slowdown * us_per_row * rows * calls / 1e6

    clock(seconds)
    found = stopwatch.measure(graph, STANDARD)
    assert found.us_per_row == {1: pytest.approx(30), 100: pytest.approx(4)}


def test_a_disturbed_measurement_is_repeated_and_the_least_disturbed_one_counts(clock, stopwatch, graph):
    measured = []

    def seconds(is_reference, rows, calls):
        if rows != 1:
            return 2 * rows * calls / 1e6
        measured.append(1)
        disturbed = len(measured) <= 2 * (latency.ROUNDS + 1)
        us_per_row = {(True, True): 25, (True, False): 100, (False, True): 10, (False, False): 30}
        return us_per_row[disturbed, is_reference] * calls / 1e6

    clock(seconds)
    assert stopwatch.measure(graph, STANDARD).us_per_row[1] == pytest.approx(30)
    assert len(measured) == 2 * 2 * (latency.ROUNDS + 1)


def test_a_few_interrupted_blocks_change_nothing(clock, stopwatch, graph):
    number = itertools.count()

    def seconds(is_reference, rows, calls):
        interrupted = 50 if next(number) % 4 == 0 else 1
        return interrupted * (2 if is_reference else 6) * rows * calls / 1e6

    clock(seconds)
    assert stopwatch.measure(graph, Latency({1: 2.0, 100: 2.0})).us_per_row == {
        1: pytest.approx(6),
        100: pytest.approx(6),
    }


def test_the_reference_is_told_in_microseconds_per_row(clock, stopwatch):
    clock(lambda _, rows, calls: 7 * rows * calls / 1e6)
    assert stopwatch.reference().us_per_row == {1: pytest.approx(7), 100: pytest.approx(7)}


def test_real_times_are_positive(stopwatch, graph, monkeypatch):
    monkeypatch.setattr(latency, "ROUNDS", 3)
    found = stopwatch.measure(graph, stopwatch.reference())
    assert set(found.us_per_row) == set(BLOCK_CALLS)
    assert all(0 < us < 1e6 for us in found.us_per_row.values())


@pytest.mark.parametrize("kinds", [(), ("numeric",), ("nominal",)])
def test_calls_have_the_training_rows_as_the_graph_takes_them(made_up, kinds):
    rows = made_up.prepared(*made_up.orchard(*kinds, rows=160))
    content = export_trial(rows, {"n_estimators": 2, "max_depth": 2}, 0.5, seed=1)
    session = open_session(content)
    for count in BLOCK_CALLS:
        feeds = latency._feeds(rows, count)
        assert len(feeds) == latency.POOL_ROWS // count
        labels, _ = session.run(None, feeds[-1])
        assert labels.shape == (count,)
    if rows.dataset.numeric:
        first = [feeds["numeric"][0] for feeds in latency._feeds(rows, 1)[: rows.features.height]]
        names = [feature.name for feature in rows.dataset.numeric]
        assert np.array_equal(first, rows.features.select(names).to_numpy().astype(np.float32), equal_nan=True)


def test_sessions_are_those_of_the_service(graph):
    theirs = OnnxPredictor(graph, SimpleNamespace(task="binary_classification"))._run.__self__.session_options
    ours = open_session(graph).get_session_options()
    for name in ("intra_op_num_threads", "inter_op_num_threads", "execution_mode", "graph_optimization_level"):
        assert getattr(ours, name) == getattr(theirs, name)
    key = "session.intra_op.allow_spinning"
    assert ours.get_session_config_entry(key) == theirs.get_session_config_entry(key) == "0"
