"""Answers of a service: typed decoding, and the check of each one that is fast enough to run under load."""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol, cast

import msgspec

from bundle.manifest import Manifest
from load_testing.skew import TOLERANCE


class Prediction(Protocol):
    """One row's answer. `label` is the text of the class, whatever the manifest's target makes its JSON key."""

    prediction: int
    probabilities: tuple[float, float]
    label: str


class Expected(NamedTuple):
    """One row's reference: class index, P(positive), and the kind of row, to name in a fault."""

    label: int
    probability: float
    case: str


class Answers:
    """Decodes and checks the answers of a service of one bundle.

    `largest_difference` is the largest |served - expected| P(positive) of all rows that `check` has compared, 1 for
    what is no probability; set it to 0 to start anew.
    """

    def __init__(self, manifest: Manifest) -> None:
        self.largest_difference = 0.0
        self._classes = manifest.classes
        self._positive = manifest.classes.index(manifest.positive_class or manifest.classes[1])
        one = msgspec.defstruct(
            "Prediction",
            [("prediction", int), ("probabilities", tuple[float, float]), ("label", str)],
            rename={"label": f"predicted_{manifest.target}"},
            forbid_unknown_fields=True,
        )
        batch = msgspec.defstruct("Batch", [("predictions", list[one]), ("batch_size", int)])  # type: ignore[valid-type]
        self._decode_one = cast("Callable[[bytes], Prediction]", msgspec.json.Decoder(one).decode)
        self._decode_batch = msgspec.json.Decoder(batch).decode

    def decode(self, body: bytes, *, batch: bool) -> Sequence[Prediction]:
        """The predictions in a response body, of `/predict/batch` if `batch`.

        Raises:
            msgspec.DecodeError: not JSON, or not what the contract says.
        """
        if not batch:
            return (self._decode_one(body),)
        answer = self._decode_batch(body)
        predictions = cast("list[Prediction]", answer.predictions)  # type: ignore[attr-defined]
        if answer.batch_size != len(predictions):  # type: ignore[attr-defined]
            raise msgspec.ValidationError("batch_size differs from the number of predictions")
        return predictions

    def positive(self, prediction: Prediction) -> float:
        """P(positive); NaN if the probabilities are not those of two classes, that is, don't add up to 1."""
        consistent = abs(sum(prediction.probabilities) - 1) <= TOLERANCE
        return prediction.probabilities[self._positive] if consistent else float("nan")

    def class_index(self, prediction: Prediction) -> int:
        """The served class index; -1 if it is out of range or the label text is that of another class."""
        index = prediction.prediction
        agrees = 0 <= index < len(self._classes) and prediction.label == self._classes[index]
        return index if agrees else -1

    def check(self, body: bytes, expected: Sequence[Expected], *, batch: bool) -> str | None:
        """None if every row is answered as expected, else the first fault.

        Faults name the kind of row and no values, so that equal ones are counted together.
        """
        try:
            predictions = self.decode(body, batch=batch)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return f"malformed answer: {error}"
        if len(predictions) != len(expected):
            return f"{len(predictions)} answers for {len(expected)} rows"
        classes, positive, largest = self._classes, self._positive, self.largest_difference
        for prediction, (label, probability, case) in zip(predictions, expected, strict=True):
            served = prediction.probabilities
            difference = abs(served[positive] - probability)
            if not difference <= largest:  # rare, so that under load the rows cost a comparison each
                largest = self.largest_difference = difference if difference <= 1 else 1.0
            if prediction.prediction != label:
                return f"wrong class ({case})"
            if prediction.label != classes[label]:
                return f"class index and label text differ ({case})"
            # written so that a value that is not a number fails
            if not (difference <= TOLERANCE and abs(sum(served) - 1) <= TOLERANCE):
                return f"wrong probability ({case})"
        return None
