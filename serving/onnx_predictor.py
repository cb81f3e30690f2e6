"""The ONNX graph in ONNX Runtime."""

import onnxruntime

from bundle.graph_names import CATEGORICAL, NUMERIC, outputs_of
from bundle.manifest import Manifest
from bundle.session_options import PROVIDERS, as_served
from serving.expected_answer import model_failed
from serving.predictor import Batch, Classes, Predictions, Predictor, Values
from serving.request_schema import PIECE_BYTES


class OnnxPredictor:
    """Runs the packed graph: a string tensor and a float tensor in; labels and probabilities, or values, out."""

    backend = "onnx"
    shares_runs = True
    piece_bytes = PIECE_BYTES

    def __init__(self, model: bytes, manifest: Manifest) -> None:
        """Raises BundleError: ONNX Runtime can't run the graph."""
        options = as_served(onnxruntime.SessionOptions())
        try:
            session = onnxruntime.InferenceSession(model, options, providers=PROVIDERS)
        except Exception as error:  # ONNX Runtime's errors have no base class of their own
            raise model_failed(manifest, self.backend, error) from error
        # The session's own `run` first checks for inputs, which can't be missing here: a seventh of a row's time.
        self._run = session._sess.run  # noqa: SLF001
        self._inputs = {node.name for node in session.get_inputs()}
        self._outputs = outputs_of(manifest.task)
        self._answers: type[Classes | Values] = Values if manifest.task == "regression" else Classes

    def predict(self, batch: Batch) -> Predictions:
        """One run of the graph for the whole batch."""
        feeds = {CATEGORICAL: batch.categorical, NUMERIC: batch.numeric}
        if len(self._inputs) != len(feeds):  # a data set without categories, or without numbers
            feeds = {name: feeds[name] for name in self._inputs}
        return self._answers(*self._run(self._outputs, feeds, None))


def _conforms(predictor: OnnxPredictor) -> Predictor:
    return predictor
