"""Name everything that is wrong with a refused body, field by field. Not on the path of good requests."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import Feature, Manifest
from serving.errors import Location, Problem
from serving.row_type import NO_DATE, NO_DATE_STRING, parse_day

MAX_PROBLEMS = 100
MAX_DIAGNOSED_BYTES = 1 << 20
"""A larger body is answered with the decoder's first finding alone: decoding it untyped would cost too much memory."""

Verdict = tuple[str, str]
"""Message and type of a problem."""

MISSING: Verdict = ("field required", "missing")
UNKNOWN: Verdict = ("unknown field", "extra_forbidden")
NOT_NULLABLE: Verdict = ("null is not allowed here", "not_nullable")
NO_NUMBER: Verdict = ("a number is required", "float_type")
NOT_WHOLE: Verdict = ("a whole number is required", "int_type")
NO_BOOLEAN: Verdict = ("true or false is required", "bool_type")
DATE_NOT_TEXT: Verdict = ("an ISO 8601 date (YYYY-MM-DD) is required", "date_type")
DATE_INVALID: Verdict = ("an ISO 8601 date (YYYY-MM-DD) is required", "date_invalid")
NO_STRING: Verdict = ("a string is required", "string_type")
OUT_OF_RANGE: Verdict = ("outside the range of a 32-bit float", "float_range")
NO_OBJECT: Verdict = ("an object is required", "object_type")
NO_ARRAY: Verdict = ("an array of objects is required", "list_type")

FINDINGS = (
    (re.compile(r"missing required field `(?P<field>.*)`", re.DOTALL), MISSING),
    (re.compile(r"contains unknown field `(?P<field>.*)`", re.DOTALL), UNKNOWN),
    (re.compile(r"out of range|Expected `float[^,]*` [<>]="), OUT_OF_RANGE),
    (re.compile(r"Expected `object"), NO_OBJECT),
    (re.compile(r"Expected `array"), NO_ARRAY),
    (re.compile(r"got `null`"), NOT_NULLABLE),
    (re.compile(r"a multiple of 1"), NOT_WHOLE),
    (re.compile(NO_DATE_STRING), DATE_NOT_TEXT),
    (re.compile(NO_DATE), DATE_INVALID),
    (re.compile(r"Expected `float"), NO_NUMBER),
    (re.compile(r"Expected `bool"), NO_BOOLEAN),
    (re.compile(r"Expected `str"), NO_STRING),
)
"""msgspec's findings in this service's words; the first match counts."""

_PATH = re.compile(r" - at `\$(?:\[(?P<row>\d+)\])?(?:\.(?P<field>.*))?`$", re.DOTALL)
"""Where a finding is: values are never containers, so everything after the dot is the field's name, whatever it is."""


def diagnose(body: bytes, finding: str, manifest: Manifest, *, many: bool) -> list[Problem]:
    """What is wrong with a body that msgspec refused with `finding`; at least one problem, at most `MAX_PROBLEMS`."""
    problems: list[Problem] = []
    if len(body) <= MAX_DIAGNOSED_BYTES:
        # what can't be decoded untyped either, such as a number that no float can hold, is in the finding
        with suppress(msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            problems = list(islice(_problems(msgspec.json.decode(body), manifest, many=many), MAX_PROBLEMS))
    return problems or [_from_finding(finding)]


def _problems(content: object, manifest: Manifest, *, many: bool) -> Iterator[Problem]:
    if not many:
        yield from _row_problems(content, ("body",), manifest)
    elif not isinstance(content, list):
        yield Problem(("body",), *NO_ARRAY)
    else:
        for index, row in enumerate(content):
            yield from _row_problems(row, ("body", index), manifest)


def _row_problems(row: object, location: Location, manifest: Manifest) -> Iterator[Problem]:
    if not isinstance(row, dict):
        yield Problem(location, *NO_OBJECT)
        return
    for feature in manifest.features:
        where = (*location, feature.name)
        if feature.name not in row:
            yield Problem(where, *MISSING)
        elif (problem := _value_problem(row[feature.name], feature)) is not None:
            yield Problem(where, *problem)
    names = {feature.name for feature in manifest.features}
    for name in row:
        if name not in names:
            yield Problem((*location, name), *UNKNOWN)


def _value_problem(value: Any, feature: Feature) -> Verdict | None:  # noqa: ANN401 - any JSON value
    if value is None:
        return None if feature.nullable else NOT_NULLABLE
    if feature.kind == "numeric":
        return _number_problem(value, feature)
    if feature.kind == "boolean":
        return None if isinstance(value, bool) else NO_BOOLEAN
    if feature.kind == "date":
        if not isinstance(value, str):
            return DATE_NOT_TEXT
        return None if parse_day(value) is not None else DATE_INVALID
    return None if isinstance(value, str) else NO_STRING


def _number_problem(value: object, feature: Feature) -> Verdict | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NO_NUMBER
    if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
        return OUT_OF_RANGE
    return NOT_WHOLE if feature.integer and value != int(value) else None


def _from_finding(finding: str) -> Problem:
    """The decoder's finding as a problem: its path is the location."""
    location: list[str | int] = ["body"]
    path = _PATH.search(finding)
    if path is not None:
        location += [int(path["row"])] if path["row"] else []
        location += [path["field"]] if path["field"] else []
        finding = finding[: path.start()]
    for pattern, verdict in FINDINGS:
        if found := pattern.search(finding):
            return Problem((*location, *found.groupdict().values()), *verdict)
    return Problem(tuple(location), finding, "value_error")
