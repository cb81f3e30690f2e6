"""The ONNX graph in ONNX Runtime."""

import onnxruntime

from bundle.graph_names import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES
from bundle.session_options import PROVIDERS, as_served
from serving.predictor import Batch, Predictions, Predictor

OUTPUTS = (LABEL, PROBABILITIES)


class OnnxPredictor:
    """Runs the packed graph: a string tensor, a float tensor, in; labels and probabilities out."""

    backend = "onnx"

    def __init__(self, model: bytes) -> None:
        options = as_served(onnxruntime.SessionOptions())
        self._session = onnxruntime.InferenceSession(model, options, providers=PROVIDERS)
        self._inputs = {node.name for node in self._session.get_inputs()}

    def predict(self, batch: Batch) -> Predictions:
        """One run of the graph for the whole batch."""
        feeds = {CATEGORICAL: batch.categorical, NUMERIC: batch.numeric}
        if len(self._inputs) != len(feeds):  # a data set without categories, or without numbers
            feeds = {name: feeds[name] for name in self._inputs}
        return Predictions(*self._session.run(OUTPUTS, feeds))


def _conforms(predictor: OnnxPredictor) -> Predictor:
    return predictor
