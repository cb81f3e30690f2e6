"""INT8 by onnxruntime.quantization: what it does to the bundle's trees and to a small neural network."""

import io
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

from bundle.graph_names import LABEL, PROBABILITIES
from experiments.study.comparison import fit
from experiments.study.contestants import NativePipeline, StudyBatch, open_session
from experiments.study.conversion import export_pipeline
from experiments.study.families import mlp
from experiments.study.session_measurement import Batches, ExpectedAnswers, latencies, measure_sessions, noise_of
from experiments.study.session_results import QuantizationResult
from experiments.study.timing import Budget
from training.data.prepare import PreparedRows, pipeline_frame
from training.model.evaluation import Scored, best_threshold, measure
from training.model.score import parse_score

CALIBRATION_ROWS = 2_000
SCORE = parse_score("f2", "binary_classification")
LAYERS = ("MatMul", "Gemm")
"""The operators of a neural network's layers."""


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # the library is untyped
    """Feeds the calibration one batch after the other."""

    def __init__(self, batches: Sequence[StudyBatch]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, object] | None:
        """The next batch's tensors; None ends it."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch.feeds)


def dynamic(content: bytes) -> bytes:
    """Weights as INT8 ahead of time, activations at run time."""
    return _quantized(content, quantize_dynamic)


def static(content: bytes, calibration: Sequence[StudyBatch], operators: Sequence[str] | None = None) -> bytes:
    """Weights and activations as INT8, with the ranges that the activations have on the calibration rows.

    `operators` are the types of nodes to quantise (default: all that the library can quantise).
    """

    def quantize(model: onnx.ModelProto, path: Path) -> None:
        quantize_static(model, path, _Rows(calibration), quant_format=QuantFormat.QDQ, op_types_to_quantize=operators)

    return _quantized(content, quantize)


def added_operators(before: bytes, after: bytes) -> Counter[str]:
    """Operators that the quantised graph has and the other hasn't, or has fewer of; empty: nothing was quantised."""
    return _operators(after) - _operators(before)


def _operators(content: bytes) -> Counter[str]:
    return Counter(node.op_type for node in onnx.load_model(io.BytesIO(content)).graph.node)


def _quantized(content: bytes, quantize: Callable[[onnx.ModelProto, Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "quantized.onnx"
        quantize(onnx.load_model(io.BytesIO(content)), path)
        return path.read_bytes()


@contextmanager
def _quiet() -> Iterator[None]:
    """The library advises on the root logger to optimise the graph first, which a graph of a few nodes doesn't need."""
    root = logging.getLogger()
    before = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def train_mlp(rows: PreparedRows, *, seed: int) -> tuple[bytes, float]:
    """The small neural network as a packed graph, and its threshold, chosen on the training rows."""
    pipeline = fit(rows, rows.features, mlp(64, 32), seed=seed)
    training = StudyBatch.of(rows.dataset, rows.features)
    threshold = best_threshold(SCORE, rows.target, NativePipeline(pipeline, 0.5).predict(training).values)
    return export_pipeline(rows.dataset, pipeline, threshold), threshold


def measure_quantization(
    name: str, content: bytes, threshold: float, rows: PreparedRows, batches: Batches, budget: Budget
) -> list[QuantizationResult]:
    """The graph as it is, and quantised in every way, on the held-out rows."""
    ways: dict[str, Callable[[], bytes]] = {
        "float32": lambda: content,
        "float32 again": lambda: content,
        "dynamic INT8": lambda: dynamic(content),
        "static INT8, layers only": lambda: static(content, _calibration(rows), LAYERS),
        "static INT8, all it finds": lambda: static(content, _calibration(rows)),
    }
    graphs = {way: make() for way, make in ways.items()}
    openers = [partial(open_session, graph) for graph in graphs.values()]
    sessions = [opener() for opener in openers]
    _, rounds = measure_sessions(openers, batches, budget)
    noise = {count: noise_of(measured) for count, measured in rounds.items()}
    held_out = StudyBatch.of(rows.dataset, pipeline_frame(rows.dataset, rows.held_out))
    labels, probabilities = sessions[0].run([LABEL, PROBABILITIES], held_out.feeds)
    expected = ExpectedAnswers(held_out, labels, probabilities[:, 1])
    results = []
    for index, (way, graph) in enumerate(graphs.items()):
        added = added_operators(content, graph)
        scores = _scores(sessions[index], expected, rows.held_out_target, threshold)
        results.append(
            QuantizationResult(
                graph=name,
                way=way,
                added=", ".join(f"{count} {operator}" for operator, count in sorted(added.items())),
                bytes=len(graph),
                latency=latencies(rounds, noise, index),
                skew=expected.skew(sessions[index]),
                f2=scores["f2"],
                accuracy=scores["accuracy"],
            )
        )
    return results


def _calibration(rows: PreparedRows) -> Sequence[StudyBatch]:
    return [StudyBatch.of(rows.dataset, part) for part in rows.features.head(CALIBRATION_ROWS).iter_slices(500)]


def _scores(
    session: onnxruntime.InferenceSession, expected: ExpectedAnswers, target: NDArray[np.int64], threshold: float
) -> dict[str, float]:
    (probabilities,) = session.run([PROBABILITIES], expected.batch.feeds)
    return measure(SCORE, Scored(target, probabilities[:, 1]), threshold)
