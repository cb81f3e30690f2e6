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

MAX_PROBLEMS = 100
MAX_DIAGNOSED_BYTES = 1 << 20
"""A larger body is answered with the decoder's first finding alone: decoding it untyped would cost too much memory."""

Verdict = tuple[str, str]
"""Message and type of a problem."""

MISSING: Verdict = ("field required", "missing")
UNKNOWN: Verdict = ("unknown field", "extra_forbidden")
NOT_NULLABLE: Verdict = ("null is not allowed here", "not_nullable")
NO_NUMBER: Verdict = ("a number is required", "float_type")
NO_STRING: Verdict = ("a string is required", "string_type")
OUT_OF_RANGE: Verdict = ("outside the range of a 32-bit float", "float_range")
NO_OBJECT: Verdict = ("an object is required", "object_type")
NO_ARRAY: Verdict = ("an array of objects is required", "list_type")

_FINDINGS = (
    (re.compile(r"missing required field `(?P<field>.+)`"), MISSING),
    (re.compile(r"contains unknown field `(?P<field>.+)`"), UNKNOWN),
    (re.compile(r"out of range|Expected `float[^,]*` [<>]="), OUT_OF_RANGE),
    (re.compile(r"Expected `object"), NO_OBJECT),
    (re.compile(r"Expected `array"), NO_ARRAY),
    (re.compile(r"got `null`"), NOT_NULLABLE),
    (re.compile(r"Expected `float"), NO_NUMBER),
    (re.compile(r"Expected `str"), NO_STRING),
)
"""msgspec's findings in this service's words; the first that fits counts."""

_PATH = re.compile(r" - at `\$(?P<path>.*)`$")
_STEP = re.compile(r"\[(\d+)\]|\.([^.\[]+)")


def diagnose(body: bytes, finding: str, manifest: Manifest, *, many: bool) -> list[Problem]:
    """What is wrong with a body that msgspec refused with `finding`; at least one problem, at most `MAX_PROBLEMS`."""
    problems: list[Problem] = []
    if len(body) <= MAX_DIAGNOSED_BYTES:
        # what can't be decoded untyped either, such as a number that no float can hold, the finding tells of
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
    if feature.kind != "numeric":
        return None if isinstance(value, str) else NO_STRING
    if isinstance(value, bool) or not isinstance(value, int | float):
        return NO_NUMBER
    if not -FLOAT32_MAX <= value <= FLOAT32_MAX:
        return OUT_OF_RANGE
    return None


def _from_finding(finding: str) -> Problem:
    """The decoder's finding as a problem: its path is the location."""
    location: list[str | int] = ["body"]
    path = _PATH.search(finding)
    if path is not None:
        location += [int(index) if index else name for index, name in _STEP.findall(path["path"])]
        finding = finding[: path.start()]
    for pattern, verdict in _FINDINGS:
        if found := pattern.search(finding):
            return Problem((*location, *found.groupdict().values()), *verdict)
    return Problem(tuple(location), finding, "value_error")
