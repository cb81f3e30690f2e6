"""How long ONNX Runtime takes for a row of a graph, comparable between trials that are hours or machines apart.

A measurement alternates between the graph and a reference graph, which is the same throughout a study. What slows the
machine for a while slows both, so that their ratio stays the same. The ratio, times what the reference graph took when
the study began, is the graph's time. For each the lower quartile of the rounds counts: disturbances only add time.

The clock is the thread's CPU time: the session computes in the thread that calls it and waits for nothing, so that this
is the time of a call, less the time in which the system ran other processes.
"""

import math
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime

from bundle.session_options import PROVIDERS, as_served
from training.data.prepare import Feeds, PreparedRows, packed_feeds
from training.dataset import Parameters
from training.export.artifacts import interface_of
from training.export.graphs import export_graphs
from training.model.evaluation import Scored
from training.model.fitting import finish_model

ROUNDS = 101
BLOCK_CALLS: Mapping[int, int] = {1: 32, 100: 2}
"""{rows per call: calls in a block}: about half a millisecond, so that few blocks are interrupted."""

UNDISTURBED = 1.2
"""A measurement in which the reference graph took more than so many times its initial time is disturbed, such as by
another guest on the same core, which doubles all times for seconds. It is repeated; the least disturbed one counts."""

MEASUREMENTS, REFERENCE_MEASUREMENTS = 5, 8
"""The most measurements of a graph; the number of those of the reference graph when a study begins."""

POOL_ROWS = 4096
"""Distinct training rows that the calls cycle through: a processor learns the branches of rows that are repeated, and
would be faster than it ever is in service. The held-out rows are used for no choice, hence not for latency, either."""

REFERENCE: Parameters = {"n_estimators": 100, "max_depth": 4, "learning_rate": 0.1}


@dataclass(frozen=True)
class Latency:
    """Microseconds per row, by how many rows there are in a call."""

    us_per_row: Mapping[int, float]


def export_trial(rows: PreparedRows, parameters: Parameters, threshold: float | None, *, seed: int) -> bytes:
    """The packed graph, as services run it, of a model with these parameters that is fitted on all rows at hand.

    Raises:
        ConversionError: the model can't be converted.
    """
    nothing = Scored(rows.target[:0], np.empty(0, dtype=np.float32))
    model = finish_model(rows, parameters, threshold, nothing, seed=seed)
    return export_graphs(rows.dataset.name, model.estimator, interface_of(rows, threshold))["onnx_packed"]


def open_session(content: bytes) -> onnxruntime.InferenceSession:
    """A session with the settings of the services."""
    return onnxruntime.InferenceSession(content, as_served(onnxruntime.SessionOptions()), providers=PROVIDERS)


class Stopwatch:
    """Times graphs of one data set against a reference graph of its own."""

    def __init__(self, rows: PreparedRows, *, seed: int) -> None:
        binary = rows.dataset.task == "binary_classification"
        self._reference = open_session(export_trial(rows, REFERENCE, 0.5 if binary else None, seed=seed))
        self._feeds = {count: _feeds(rows, count) for count in BLOCK_CALLS}

    def reference(self) -> Latency:
        """The reference graph's latency: the least disturbed of several measurements."""
        return Latency(
            {
                count: min(self._quartiles(self._reference, count)[0] for _ in range(REFERENCE_MEASUREMENTS))
                for count in BLOCK_CALLS
            }
        )

    def measure(self, content: bytes, standard: Latency) -> Latency:
        """A graph's latency on a machine on which the reference graph takes `standard`."""
        session = open_session(content)
        found = {}
        for count, expected in standard.us_per_row.items():
            least, ratio = math.inf, math.nan
            for _ in range(MEASUREMENTS):
                own, reference = self._quartiles(session, count)
                if reference < least:
                    least, ratio = reference, own / reference
                if least <= UNDISTURBED * expected:
                    break
            found[count] = ratio * expected
        return Latency(found)

    def _quartiles(self, session: onnxruntime.InferenceSession, count: int) -> tuple[float, float]:
        """Microseconds per row of the session and of the reference, after a round to warm up.

        They take turns at being the first to see a round's rows.
        """
        feeds, calls = self._feeds[count], BLOCK_CALLS[count]
        pairs = []
        for number in range(ROUNDS + 1):
            places = range(number * calls, (number + 1) * calls)
            block = [feeds[place % len(feeds)] for place in places]
            turns = (session, self._reference) if number % 2 else (self._reference, session)
            first, second = (1e6 * _seconds(one, block) / (calls * count) for one in turns)
            pairs.append((first, second) if number % 2 else (second, first))
        own, reference = (statistics.quantiles(times, n=4)[0] for times in zip(*pairs[1:], strict=True))
        return own, reference


def _seconds(session: onnxruntime.InferenceSession, block: list[Feeds]) -> float:
    started = time.thread_time()
    for feeds in block:
        session.run(None, feeds)
    return time.thread_time() - started


def _feeds(rows: PreparedRows, count: int) -> list[Feeds]:
    """The pool's rows as inputs of the packed graph, `count` in a call; repeated if the data set has fewer."""
    chosen = np.arange(max(POOL_ROWS, count)) % rows.features.height
    frame = rows.features[chosen]
    arrays = packed_feeds(rows.dataset, frame, rows.tokens)
    starts = range(0, chosen.size - count + 1, count)
    return [{name: array[start : start + count] for name, array in arrays.items()} for start in starts]
