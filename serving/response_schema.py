"""From predictions to a response's bytes, with the names that the manifest gives."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bundle.manifest import Manifest
from serving.predictor import Predictions

Encode = Callable[[Sequence[Predictions]], tuple[bytes, int]]
"""From the predictions of a request's pieces to the response's body, and the number of rows in it."""


class ResponseSchema:
    """Encodes the answers of one model: `prediction`, `probabilities`, `predicted_<target>`."""

    def __init__(self, manifest: Manifest) -> None:
        fields = [("prediction", int), ("probabilities", list[float]), (f"predicted_{manifest.target}", str)]
        self._prediction: Any = msgspec.defstruct("Prediction", fields, gc=False)
        self._classes = manifest.classes
        self._to_json = msgspec.json.Encoder().encode

    def encode_row(self, pieces: Sequence[Predictions]) -> tuple[bytes, int]:
        """The answer to a single row."""
        ((labels, probabilities),) = pieces
        label = int(labels[0])
        return self._to_json(self._prediction(label, probabilities[0].tolist(), self._classes[label])), 1

    def encode_rows(self, pieces: Sequence[Predictions]) -> tuple[bytes, int]:
        """The answer to a batch, in the order of its rows."""
        rows = sum(len(piece.labels) for piece in pieces)
        content = b",".join(self._rows(piece) for piece in pieces)
        return b'{"predictions":[%b],"batch_size":%d}' % (content, rows), rows

    def _rows(self, piece: Predictions) -> bytes:
        """The elements of a JSON array."""
        prediction, classes = self._prediction, self._classes
        pairs = zip(piece.labels.tolist(), piece.probabilities.tolist(), strict=True)
        return self._to_json([prediction(label, both, classes[label]) for label, both in pairs])[1:-1]
