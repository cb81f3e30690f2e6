"""Turns an estimator's sums into probabilities."""

import numpy as np
from onnx import TensorProto

from training.export.converters.emitter import Emitter


def two_classes(emitter: Emitter, positive: str) -> str:
    """Probabilities [N, 2] from that of the positive class, double [N, 1]."""
    return emitter.join([emitter.op("Sub", emitter.constant(np.array(1.0)), positive), positive])


def logistic(emitter: Emitter, scores: str) -> str:
    """Double [N, 1] of log-odds to probabilities [N, 2]."""
    return two_classes(emitter, emitter.op("Sigmoid", scores))


def softmax(emitter: Emitter, scores: str) -> str:
    """Double [N, K] of unnormalised log-probabilities to probabilities [N, K]."""
    return emitter.op("Softmax", scores, axis=1)


def probabilities(emitter: Emitter, scores: str, columns: int) -> str:
    """The usual link: logistic for one column of scores, softmax for several."""
    return logistic(emitter, scores) if columns == 1 else softmax(emitter, scores)


def double(emitter: Emitter, name: str) -> str:
    """Cast to double."""
    return emitter.cast(name, TensorProto.DOUBLE)


def normalised(emitter: Emitter, shares: str, columns: int) -> str:
    """Rows [N, columns] divided by their sums; a row of zeros becomes even shares."""
    total = emitter.op("ReduceSum", shares, emitter.constant(np.array([1], dtype=np.int64)), keepdims=1)
    none = emitter.op("Equal", total, emitter.constant(np.array(0.0)))
    even = emitter.constant(np.full((1, columns), 1 / columns))
    return emitter.op("Where", none, even, emitter.op("Div", shares, total))
