"""From a request's input tensors to a batch, by the rules of `/predict`.

The inputs are the manifest's features, a tensor [N, 1] or [N] each, or the packed graph's own: `categorical` [N, C] and
`numeric` [N, M].
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from bundle.graph_names import CATEGORICAL, FLOAT32_MAX, NUMERIC
from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from serving.diagnosis import DATE_INVALID, NO_BOOLEAN, NOT_NULLABLE, NOT_WHOLE, OUT_OF_RANGE, Verdict
from serving.errors import TooLarge
from serving.inference.datatypes import BOOL, BYTES, FLOATS, INTEGERS
from serving.inference.errors import InvalidInput, InvalidRequest, quoted
from serving.inference.requests import NO_PARAMETERS, InferRequest, Input
from serving.inference.values import Values, read_values
from serving.predictor import Batch
from serving.request_schema import Piece, RequestSchema
from serving.row_type import FIRST_DAY, LAST_DAY, parse_day

DATATYPES = {"numeric": FLOATS + INTEGERS, "boolean": (BOOL, *FLOATS), "date": (BYTES,)}
"""What a feature's own tensor may hold, by kind; categories are BYTES."""

NO_DAY: Verdict = ("a date in whole days since 1970-01-01 is required", "date_invalid")


class Group(NamedTuple):
    """The features that a tensor has as its columns."""

    features: Sequence[Feature]
    datatypes: Sequence[str]
    packed: bool


class InputSchema:
    """Makes batches from the inputs of one model's requests."""

    def __init__(self, manifest: Manifest, rows: RequestSchema, *, max_rows: int) -> None:
        self._manifest = manifest
        self._clean = rows.clean
        self._max_rows = max_rows
        self._own = {f.name: Group((f,), DATATYPES.get(f.kind, (BYTES,)), packed=False) for f in manifest.features}
        parts = {CATEGORICAL: (manifest.categorical, (BYTES,)), NUMERIC: (manifest.numeric, FLOATS)}
        self._packed = {name: Group(*part, packed=True) for name, part in parts.items() if part[0]}
        self.most = max(len(self._own), len(self._packed))

    def decode(self, request: InferRequest, inputs: Sequence[Input]) -> Piece:
        """The rows that the inputs hold.

        Raises:
            InvalidRequest: they are not the model's inputs, or one of their values is not allowed.
            TooLarge: more rows than allowed.
        """
        groups = self._packed if self._are_packed(inputs) else self._own
        self._check_names(inputs, groups)
        rows = self._count_rows(inputs, groups)
        null_string = (request.parameters or NO_PARAMETERS).null_string
        if null_string is UNSET:
            null_string = None
        if null_string is not None and not isinstance(null_string, str):
            raise InvalidRequest("the parameter null_string must be a string")
        texts: dict[str, list[str | None]] = {}
        numbers: dict[str, NDArray[np.float32]] = {}
        for tensor in inputs:
            group = groups[tensor.name]
            width = len(group.features)
            values = read_values(tensor, width, null_string)
            for column, feature in enumerate(group.features):
                place = _Place(tensor.name, column if width > 1 else None)
                if feature.kind in CATEGORICAL_KINDS:
                    texts[feature.name] = _check_texts(feature, values.texts[column::width], place)
                else:
                    numbers[feature.name] = _to_numbers(feature, values, slice(column, None, width), place)
        return self._assemble(texts, numbers, rows)

    def _are_packed(self, inputs: Sequence[Input]) -> bool:
        """Whether the names are the packed graph's. A feature with such a name takes precedence."""
        return bool(inputs) and all(one.name in self._packed and one.name not in self._own for one in inputs)

    def _check_names(self, inputs: Sequence[Input], groups: dict[str, Group]) -> None:
        names = [one.name for one in inputs]
        for index, name in enumerate(names):
            if name not in groups:
                known = ", ".join(map(quoted, groups))
                raise InvalidRequest(f"unknown input {quoted(name)}: the model's inputs are {known}")
            if name in names[:index]:
                raise InvalidInput(name, "given twice")
        for name in groups:
            if name not in names:
                raise InvalidRequest(f"input {quoted(name)} is missing")

    def _count_rows(self, inputs: Sequence[Input], groups: dict[str, Group]) -> int:
        first = inputs[0]
        for tensor in inputs:
            group = groups[tensor.name]
            if tensor.datatype not in group.datatypes:
                raise InvalidInput(
                    tensor.name, f"datatype {tensor.datatype}, but {' or '.join(group.datatypes)} is needed"
                )
            shape, width = tensor.shape, len(group.features)
            if shape[1:] != [width] and (group.packed or len(shape) != 1):
                needed = f"[N, {width}]" if group.packed else "[N, 1] or [N]"
                raise InvalidInput(tensor.name, f"shape {shape}, but {needed} is needed")
            if shape[0] != first.shape[0]:
                raise InvalidInput(tensor.name, f"{shape[0]} rows, but {quoted(first.name)} has {first.shape[0]}")
        rows = first.shape[0]
        if not rows:
            raise InvalidRequest("at least one row is required")
        if rows > self._max_rows:
            raise TooLarge("rows", self._max_rows)
        return rows

    def _assemble(
        self, texts: dict[str, list[str | None]], numbers: dict[str, NDArray[np.float32]], rows: int
    ) -> Piece:
        unseen: list[str] = []
        categorical = np.empty((rows, len(texts)), dtype=object)
        for index, feature in enumerate(self._manifest.categorical):
            categorical[:, index] = self._clean(index, texts[feature.name], unseen)
        numeric = np.empty((rows, len(numbers)), dtype=np.float32)
        for index, feature in enumerate(self._manifest.numeric):
            numeric[:, index] = numbers[feature.name]
        return Piece(Batch(categorical, numeric), unseen)


