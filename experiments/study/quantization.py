"""INT8 by onnxruntime.quantization: what it finds to do in a graph, and what it leaves alone."""

import io
import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, quantize_dynamic, quantize_static

from experiments.study.contestants import StudyBatch


class _Rows(CalibrationDataReader):  # type: ignore[misc]  # the library is untyped
    """Feeds the calibration one batch after the other."""

    def __init__(self, batches: Sequence[StudyBatch]) -> None:
        self._batches = iter(batches)

    def get_next(self) -> dict[str, object] | None:
        """The next batch's tensors; None ends it."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch.feeds)


def dynamic(content: bytes) -> bytes:
    """Weights as INT8 ahead of time, activations when they are met."""
    return _quantized(content, quantize_dynamic)


def static(content: bytes, calibration: Sequence[StudyBatch], operators: Sequence[str] | None = None) -> bytes:
    """Weights and activations as INT8, with the ranges that the activations have on the calibration rows.

    `operators` are the types of nodes to quantise (default: all that the library knows how to).
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
