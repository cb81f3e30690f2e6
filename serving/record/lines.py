"""From answered rows to lines of JSON, one per row: the same in every service."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from typing import Any, NamedTuple

import msgspec
import numpy as np

from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from serving.predictor import Batch, Classes, Place, Predictions
from serving.row_type import EPOCH

CHUNK_ROWS = 64
"""How many rows become lines at once: about a millisecond, in which no other thread of the process can run."""

_EXACT = float(1 << 23)
"""Below it, a float32 without a fraction has the same shortest decimal as a float64."""


_BEYOND = float(1 << 63)

_MISSING, _UNSEEN = object(), object()
"""Why there is no value."""


class Answered(NamedTuple):
    """A request that was answered: when, in nanoseconds since 1970-01-01, and its rows, in pieces.

    `size` is that of its body, in bytes.
    """

    lines: "Lines"
    request_id: bytes
    time_ns: int
    route: str
    pieces: Sequence[tuple[Batch, Predictions]]
    rows: int
    size: int


class Lines:
    """Makes the lines of one model's rows, with the given features."""

    def __init__(self, manifest: Manifest, features: Sequence[Feature], service: str) -> None:
        self._columns = [
            (feature.name, feature.kind not in CATEGORICAL_KINDS, Place.of(manifest, feature).position, read)
            for feature, read in ((feature, _reader(manifest, feature)) for feature in features)
        ]
        self._served = {"service": service, "model": manifest.name, "version": manifest.version}
        self._encode = msgspec.json.Encoder().encode_lines

    def encode(self, answered: Answered) -> Iterator[tuple[bytes, int]]:
        """The lines of all rows, in parts: the text, and the number of rows in it."""
        first = 0
        head = {"time": format_time(answered.time_ns), "request_id": answered.request_id.decode("ascii"), "row": 0}
        head |= {"route": answered.route, **self._served}
        for batch, predictions in answered.pieces:
            for start in range(0, len(predictions[0]), CHUNK_ROWS):
                part = slice(start, start + CHUNK_ROWS)
                answers = _answers(predictions, part)
                rows = zip(batch.categorical[part].tolist(), batch.numeric[part].tolist(), answers, strict=True)
                lines = [
                    {**head, "row": place, **self._understood((texts, numbers)), **answer}
                    for place, (texts, numbers, answer) in enumerate(rows, first)
                ]
                yield self._encode(lines), len(lines)
                first += len(lines)

    def _understood(self, row: tuple[list[str], list[float]]) -> dict[str, Any]:
        """What was understood of a row, which is given as its strings and its numbers."""
        features: dict[str, Any] = {}
        missing: list[str] = []
        unseen: list[str] = []
        for name, is_number, position, read in self._columns:
            value = read(row[is_number][position])
            if value is _MISSING or value is _UNSEEN:
                (missing if value is _MISSING else unseen).append(name)
                value = None
            features[name] = value
        return {"features": features, "missing": missing, "unseen": unseen}


def format_time(time_ns: int) -> str:
    """As ISO 8601 in UTC, to the microsecond."""
    seconds, rest = divmod(time_ns, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}.{rest // 1000:06}Z"


def shortest(value: float) -> float | None:
    """The float64 with the same shortest decimal as this float32; None if it is not finite."""
    if -_EXACT < value < _EXACT and value.is_integer():
        return value
    return float(str(np.float32(value))) if math.isfinite(value) else None


def _answers(predictions: Predictions, part: slice) -> list[dict[str, Any]]:
    if not isinstance(predictions, Classes):
        return [{"prediction": shortest(value)} for value in predictions.values[part].tolist()]
    pairs = zip(predictions.labels[part].tolist(), predictions.probabilities[part].tolist(), strict=True)
    return [{"prediction": label, "probabilities": list(map(shortest, row))} for label, row in pairs]


def _reader(manifest: Manifest, feature: Feature) -> Callable[[Any], Any]:
    """The function from a feature's value in a batch to that in a line, or to the reason why there is none."""
    if feature.open:
        return lambda text: text
    if feature.kind in CATEGORICAL_KINDS:
        tokens = {manifest.tokens.missing: _MISSING, manifest.tokens.unseen: _UNSEEN}
        return lambda text: tokens.get(text, text)
    if feature.kind == "boolean":
        return lambda number: _MISSING if math.isnan(number) else number != 0
    if feature.kind == "date":
        return lambda days: _MISSING if math.isnan(days) else date.fromordinal(EPOCH + int(days)).isoformat()
    return _whole if feature.integer else lambda number: _MISSING if math.isnan(number) else shortest(number)


def _whole(number: float) -> Any:  # noqa: ANN401 - as all readers
    """As an integer; a number that no 64-bit integer holds stays a float, as few readers accept longer integers."""
    if -_BEYOND < number < _BEYOND:
        return int(number)
    return _MISSING if math.isnan(number) else shortest(number)
