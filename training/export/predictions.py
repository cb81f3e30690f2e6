"""What a pickle and a graph give for the same rows."""

import pickle
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from bundle.graph_names import outputs_of
from training.errors import ConversionError
from training.export.frames import pickle_frame
from training.export.interface import Interface, Tensors


class Predictions(NamedTuple):
    """Class indices int64 [rows] and P(class) float32 [rows, classes]; of a regressor, zeros and values [rows, 1]."""

    labels: NDArray[np.int64]
    numbers: NDArray[np.float32]

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """P(class) of a classifier."""
        return self.numbers

    def at(self, rows: NDArray[np.bool_] | slice) -> "Predictions":
        """The predictions of some of the rows."""
        return Predictions(self.labels[rows], self.numbers[rows])


def joined(parts: Iterable[Predictions]) -> Predictions:
    """The predictions of parts of the rows, one after the other."""
    return Predictions(*map(np.concatenate, zip(*parts, strict=True)))


def decided(interface: Interface, numbers: NDArray[np.float32]) -> Predictions:
    """The predictions that follow from a model's P(class) [rows, classes] or values [rows, 1]."""
    if interface.task == "regression":
        return Predictions(np.zeros(len(numbers), dtype=np.int64), numbers)
    if interface.threshold is None:
        return Predictions(numbers.argmax(axis=1), numbers)
    reached = numbers[:, interface.positive] >= np.float32(interface.threshold)
    return Predictions(np.where(reached, interface.positive, 1 - interface.positive), numbers)


def predict_pickle(content: bytes, interface: Interface, rows: Tensors) -> Predictions:
    """What the pickled estimator gives, as the pickle service asks it."""
    return predict_estimator(pickle.loads(content), interface, rows)  # noqa: S301 - made a moment ago by this process


def predict_estimator(estimator: Any, interface: Interface, rows: Tensors) -> Predictions:  # noqa: ANN401
    """What a fitted estimator gives, asked in the same way."""
    frame = pickle_frame(interface, rows)
    with np.errstate(over="ignore", invalid="ignore"):  # a value beyond float32 becomes infinite, as in the graph
        if interface.task == "regression":
            values = np.asarray(estimator.predict(frame)).astype(np.float32)
            if values.size != len(values):
                raise ConversionError(f"the model predicts {values.shape[1]} values for a row; a bundle has one target")
            return decided(interface, values.reshape(-1, 1))
        return decided(interface, estimator.predict_proba(frame).astype(np.float32))


def predict_onnx(content: bytes, interface: Interface, rows: Tensors) -> Predictions:
    """What ONNX Runtime gives with a named or a packed graph."""
    return predict_session(onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"]), interface, rows)


def predict_session(session: onnxruntime.InferenceSession, interface: Interface, rows: Tensors) -> Predictions:
    """What ONNX Runtime gives with a graph that is loaded already."""
    feeds = interface.feeds(rows, [node.name for node in session.get_inputs()])
    outputs = session.run(list(outputs_of(interface.task)), feeds)
    return decided(interface, outputs[0].reshape(-1, 1)) if interface.task == "regression" else Predictions(*outputs)
