"""From answered rows to lines of JSON, one a row: the same in every service."""

import math
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from serving.predictor import Batch, Classes, Place, Predictions
from serving.row_type import EPOCH

CHUNK_ROWS = 64
"""So many rows become lines at once: about a millisecond, in which no other thread of the process gets on."""

_START = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT = float(1 << 23)
"""Below it, a float32 without a fraction has the same shortest decimal as a float64."""

Column = tuple[Sequence[Any], Sequence[bool], Sequence[bool]]
"""A feature's values, None where there is none; whether each was missing; whether each was unseen."""


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
    """Makes the lines of one model's rows, with the given features of them."""

    def __init__(self, manifest: Manifest, features: Sequence[Feature], service: str) -> None:
        self._names = [feature.name for feature in features]
        self._readers = [_reader(manifest, feature) for feature in features]
        self._served = {"service": service, "model": manifest.name, "version": manifest.version}
        self._encode = msgspec.json.Encoder().encode_lines

    def encode(self, answered: Answered) -> Iterator[tuple[bytes, int]]:
        """The lines of all rows, in parts: the text, and the number of rows in it."""
        first = 0
        head = {"time": format_time(answered.time_ns), "request_id": answered.request_id.decode("ascii")}
        for batch, predictions in answered.pieces:
            for start in range(0, len(predictions[0]), CHUNK_ROWS):
                part = slice(start, start + CHUNK_ROWS)
                columns = [read(batch, part) for read in self._readers]
                answers = _answers(predictions, part)
                rows = [
                    {
                        **head,
                        "row": first + row,
                        "route": answered.route,
                        **self._served,
                        **self._understood(columns, row),
                        **answer,
                    }
                    for row, answer in enumerate(answers)
                ]
                yield self._encode(rows), len(rows)
                first += len(rows)

    def _understood(self, columns: Sequence[Column], row: int) -> dict[str, Any]:
        named = list(zip(self._names, columns, strict=True))
        return {
            "features": {name: values[row] for name, (values, _, _) in named},
            "missing": [name for name, (_, missing, _) in named if missing[row]],
            "unseen": [name for name, (_, _, unseen) in named if unseen[row]],
        }


def format_time(time_ns: int) -> str:
    """As ISO 8601 in UTC, to the microsecond."""
    moment = _START + timedelta(microseconds=time_ns // 1000)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def shortest(value: np.float32) -> float | None:
    """The number whose shortest decimal is the shortest one of this float32; None if it is not finite."""
    number = float(value)
    if number.is_integer() and abs(number) < _EXACT:
        return number
    return float(str(value)) if math.isfinite(number) else None


def _answers(predictions: Predictions, part: slice) -> list[dict[str, Any]]:
    if not isinstance(predictions, Classes):
        return [{"prediction": shortest(value)} for value in predictions.values[part]]
    pairs = zip(predictions.labels[part].tolist(), predictions.probabilities[part], strict=True)
    return [{"prediction": label, "probabilities": [shortest(value) for value in row]} for label, row in pairs]


def _reader(manifest: Manifest, feature: Feature) -> Callable[[Batch, slice], Column]:
    """What takes a feature's values out of some of a batch's rows."""
    place = Place.of(manifest, feature)
    if feature.kind in CATEGORICAL_KINDS:
        tokens = (None, None) if feature.open else (manifest.tokens.missing, manifest.tokens.unseen)
        return lambda batch, part: _texts(place.column(batch)[part].tolist(), *tokens)
    value_of = _value_of(feature)
    return lambda batch, part: _numbers(place.column(batch)[part], value_of)


def _texts(texts: list[str], missing: str | None, unseen: str | None) -> Column:
    are_missing = [text == missing for text in texts]
    are_unseen = [text == unseen for text in texts]
    if any(are_missing) or any(are_unseen):
        return [None if text in (missing, unseen) else text for text in texts], are_missing, are_unseen
    return texts, are_missing, are_unseen


def _numbers(numbers: NDArray[np.float32], value_of: Callable[[np.float32], Any]) -> Column:
    missing = np.isnan(numbers).tolist()
    values = [None if gap else value_of(number) for number, gap in zip(numbers, missing, strict=True)]
    return values, missing, [False] * len(values)


def _value_of(feature: Feature) -> Callable[[np.float32], Any]:
    if feature.kind == "boolean":
        return bool
    if feature.kind == "date":
        return lambda days: date.fromordinal(EPOCH + int(days)).isoformat()
    return _whole if feature.integer else shortest


def _whole(value: np.float32) -> int | float:
    """Without a fraction; a number that no 64-bit integer holds stays one of floating point, as few readers take it."""
    return int(value) if abs(value) < float(1 << 63) else float(str(value))
