"""Answers of a service: typed decoding, and the check of each one that is fast enough to run under load."""

import math
from collections.abc import Callable, Sequence
from operator import sub
from typing import Any, NamedTuple, cast

import msgspec

from bundle.json_names import is_field_name
from bundle.manifest import Manifest
from bundle.tolerance import tolerance_of, value_scale

Numbers = Sequence[float]
"""The numbers in a row's answer: the probabilities by class index, or a regressor's one value."""


class ExpectedAnswer(NamedTuple):
    """One row's reference: class index (0 for a regressor), numbers, and the kind of row, which faults name."""

    label: int
    numbers: Numbers
    case: str


class Answers:
    """Decodes and checks the answers of a service of one bundle.

    `largest_difference` is the largest |served - expected| of all rows that `check` has compared (of values relative to
    their scale), 1 for values that can't be compared; set it to 0 to start again.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.largest_difference = 0.0
        self._classes = manifest.classes
        self._tolerance = tolerance_of(manifest)
        self._classifies = manifest.task != "regression"
        self._difference = _probability_difference if self._classifies else _value_difference
        self._wrong = "wrong probability" if self._classifies else "wrong value"
        one: Any = _class_answer(manifest) if self._classifies else _value_answer()
        batch = msgspec.defstruct("Batch", [("predictions", list[one]), ("batch_size", int)])
        # an own name for the key of the label where msgspec can't give that one to a field
        label = f"predicted_{manifest.target}"
        rename = None if is_field_name(label) else label
        self._decode_one = _decoder(one, rename)
        self._decode_batch = _decoder(batch, rename)

    def decode(self, body: bytes, *, batch: bool) -> Sequence[Any]:
        """The predictions in a response body, of `/predict/batch` if `batch`.

        Raises:
            msgspec.DecodeError: not JSON, or not what the contract says.
        """
        if not batch:
            return (self._decode_one(body),)
        answer = self._decode_batch(body)
        predictions = cast("list[Any]", answer.predictions)
        if answer.batch_size != len(predictions):
            raise msgspec.ValidationError("batch_size differs from the number of predictions")
        return predictions

    def numbers(self, prediction: Any) -> Numbers:  # noqa: ANN401 - of the type made for the manifest
        """The served probabilities or value; NaN for a value that is not finite."""
        if self._classifies:
            return cast("Numbers", prediction.probabilities)
        return (math.nan if prediction.prediction is None else prediction.prediction,)

    def class_index(self, prediction: Any) -> int:  # noqa: ANN401 - of the type made for the manifest
        """The served class index, 0 for a regressor; -1 if it is out of range or the label is that of another class."""
        if not self._classifies:
            return 0
        index: int = prediction.prediction
        agrees = 0 <= index < len(self._classes) and prediction.label == self._classes[index]
        return index if agrees else -1

    def check(self, body: bytes, expected: Sequence[ExpectedAnswer], *, batch: bool) -> str | None:
        """None if every row is answered as expected, else the first fault.

        Faults name the kind of row but no values, so that equal faults are counted together.
        """
        try:
            predictions = self.decode(body, batch=batch)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"malformed answer: {error}"
        if len(predictions) != len(expected):
            return f"{len(predictions)} answers for {len(expected)} rows"
        largest = self.largest_difference
        for prediction, (label, numbers, case) in zip(predictions, expected, strict=True):
            difference = self._difference(self.numbers(prediction), numbers)
            if not difference <= largest:  # rare, so that under load the rows cost a comparison each
                largest = self.largest_difference = difference if difference <= 1 else 1.0
            if self._classifies and prediction.prediction != label:
                return f"wrong class ({case})"
            if self._classifies and prediction.label != self._classes[label]:
                return f"class index and label text differ ({case})"
            # written so that a value that is not a number fails
            if not difference <= self._tolerance:
                return f"{self._wrong} ({case})"
        return None


def _probability_difference(served: Numbers, expected: Numbers) -> float:
    largest: float = max(map(abs, map(sub, served, expected)))
    return largest


def _value_difference(served: Numbers, expected: Numbers) -> float:
    if not math.isfinite(expected[0]):
        return 0.0 if math.isnan(served[0]) else math.inf
    value, wanted = served[0], expected[0]
    return abs(value - wanted) / value_scale(wanted)


def _class_answer(manifest: Manifest) -> Any:  # noqa: ANN401 - a type made at run time
    label = f"predicted_{manifest.target}"
    probabilities: Any = tuple.__class_getitem__((float,) * len(manifest.classes))
    return msgspec.defstruct(
        "Prediction",
        [("prediction", int), ("probabilities", probabilities), ("label", type(manifest.classes[0]))],
        rename={"label": label} if is_field_name(label) else None,
        forbid_unknown_fields=True,
    )


def _value_answer() -> Any:  # noqa: ANN401 - a type made at run time
    return msgspec.defstruct("Prediction", [("prediction", float | None)], forbid_unknown_fields=True)


def _decoder(kind: Any, label: str | None) -> Callable[[bytes], Any]:  # noqa: ANN401 - a type made at run time
    """Decodes `kind`, whose `label` has another name in JSON if it isn't None."""
    if label is None:
        return msgspec.json.Decoder(kind).decode

    def renamed(content: Any) -> Any:  # noqa: ANN401 - any JSON
        if isinstance(content, list):
            return [renamed(element) for element in content]
        if isinstance(content, dict):
            return {"label" if key == label else key: renamed(value) for key, value in content.items()}
        return content

    return lambda body: msgspec.convert(renamed(msgspec.json.decode(body)), kind)
