"""From predictions to a response's bytes, with the names that the manifest gives."""

from collections.abc import Callable
from typing import Any

import msgspec

from bundle.manifest import Manifest
from serving.predictor import Predictions

Encode = Callable[[Predictions], bytes]


class ResponseSchema:
    """Encodes the answers of one model: `prediction`, `probabilities`, `predicted_<target>`."""

    def __init__(self, manifest: Manifest) -> None:
        fields = [("prediction", int), ("probabilities", list[float]), (f"predicted_{manifest.target}", str)]
        self._prediction: Any = msgspec.defstruct("Prediction", fields, gc=False)
        self._classes = manifest.classes
        self._to_json = msgspec.json.Encoder().encode

    def encode_row(self, predictions: Predictions) -> bytes:
        """The answer to a single row."""
        label = int(predictions.labels[0])
        return self._to_json(self._prediction(label, predictions.probabilities[0].tolist(), self._classes[label]))

    def encode_rows(self, predictions: Predictions) -> bytes:
        """The answer to a batch, in the order of its rows."""
        prediction, classes = self._prediction, self._classes
        pairs = zip(predictions.labels.tolist(), predictions.probabilities.tolist(), strict=True)
        rows = [prediction(label, probabilities, classes[label]) for label, probabilities in pairs]
        return self._to_json({"predictions": rows, "batch_size": len(rows)})
