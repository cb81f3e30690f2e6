"""Rows that break careless exports: unknown and missing values, extremes, and both sides of split thresholds."""

import itertools
from collections.abc import Iterator, Mapping
from datetime import date, timedelta

import numpy as np
import polars as pl

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import CATEGORICAL_KINDS, Feature
from bundle.reference import CASE, ROW
from training.export.interface import Interface

BASE_ROWS = 3
SPLITS_PER_FEATURE = 48
_ODD_STRINGS = ("never-seen-in-training", "", " ", "?", "null", "日本語 🎌", "x" * 1000, 'quo"te\\slash', "line\nbreak")
_ODD_NUMBERS = (0.0, -0.0, -1.0, 0.5, 1e-40, 16_777_217.0, -FLOAT32_MAX, FLOAT32_MAX)
_EPOCH = date(1970, 1, 1)
_DAYS = ((date.min - _EPOCH).days, (date.max - _EPOCH).days)

Value = str | float | bool | date | None
Case = tuple[str, dict[str, Value]]


def edge_cases(interface: Interface, rows: pl.DataFrame, splits: Mapping[str, list[float]]) -> pl.DataFrame:
    """Variations of a few of the rows, one column changed at a time, several in `…:all`: `row` structs, and the `case`
    that says what was changed.

    `splits` are, by feature, the values with which the model's trees compare it.
    """
    rows = rows.select(feature.name for feature in interface.features)
    bases = rows.sample(min(BASE_ROWS, rows.height), seed=0)
    changes = [*_categorical(interface, rows), *_missing(interface), *_numeric(interface, rows, splits)]
    pairs = list(itertools.product(changes, bases.iter_rows(named=True)))
    structs = [{**base, **change} for (_, change), base in pairs]
    cases = [case for (case, _), _ in pairs]
    return pl.DataFrame({ROW: structs, CASE: cases}, schema={ROW: pl.Struct(bases.schema), CASE: pl.String})


def _categorical(interface: Interface, rows: pl.DataFrame) -> Iterator[Case]:
    for feature in interface.categorical:
        for value in sorted({*rows[feature.name].drop_nulls(), *feature.categories, *feature.rare}):
            yield f"category:{feature.name}", {feature.name: value}
        for value in _ODD_STRINGS:
            yield f"unknown_category:{feature.name}", {feature.name: value}
    if interface.categorical:
        yield "unknown_category:all", {feature.name: "never-seen-in-training" for feature in interface.categorical}


def _missing(interface: Interface) -> Iterator[Case]:
    nullable = [feature.name for feature in interface.features if feature.nullable]
    for name in nullable:
        yield f"missing:{name}", {name: None}
    if nullable:
        yield "missing:all", dict.fromkeys(nullable)


def _numeric(interface: Interface, rows: pl.DataFrame, splits: Mapping[str, list[float]]) -> Iterator[Case]:
    for feature in interface.features:
        if feature.kind in CATEGORICAL_KINDS:
            continue
        column = rows[feature.name].drop_nulls()
        numbers = (column.to_physical() if column.dtype == pl.Date else column).cast(pl.Float64).drop_nans()
        seen = numbers.to_numpy() if numbers.len() else np.zeros(1)
        lowest, highest = float(seen.min()), float(seen.max())
        for value in _possible(feature, (*_ODD_NUMBERS, lowest, highest, lowest - 1, highest + 1)):
            yield f"extreme:{feature.name}", {feature.name: value}
        for threshold in _spread(splits.get(feature.name, []), SPLITS_PER_FEATURE):
            for value in _possible(feature, _around(threshold)):
                yield f"split:{feature.name}", {feature.name: value}


def _around(threshold: float) -> list[float]:
    """A float32 number and its neighbours."""
    number = np.float32(threshold)
    below, above = (float(np.nextafter(number, np.float32(side))) for side in (-np.inf, np.inf))
    return [below, float(number), above]


def _possible(feature: Feature, values: tuple[float, ...] | list[float]) -> list[Value]:
    """The values that a request can have for the feature; its whole neighbours instead of a number that it can't."""
    if feature.kind == "boolean":
        return [False, True]
    whole = list({repr(w): w for value in values for w in (float(np.floor(value)), float(np.ceil(value)))}.values())
    if feature.kind == "date":
        days = [min(max(int(value), _DAYS[0]), _DAYS[1]) for value in whole]
        return [_EPOCH + timedelta(days=day) for day in sorted(set(days))]
    return [*whole] if feature.integer else list(values)


def _spread(values: list[float], count: int) -> list[float]:
    if len(values) <= count:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, count)]