class _Place(NamedTuple):
    """Where a feature's values are: an input, and one of its columns where it is packed."""

    name: str
    column: int | None

    def refuse(self, row: int, verdict: Verdict) -> InvalidInput:
        """The error for a value in this place."""
        at = (row,) if self.column is None else (row, self.column)
        return InvalidInput(self.name, verdict[0], at)


def _check_texts(feature: Feature, texts: list[str | None], place: _Place) -> list[str | None]:
    if not feature.nullable and None in texts:
        raise place.refuse(texts.index(None), NOT_NULLABLE)
    return texts


def _to_numbers(feature: Feature, values: Values, rows: slice, place: _Place) -> NDArray[np.float32]:
    """The feature's numbers as the model takes them, float32 [rows]. Converted from float64, as in JSON rows."""
    if values.texts:
        return _to_days(_check_texts(feature, values.texts[rows], place), place)
    numbers = values.numbers[rows]
    present = np.nan_to_num(numbers, posinf=np.inf, neginf=-np.inf)
    faults = [(np.zeros(len(numbers), dtype=bool) if feature.nullable else np.isnan(numbers), NOT_NULLABLE)]
    if feature.kind == "boolean":
        faults.append(((present != 0) & (present != 1), NO_BOOLEAN))
    elif feature.kind == "date":
        faults.append(((present != np.floor(present)) | (present < FIRST_DAY) | (present > LAST_DAY), NO_DAY))
    else:
        faults.append((np.abs(present) > FLOAT32_MAX, OUT_OF_RANGE))
        if feature.integer:
            faults.append((present != np.floor(present), NOT_WHOLE))
    for wrong, verdict in faults:
        if wrong.any():
            raise place.refuse(int(wrong.argmax()), verdict)
    return numbers.astype(np.float32)


def _to_days(texts: list[str | None], place: _Place) -> NDArray[np.float32]:
    days = [np.nan if text is None else parse_day(text) for text in texts]
    if None in days:
        raise place.refuse(days.index(None), DATE_INVALID)
    return np.array(days, dtype=np.float32)
