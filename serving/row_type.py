"""The type that msgspec decodes a row into: a field per feature, checked and converted while the bytes are read.

A decoded row holds what the model's tensors are made of: strings for the categorical features, and what NumPy takes as
a float32 for all others (a number, True or False, a date in days), None where missing.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from typing import Annotated, Any

import msgspec

from bundle.graph_names import FLOAT32_MAX
from bundle.json_names import is_field_name
from bundle.manifest import Feature

EPOCH = date(1970, 1, 1).toordinal()
FIRST_DAY, LAST_DAY = (end.toordinal() - EPOCH for end in (date.min, date.max))
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UNKNOWN = "unknown:"
_FIELD = re.compile(rf"(?P<before>field `|\$(?:\[\d+\])?\.)(?P<field>f\d+|{_UNKNOWN}.*)`", re.DOTALL)
"""A field in one of msgspec's findings."""

NO_DATE_STRING, NO_DATE = "Expected a string with a date", "Expected an ISO 8601 date"
"""The decoder's findings about dates, which `serving.diagnosis` puts in this service's words."""


class Day(float):
    """A date, in days since 1970-01-01."""


def parse_day(text: str) -> Day | None:
    """The day that `YYYY-MM-DD` stands for, from year 1 to 9999; None if there is no such date."""
    if _DATE.fullmatch(text) is None:
        return None
    try:
        return Day(date.fromisoformat(text).toordinal() - EPOCH)
    except ValueError:
        return None


class RowType:
    """Decodes bodies into rows whose fields stand in the order of the given features."""

    def __init__(self, features: Sequence[Feature]) -> None:
        # The fields get names of their own, since the features' names may be anything.
        names = {f"f{index}": feature.name for index, feature in enumerate(features)}
        fields = [(field, _field_type(feature)) for field, feature in zip(names, features, strict=True)]
        options: dict[str, Any] = {"forbid_unknown_fields": True, "kw_only": True, "gc": False}
        self.decode_row: Callable[[bytes], Any]
        self.decode_rows: Callable[[bytes], list[Any]]
        if all(map(is_field_name, names.values())):
            row: Any = msgspec.defstruct("Row", fields, rename=names, **options)
            self.decode_row = msgspec.json.Decoder(row, dec_hook=_decode_day).decode
            self.decode_rows = msgspec.json.Decoder(list[row], dec_hook=_decode_day).decode
        else:
            row = msgspec.defstruct("Row", fields, **options)
            decoder = _Renaming(names)
            self.decode_row = lambda body: decoder.decode(body, row)
            self.decode_rows = lambda body: decoder.decode(body, list[row])


class _Renaming:
    """Decodes rows with names that msgspec can't give to fields: untyped first, which takes several times as long."""

    def __init__(self, names: dict[str, str]) -> None:
        self._names = names
        self._fields = {name: field for field, name in names.items()}

    def decode(self, body: bytes, kind: Any) -> Any:  # noqa: ANN401 - a type made at run time
        content = msgspec.json.decode(body)
        rows: Iterable[object] = content if isinstance(content, list) else [content]
        renamed = [self._rename(row) for row in rows]
        try:
            return msgspec.convert(renamed if isinstance(content, list) else renamed[0], kind, dec_hook=_decode_day)
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(_FIELD.sub(self._restore, str(error))) from None

    def _rename(self, row: object) -> object:
        if not isinstance(row, dict):
            return row
        return {self._fields.get(name, _UNKNOWN + name): value for name, value in row.items()}

    def _restore(self, found: re.Match[str]) -> str:
        return found["before"] + self._names.get(found["field"], found["field"].removeprefix(_UNKNOWN)) + "`"


def _field_type(feature: Feature) -> Any:  # noqa: ANN401 - a type made at run time
    kind: Any = str
    if feature.kind == "boolean":
        kind = bool
    elif feature.kind == "date":
        kind = Day
    elif feature.kind == "numeric":
        whole = 1 if feature.integer else None
        kind = Annotated[float, msgspec.Meta(ge=-FLOAT32_MAX, le=FLOAT32_MAX, multiple_of=whole)]
    return kind | None if feature.nullable else kind


def _decode_day(_: type, value: object) -> Day:
    if not isinstance(value, str):
        raise ValueError("Expected a date, got `null`" if value is None else NO_DATE_STRING)
    day = parse_day(value)
    if day is None:
        raise ValueError(NO_DATE)
    return day


class _Everything(frozenset[str]):
    """The known categories of an open feature: all strings there are."""

    def __contains__(self, _: object) -> bool:
        return True

    def issuperset(self, _: Iterable[object]) -> bool:
        """True."""
        return True


def known_categories(feature: Feature) -> frozenset[str]:
    """The strings that are passed on unchanged; None, a missing category, is never one of them."""
    return _Everything() if feature.open else frozenset(feature.categories + feature.rare)
