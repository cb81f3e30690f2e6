"""The ONNX graph in ONNX Runtime."""

import onnxruntime

from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES
from serving.predictor import Batch, Predictions, Predictor

OUTPUTS = (LABEL, PROBABILITIES)


class OnnxPredictor:
    """Runs the packed graph: a string tensor, a float tensor, in; labels and probabilities out."""

    backend = "onnx"

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        # One thread, and no spinning: a process of this service has one CPU, and its default, a spinning thread per
        # host core, is what makes ONNX Runtime slow inside a container with a CPU limit.
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self._inputs = {node.name for node in self._session.get_inputs()}

    def predict(self, batch: Batch) -> Predictions:
        """One run of the graph for the whole batch."""
        feeds = {CATEGORICAL: batch.categorical, NUMERIC: batch.numeric}
        if len(self._inputs) != len(feeds):  # a data set without categories, or without numbers
            feeds = {name: feeds[name] for name in self._inputs}
        return Predictions(*self._session.run(OUTPUTS, feeds))


def _conforms(predictor: OnnxPredictor) -> Predictor:
    return predictor
