"""From a tensor's data, in JSON or binary, to its values, row by row."""

import re
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from serving.diagnosis import FINDINGS, NO_BOOLEAN, NOT_WHOLE
from serving.inference.datatypes import BOOL, BYTES, INTEGERS, NUMPY
from serving.inference.errors import InvalidInput
from serving.inference.requests import Input
from serving.request_schema import REFUSALS

_PATH = re.compile(r" - at `\$(?P<path>(?:\[\d+\])+)`$")
_NESTED = re.compile(rb"[ \t\n\r]*\[[ \t\n\r]*\[")
_BETWEEN_STRINGS = re.compile(rb'"[ \t\n\r]*,[ \t\n\r]*"')
_LENGTH = 4
"""The size of the length in front of each element of binary BYTES."""


class Values(NamedTuple):
    """A tensor's values in row order: `texts` of BYTES, `numbers` float64 of any other datatype.

    A missing value is None, or NaN.
    """

    texts: list[str | None]
    numbers: NDArray[np.float64]


def read_values(tensor: Input, columns: int, null_string: str | None) -> Values:
    """The values of a tensor [N, columns]; strings that equal `null_string` are missing.

    Raises:
        InvalidInput: they are not of the tensor's datatype, or not as many as its shape says.
    """
    count = tensor.shape[0] * columns
    if not tensor.is_binary:
        _check_size(tensor, count)
    if tensor.datatype == BYTES:
        texts = _binary_texts(tensor, columns) if tensor.is_binary else _json_values(tensor, str, columns)
        _check_count(tensor, len(texts), count)
        if null_string is not None:
            texts = [None if text == null_string else text for text in texts]
        return Values(texts, np.empty(0))
    numbers = _binary_numbers(tensor) if tensor.is_binary else _json_numbers(tensor, columns)
    _check_count(tensor, len(numbers), count)
    return Values([], numbers)


def position(index: int, columns: int) -> tuple[int, ...]:
    """Row, and column where there are several, of the value at an index in row order."""
    return (index,) if columns == 1 else divmod(index, columns)


def _check_count(tensor: Input, found: int, expected: int) -> None:
    if found != expected:
        raise InvalidInput(tensor.name, f"{found} values, but the shape {tensor.shape} has {expected}")


def _check_size(tensor: Input, expected: int) -> None:
    """Refuse data with far more values than the shape has before it is decoded.

    There is a comma between two numbers, and `","` between two strings; the end of a string can look like one more.
    """
    data = bytes(tensor.data)
    if tensor.datatype == BYTES:
        found = sum(1 for _ in _BETWEEN_STRINGS.finditer(data)) // 2 if len(data) > 8 * expected else 0
    else:
        found = data.count(b",")
    if found > expected:
        raise InvalidInput(tensor.name, f"more values than the {expected} of the shape {tensor.shape}")


def _json_values(tensor: Input, kind: Any, columns: int) -> list[Any]:  # noqa: ANN401 - the type of an element
    """The elements of the data, which may be flat or nested as the shape is."""
    nested = _NESTED.match(tensor.data) is not None
    element: Any = kind | None
    expected: Any = list[list[element]] if nested else list[element]
    try:
        values: list[Any] = msgspec.json.decode(tensor.data, type=expected)
    except REFUSALS as error:
        raise _refusal(tensor, str(error), columns) from None
    if not nested:
        return values
    for row, inner in enumerate(values):
        if len(inner) != columns:
            raise InvalidInput(tensor.name, f"{len(inner)} values, but the shape is {tensor.shape}", (row,))
    return [value for inner in values for value in inner]


def _refusal(tensor: Input, finding: str, columns: int) -> InvalidInput:
    place = _PATH.search(finding)
    indices = [int(index) for index in re.findall(r"\d+", place["path"])] if place else []
    verdict = next((message for pattern, (message, _) in FINDINGS if pattern.search(finding)), finding)
    if not indices or "Expected `array" in finding:
        return InvalidInput(tensor.name, "data must be an array of values, flat or nested as the shape is")
    at = position(indices[0], columns) if len(indices) == 1 else indices[: 1 if columns == 1 else 2]
    return InvalidInput(tensor.name, verdict, at)


def _json_numbers(tensor: Input, columns: int) -> NDArray[np.float64]:
    kind = bool if tensor.datatype == BOOL else float
    numbers = np.array(_json_values(tensor, kind, columns), dtype=np.float64)
    if tensor.datatype in INTEGERS:
        limits = np.iinfo(NUMPY[tensor.datatype])
        for wrong, message in (
            (np.nan_to_num(numbers) != np.floor(np.nan_to_num(numbers)), NOT_WHOLE[0]),
            ((numbers < limits.min) | (numbers > limits.max), f"outside the range of {tensor.datatype}"),
        ):
            if wrong.any():
                raise InvalidInput(tensor.name, message, position(int(wrong.argmax()), columns))
    return numbers


def _binary_numbers(tensor: Input) -> NDArray[np.float64]:
    kind = np.dtype(NUMPY[tensor.datatype])
    if len(tensor.data) % kind.itemsize:
        message = f"{len(tensor.data)} bytes of binary data are no multiple of the {kind.itemsize} of {tensor.datatype}"
        raise InvalidInput(tensor.name, message)
    raw = np.frombuffer(tensor.data, dtype=kind)
    if tensor.datatype == BOOL and (raw > 1).any():
        raise InvalidInput(tensor.name, NO_BOOLEAN[0], (int((raw > 1).argmax()),))
    return raw.astype(np.float64)


def _binary_texts(tensor: Input, columns: int) -> list[str | None]:
    texts: list[str | None] = []
    at, data = 0, tensor.data
    while at < len(data):
        start = at + _LENGTH
        end = start + int.from_bytes(data[at:start], "little")
        if len(data) < start or len(data) < end:
            raise InvalidInput(tensor.name, "the binary data ends early", position(len(texts), columns))
        try:
            texts.append(str(data[start:end], "utf-8"))
        except UnicodeDecodeError:
            raise InvalidInput(tensor.name, "not UTF-8", position(len(texts), columns)) from None
        at = end
    return texts
