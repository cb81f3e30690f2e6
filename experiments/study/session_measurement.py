"""Measure sessions of graphs against each other: latency, load time and skew."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle.graph_names import LABEL, PROBABILITIES
from experiments.study.contestants import StudyBatch, open_session, product_options
from experiments.study.node_profile import profile_nodes
from experiments.study.session_results import OptionLatency, SettingResult, Skew, verdict
from experiments.study.session_settings import Setting
from experiments.study.timing import Budget, Rounds, repeats_for, seconds_per_call, turns

LEAST_NOISE = 0.03
"""Smaller differences don't count, however quiet the machine was."""

Batches = dict[int, tuple[StudyBatch, ...]]
"""{rows per call: the batches that calls go through}"""


@dataclass(frozen=True)
class ExpectedAnswers:
    """Rows, and what the in-process pipeline gave them: labels int64 [rows], P(positive) float32 [rows]."""

    batch: StudyBatch
    labels: NDArray[np.int64]
    positive: NDArray[np.float32]

    def skew(self, session: onnxruntime.InferenceSession) -> Skew:
        """How far the session's predictions are from these."""
        labels, probabilities = session.run([LABEL, PROBABILITIES], self.batch.feeds)
        return Skew(
            rows=self.labels.size,
            max_difference=float(np.abs(probabilities[:, 1] - self.positive).max()),
            different_labels=int((labels != self.labels).sum()),
        )


Opener = Callable[[], onnxruntime.InferenceSession]


def measure_sessions(openers: Sequence[Opener], batches: Batches, budget: Budget) -> tuple[Rounds, dict[int, Rounds]]:
    """The seconds that sessions take to open, and per number of rows those of a call, in rounds of all of them.

    In every round a session is opened, measured and closed before the next one: the threads of an open session may spin
    long after their work is done, and slow the others.
    """
    repeats = {rows: repeats_for(_caller(openers[0](), some), budget.round_seconds) for rows, some in batches.items()}
    loads: list[list[float]] = [[] for _ in openers]
    calls: dict[int, list[list[float]]] = {rows: [[] for _ in openers] for rows in batches}
    for index in turns(len(openers), budget):
        opened = time.perf_counter()
        session = openers[index]()
        loads[index].append(time.perf_counter() - opened)
        for rows, some in batches.items():
            call = _caller(session, some)
            seconds_per_call(call, 1 + repeats[rows] // 4)  # to warm up
            calls[rows][index].append(seconds_per_call(call, repeats[rows]))
        del session, call
    return _rounds(loads), {rows: _rounds(seconds) for rows, seconds in calls.items()}


def _rounds(seconds: list[list[float]]) -> Rounds:
    return Rounds(tuple(map(tuple, seconds)))


def _caller(session: onnxruntime.InferenceSession, batches: tuple[StudyBatch, ...]) -> Callable[[], object]:
    feeds = cycle(batch.feeds for batch in batches)
    return lambda: session.run(None, next(feeds))


def noise_of(rounds: Rounds, control: int = 1) -> float:
    """How far the ratio of a setting to itself deviates from 1: the quartiles of the rounds, at least `LEAST_NOISE`."""
    lower, _, upper = statistics.quantiles(rounds.ratios()[control], n=4)
    return max(LEAST_NOISE, 1 - lower, upper - 1)


def latencies(rounds: dict[int, Rounds], noise: dict[int, float], index: int) -> dict[int, OptionLatency]:
    """{rows: latency} of the contestant `index`; the first one is the basis."""
    found = {}
    for rows, measured in rounds.items():
        ratios = measured.ratios()[index]
        told = verdict(ratios, noise[rows]) if index else "basis"
        found[rows] = OptionLatency(us=1e6 * measured.medians[index], ratio=statistics.median(ratios), verdict=told)
    return found


def measure_settings(
    content: bytes, settings: Sequence[Setting], expected: ExpectedAnswers, batches: Batches, budget: Budget
) -> tuple[list[SettingResult], dict[int, float], int]:
    """Every setting on the graph, the noise per number of rows, and how many rounds there were.

    The first setting is the basis, and the second the same one again.
    """
    saved = optimized(content)
    contents = [saved if setting.saved else content for setting in settings]
    openers = [partial(setting.open, graph) for setting, graph in zip(settings, contents, strict=True)]
    loads, rounds = measure_sessions(openers, batches, budget)
    noise = {rows: noise_of(measured) for rows, measured in rounds.items()}
    some = next(iter(batches.values()))[0]
    results = [
        SettingResult(
            name=setting.name,
            latency=latencies(rounds, noise, index),
            load_ms=1e3 * loads.medians[index],
            bytes=len(contents[index]),
            skew=expected.skew(openers[index]()),
            placement=str(profile_nodes(contents[index], setting.make, some)),
        )
        for index, setting in enumerate(settings)
    ]
    return results, noise, len(loads.seconds[0])


def optimized(content: bytes) -> bytes:
    """The graph as ONNX Runtime saves it after its optimisations."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "optimized.onnx"
        options = product_options()
        options.optimized_model_filepath = str(path)
        options.log_severity_level = 3  # it warns that the file may not suit another machine; none gets it
        open_session(content, options)
        return path.read_bytes()
