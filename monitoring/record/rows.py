"""Recorded lines as columns of a model's features."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date
from typing import NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from monitoring.record.reader import Line, Located, Value

_NONE = type(None)
_TYPES: dict[str, set[type]] = {
    "numeric": {int, float, _NONE},
    "boolean": {bool, _NONE},
    "ordinal": {str, _NONE},
    "nominal": {str, _NONE},
}
_DATE_LENGTH = 10

_TOO_LARGE = 3.4028236e38
"""No float32 is that large, not even as its shortest decimal."""


class Rows(NamedTuple):
    """Rows of one version in which the same features were recorded.

    `frame` has a column for each of the model's features among them, in feature order: Float64, Boolean, Date or
    String, null for missing and unseen; `unseen` are booleans [rows] by feature, of those that have any. `labels` int64
    [rows] are class indices, 0 of a regressor; `numbers` float64 [rows, classes] or [rows, 1] are the probabilities, or
    values with NaN for what was not finite.
    """

    lines: list[Line]
    frame: pl.DataFrame
    unseen: dict[str, NDArray[np.bool_]]
    labels: NDArray[np.int64]
    numbers: NDArray[np.float64]


class Misfit(NamedTuple):
    """A row that can't be one of the model's, and why."""

    located: Located
    reason: str


class Shape:
    """Checks recorded rows against a manifest, and arranges them."""

    def __init__(self, manifest: Manifest) -> None:
        self._features = {feature.name: feature for feature in manifest.features}
        self._classes = len(manifest.classes)

    def arrange(self, located: Iterable[Located]) -> Iterator[Rows | Misfit]:
        """The rows, in groups of the same recorded features, and those that don't fit."""
        groups: dict[tuple[str, ...], list[Located]] = defaultdict(list)
        for one in located:
            reason = self._check_answer(one.line) or self._check_nulls(one.line)
            if reason:
                yield Misfit(one, reason)
            else:
                groups[tuple(one.line.features)].append(one)
        for names, group in groups.items():
            yield from self._arrange_group(names, group)

    def _arrange_group(self, names: tuple[str, ...], group: list[Located]) -> Iterator[Rows | Misfit]:
        features = [feature for name, feature in self._features.items() if name in names]
        if not all(_all_fit(f, (one.line.features[f.name] for one in group)) for f in features):
            fitting = []
            for one in group:
                if reason := next(filter(None, (_misfit(f, one.line.features[f.name]) for f in features)), ""):
                    yield Misfit(one, reason)
                else:
                    fitting.append(one)
            group = fitting
        if group:
            yield self._rows(features, [one.line for one in group])

    def _rows(self, features: list[Feature], lines: list[Line]) -> Rows:
        frame = pl.DataFrame([_column(f, [line.features[f.name] for line in lines]) for f in features])
        unseen: dict[str, NDArray[np.bool_]] = {}
        for place, line in enumerate(lines):
            for name in line.unseen:
                unseen.setdefault(name, np.zeros(len(lines), dtype=bool))[place] = True
        if self._classes:
            labels = np.array([line.prediction for line in lines], dtype=np.int64)
            numbers = np.array([line.probabilities for line in lines], dtype=np.float64)
        else:
            labels = np.zeros(len(lines), dtype=np.int64)
            values = [math.nan if line.prediction is None else line.prediction for line in lines]
            numbers = np.array(values, dtype=np.float64).reshape(-1, 1)
        return Rows(lines, frame, unseen, labels, numbers)

    def _check_answer(self, line: Line) -> str:
        """What is wrong with the answer of a row of this task; empty if nothing is."""
        if len(line.probabilities) != self._classes:
            return f"{len(line.probabilities)} probabilities, but the model has {self._classes} classes"
        if self._classes and not (isinstance(line.prediction, int) and 0 <= line.prediction < self._classes):
            return f"its prediction {line.prediction} is no class index"
        return ""

    def _check_nulls(self, line: Line) -> str:
        """What is null must be named as missing or as unseen, and nothing else may be."""
        if not line.missing and not line.unseen and None not in line.features.values():
            return ""
        nulls = sorted(name for name, value in line.features.items() if value is None)
        if nulls != sorted([*line.missing, *line.unseen]):
            return f"null are {nulls}, but named are missing {line.missing} and unseen {line.unseen}"
        features = self._features
        wrong = [name for name in line.missing if name in features and not features[name].nullable]
        if wrong:
            return f"feature {wrong[0]!r} is missing, and can't be"
        wrong = [name for name in line.unseen if name in features and not _can_be_unseen(features[name])]
        return f"feature {wrong[0]!r} is unseen, and can't be" if wrong else ""


def _can_be_unseen(feature: Feature) -> bool:
    return feature.kind in CATEGORICAL_KINDS and not feature.open


def _all_fit(feature: Feature, values: Iterable[Value]) -> bool:
    if feature.kind == "date":
        return all(value is None or _is_date(value) for value in values)
    values = list(values)
    if not set(map(type, values)) <= _TYPES[feature.kind]:
        return False
    return feature.kind != "numeric" or all(value is None or abs(value) < _TOO_LARGE for value in values)  # type: ignore[arg-type]


def _misfit(feature: Feature, value: Value) -> str:
    if _all_fit(feature, (value,)):
        return ""
    return f"feature {feature.name!r} is {feature.kind}, and can't be {value!r:.50}"


def _is_date(value: Value) -> bool:
    if not isinstance(value, str) or len(value) != _DATE_LENGTH:
        return False
    try:
        return bool(date.fromisoformat(value))
    except ValueError:
        return False


def _column(feature: Feature, values: list[Value]) -> pl.Series:
    if feature.kind in CATEGORICAL_KINDS:
        return pl.Series(feature.name, values, pl.String)
    if feature.kind == "boolean":
        return pl.Series(feature.name, values, pl.Boolean)
    if feature.kind == "date":
        return pl.Series(feature.name, values, pl.String).str.to_date("%Y-%m-%d")
    return pl.Series(feature.name, values, pl.Float64, strict=False)
