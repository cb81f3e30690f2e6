"""Name everything that is wrong with a refused body, field by field. Not on the path of good requests."""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import Any

import msgspec
import numpy as np

from bundle.manifest import Feature, Manifest
from serving.errors import Location, Problem

MAX_PROBLEMS = 100
MAX_DIAGNOSED_BYTES = 1 << 20
"""A larger body is answered with the decoder's first finding alone: decoding it untyped would cost too much memory."""

_FLOAT32_MAX = float(np.finfo(np.float32).max)
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
        yield Problem(("body",), "an array of objects is required", "list_type")
    else:
        for index, row in enumerate(content):
            yield from _row_problems(row, ("body", index), manifest)


def _row_problems(row: object, location: Location, manifest: Manifest) -> Iterator[Problem]:
    if not isinstance(row, dict):
        yield Problem(location, "an object is required", "object_type")
        return
    for feature in manifest.features:
        where = (*location, feature.name)
        if feature.name not in row:
            yield Problem(where, "field required", "missing")
        elif (problem := _value_problem(row[feature.name], feature)) is not None:
            yield Problem(where, *problem)
    names = {feature.name for feature in manifest.features}
    for name in row:
        if name not in names:
            yield Problem((*location, name), "unknown field", "extra_forbidden")


def _value_problem(value: Any, feature: Feature) -> tuple[str, str] | None:  # noqa: ANN401 - any JSON value
    if value is None:
        return None if feature.nullable else ("null is not allowed here", "not_nullable")
    if feature.kind != "numeric":
        return None if isinstance(value, str) else ("a string is required", "string_type")
    if isinstance(value, bool) or not isinstance(value, int | float):
        return "a number is required", "float_type"
    if not -_FLOAT32_MAX <= value <= _FLOAT32_MAX:
        return "outside the range of a 32-bit float", "float_range"
    return None


def _from_finding(finding: str) -> Problem:
    """The decoder's own words, with its path as a location."""
    location: list[str | int] = ["body"]
    path = _PATH.search(finding)
    if path is not None:
        location += [int(index) if index else name for index, name in _STEP.findall(path["path"])]
        finding = finding[: path.start()]
    kind = "float_range" if "out of range" in finding else "value_error"
    return Problem(tuple(location), finding, kind)
