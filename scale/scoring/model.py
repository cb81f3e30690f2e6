"""The packed graph in ONNX Runtime, run on many rows from several threads."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle.graph_names import CATEGORICAL, NUMERIC, outputs_of
from bundle.manifest import Manifest
from bundle.session_options import PROVIDERS, as_served
from scale.scoring.encoding import Encoded, Encoder

RUN_ROWS = 2000
"""Rows of one `session.run`: few enough for the intermediate tensors to stay in a core's cache."""

LIMIT_ROWS, LIMIT_ROUNDS = 100_000, 3


class Scores(NamedTuple):
    """What the model gives for rows: class indices int32 [rows], with the decision threshold applied, and probabilities
    float32 [rows, classes]. A regressor gives no labels, and values float32 [rows, 1].
    """

    labels: NDArray[np.int32] | None
    numbers: NDArray[np.float32]


class ScoringModel:
    """One session with one thread of its own, to be run from as many threads as there are cores.

    That scales better than ONNX Runtime's own threads, which wait for each other at the end of every operator.
    """

    def __init__(self, graph: bytes, manifest: Manifest) -> None:
        options = as_served(onnxruntime.SessionOptions())
        self._session = onnxruntime.InferenceSession(graph, options, providers=PROVIDERS)
        self._inputs = {node.name for node in self._session.get_inputs()}
        self._outputs = outputs_of(manifest.task)
        self._width = len(manifest.classes) or 1
        self.encoder = Encoder(manifest)

    def score(self, rows: Encoded) -> Scores:
        """The scores of all rows, in order."""
        labels = np.empty(len(rows.codes), dtype=np.int32)
        numbers = np.empty((len(rows.codes), self._width), dtype=np.float32)
        for start, feeds in zip(range(0, len(labels), RUN_ROWS), self._feeds(rows), strict=True):
            *got, found = self._session.run(self._outputs, feeds)
            numbers[start : start + RUN_ROWS] = found.reshape(-1, self._width)
            if got:
                labels[start : start + RUN_ROWS] = got[0]
        return Scores(labels if len(self._outputs) > 1 else None, numbers)

    def measure_limit(self, rows: Encoded, threads: int) -> float:
        """Rows per second of `session.run` alone: the best of a few rounds, on the first of these rows.

        All arrays are made before the clock starts.
        """
        rows = Encoded(rows.strings, rows.codes[:LIMIT_ROWS], rows.numeric[:LIMIT_ROWS], rows.unseen)
        prepared = list(self._feeds(rows))

        def run(feeds: dict[str, NDArray[Any]]) -> None:
            self._session.run(self._outputs, feeds)

        seconds = []
        with ThreadPoolExecutor(threads) as pool:
            for _ in range(LIMIT_ROUNDS):
                start = time.perf_counter()
                list(pool.map(run, prepared))
                seconds.append(time.perf_counter() - start)
        return len(rows.codes) / min(seconds)

    def _feeds(self, rows: Encoded) -> Iterator[dict[str, NDArray[Any]]]:
        for start in range(0, len(rows.codes), RUN_ROWS):
            piece = slice(start, start + RUN_ROWS)
            feeds = {CATEGORICAL: rows.strings[rows.codes[piece]], NUMERIC: rows.numeric[piece]}
            yield {name: feeds[name] for name in self._inputs}  # a data set may have no categories, or no numbers
