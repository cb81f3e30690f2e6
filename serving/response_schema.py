"""From predictions to a response's bytes, with the names that the manifest gives."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bundle.manifest import Manifest
from serving.predictor import Predictions

Encode = Callable[[Predictions], bytes]
"""A piece of the response's body. Encoding piece by piece keeps the interpreter's lock for a moment only."""

Assemble = Callable[[Sequence[bytes], int], bytes]
"""The response's body, from its encoded pieces and the number of rows in them."""


class ResponseSchema:
    """Encodes the answers of one model: `prediction`, `probabilities`, `predicted_<target>`."""

    def __init__(self, manifest: Manifest) -> None:
        fields = [("prediction", int), ("probabilities", list[float]), (f"predicted_{manifest.target}", str)]
        self._prediction: Any = msgspec.defstruct("Prediction", fields, gc=False)
        self._classes = manifest.classes
        self._to_json = msgspec.json.Encoder().encode

    def encode_row(self, piece: Predictions) -> bytes:
        """The answer to a single row."""
        label = int(piece.labels[0])
        return self._to_json(self._prediction(label, piece.probabilities[0].tolist(), self._classes[label]))

    @staticmethod
    def assemble_row(pieces: Sequence[bytes], _: int) -> bytes:
        """The only piece."""
        return pieces[0]

    def encode_rows(self, piece: Predictions) -> bytes:
        """Elements of the answer's JSON array, in the order of the rows."""
        prediction, classes = self._prediction, self._classes
        pairs = zip(piece.labels.tolist(), piece.probabilities.tolist(), strict=True)
        return self._to_json([prediction(label, both, classes[label]) for label, both in pairs])[1:-1]

    @staticmethod
    def assemble_rows(pieces: Sequence[bytes], rows: int) -> bytes:
        """The answer to a batch."""
        return b'{"predictions":[%b],"batch_size":%d}' % (b",".join(pieces), rows)
