"""Rows that break careless exports: unknown and missing values, extremes, and both sides of split thresholds."""

import itertools
import json
from collections.abc import Iterator

import numpy as np
import polars as pl
from xgboost import Booster

from bundle.graph_names import FLOAT32_MAX
from bundle.reference import CASE, ROW
from training.dataset import Boolean, Dataset, Date, Numeric

BASE_ROWS = 3
SPLITS_PER_FEATURE = 48
_ODD_STRINGS = ("never-seen-in-training", "", " ", "?", "null", "日本語 🎌", "x" * 1000, 'quo"te\\slash', "line\nbreak")
_ODD_NUMBERS = (0.0, -0.0, -1.0, 0.5, 1e-40, 16_777_217.0, -FLOAT32_MAX, FLOAT32_MAX)

Case = tuple[str, dict[str, str | float | None]]


def edge_cases(dataset: Dataset, training: pl.DataFrame, booster: Booster, columns: list[str]) -> pl.DataFrame:
    """Variations of a few training rows, a column changed at a time: `row` structs, and the `case` that says what was
    changed.

    `columns` are the features behind the booster's input columns, to find the split thresholds of the numeric ones.
    """
    bases = training.sample(BASE_ROWS, seed=0).select(feature.name for feature in dataset.features)
    splits = split_thresholds(booster, columns)
    changes = [*_categorical(dataset, training), *_missing(dataset), *_numeric(dataset, training, splits)]
    pairs = list(itertools.product(changes, bases.iter_rows(named=True)))
    rows = [{**base, **change} for (_, change), base in pairs]
    cases = [case for (case, _), _ in pairs]
    return pl.DataFrame({ROW: rows, CASE: cases}, schema={ROW: pl.Struct(bases.schema), CASE: pl.String})


def split_thresholds(booster: Booster, columns: list[str]) -> dict[str, list[float]]:
    """Feature name to the distinct float32 split values that the trees compare its columns with, ascending."""
    found: dict[str, set[float]] = {}
    for tree in booster.get_dump(dump_format="json"):
        pending = [json.loads(tree)]
        while pending:
            node = pending.pop()
            if "split" in node:
                name = columns[int(node["split"].removeprefix("f"))]
                found.setdefault(name, set()).add(float(np.float32(node["split_condition"])))
                pending.extend(node["children"])
    return {name: sorted(values) for name, values in found.items()}


def _categorical(dataset: Dataset, training: pl.DataFrame) -> Iterator[Case]:
    for feature in dataset.categorical:
        for value in sorted(training[feature.name].drop_nulls().unique()):
            yield f"category:{feature.name}", {feature.name: value}
        for value in _ODD_STRINGS:
            yield f"unknown_category:{feature.name}", {feature.name: value}
    if dataset.categorical:
        yield "unknown_category:all", {feature.name: "never-seen-in-training" for feature in dataset.categorical}


def _missing(dataset: Dataset) -> Iterator[Case]:
    nullable = [feature.name for feature in dataset.features if feature.nullable]
    for name in nullable:
        yield f"missing:{name}", {name: None}
    if nullable:
        yield "missing:all", dict.fromkeys(nullable)


def _numeric(dataset: Dataset, training: pl.DataFrame, splits: dict[str, list[float]]) -> Iterator[Case]:
    for feature in dataset.numeric:
        name = feature.name
        lowest, highest = _range(training, feature)
        for value in (*_ODD_NUMBERS, lowest, highest, lowest - 1, highest + 1):
            yield f"extreme:{name}", {name: value}
        for threshold in _spread(splits.get(name, []), SPLITS_PER_FEATURE):
            below, above = (float(np.nextafter(np.float32(threshold), np.float32(side))) for side in (-np.inf, np.inf))
            for value in (below, threshold, above):
                yield f"split:{name}", {name: value}


def _range(training: pl.DataFrame, feature: Numeric | Boolean | Date) -> tuple[float, float]:
    values = training[feature.name].drop_nulls().to_numpy()
    return float(values.min()), float(values.max())


def _spread(values: list[float], count: int) -> list[float]:
    if len(values) <= count:
        return values
    return [values[round(i)] for i in np.linspace(0, len(values) - 1, count)]
