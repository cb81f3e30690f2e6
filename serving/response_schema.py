"""From predictions to a response's bytes, with the names that the manifest gives."""

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bundle.json_names import is_field_name
from bundle.manifest import Manifest
from serving.predictor import Classes, Values

Encode = Callable[[Any], bytes]
"""A piece of the response's body, from `Classes` or `Values`. Encoding piece by piece holds the interpreter's lock only
briefly at a time."""

Assemble = Callable[[Sequence[bytes], int], bytes]
"""The response's body, from its encoded pieces and the number of rows in them."""


class ClassAnswers:
    """Encodes a classifier's answers: `prediction`, `probabilities`, `predicted_<target>`."""

    def __init__(self, manifest: Manifest) -> None:
        label = f"predicted_{manifest.target}"
        fields = [("prediction", int), ("probabilities", list[float]), ("label", bool | int | str)]
        self._prediction: Any
        if is_field_name(label):
            self._prediction = msgspec.defstruct("Prediction", fields, rename={"label": label}, gc=False)
        else:
            self._prediction = lambda *values: dict(zip(("prediction", "probabilities", label), values, strict=True))
        self._classes = manifest.classes
        self._to_json = msgspec.json.Encoder().encode

    def encode_row(self, piece: Classes) -> bytes:
        """The answer to a single row."""
        (label,), (probabilities,) = piece.labels.tolist(), piece.probabilities.tolist()
        return self._to_json(self._prediction(label, probabilities, self._classes[label]))

    def encode_rows(self, piece: Classes) -> bytes:
        """Elements of the answer's JSON array, in the order of the rows."""
        prediction, classes = self._prediction, self._classes
        pairs = zip(piece.labels.tolist(), piece.probabilities.tolist(), strict=True)
        return self._to_json([prediction(label, row, classes[label]) for label, row in pairs])[1:-1]


class ValueAnswers:
    """Encodes a regressor's answers: `prediction`, null where the model's value is not finite."""

    def __init__(self) -> None:
        self._prediction: Any = msgspec.defstruct("Prediction", [("prediction", float)], gc=False)
        self._to_json = msgspec.json.Encoder().encode

    def encode_row(self, piece: Values) -> bytes:
        """The answer to a single row."""
        return self._to_json(self._prediction(piece.values.item()))

    def encode_rows(self, piece: Values) -> bytes:
        """Elements of the answer's JSON array, in the order of the rows."""
        return self._to_json([self._prediction(value) for value in piece.values.tolist()])[1:-1]


def answers_of(manifest: Manifest) -> ClassAnswers | ValueAnswers:
    """The encoder of the model's answers."""
    return ValueAnswers() if manifest.task == "regression" else ClassAnswers(manifest)


def assemble_row(pieces: Sequence[bytes], _: int) -> bytes:
    """The answer to a single row: the only piece."""
    return pieces[0]


def assemble_rows(pieces: Sequence[bytes], rows: int) -> bytes:
    """The answer to a batch."""
    return b'{"predictions":[%b],"batch_size":%d}' % (b",".join(pieces), rows)
