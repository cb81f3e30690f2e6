"""The distributions that a manifest holds: quantile bins and category counts, nothing about single rows."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.distributions import LEAST_ROWS, MOST_CATEGORIES, CategoryCounts, Counts, Distributions, NumberCounts
from bundle.manifest import CATEGORICAL_KINDS, Feature
from training.data.prepare import PreparedRows
from training.export.interface import Interface, as_numbers
from training.export.predictions import Predictions
from training.model.evaluation import Scored

QUANTILES = (0.01, 0.05, *(tenth / 10 for tenth in range(1, 10)), 0.95, 0.99)
"""Deciles, and the tails; no extremes, which are values of single rows."""

_SPAN_PARTS = 1000


def trained_distributions(
    rows: PreparedRows, features: tuple[Feature, ...], held_out: Scored, threshold: float | None
) -> Distributions:
    """The distributions of the training rows, and of what the model gives for the held-out ones."""
    frame, dataset = rows.training, rows.dataset
    chance = frame.head(frame.height - rows.witnesses)
    share = chance.height / max(rows.description.training_rows, 1)
    known_from = {spec.name: 1 if spec.name in rows.wide else dataset.min_frequency for spec in dataset.categorical}
    found = {
        feature.name: count_feature(
            feature,
            chance[feature.name],
            unseen=round(share * _unseen(feature, frame[feature.name], known_from.get(feature.name, 0))),
            rare_to=known_from.get(feature.name, 0),
        )
        for feature in features
    }
    score, labels = _answers_of(held_out, len(dataset.classes), threshold)
    return Distributions(
        rows=chance.height,
        features=found,
        answered=len(held_out.output),
        answers_of="held_out",
        score=count_numbers(score),
        labels=labels,
    )


def packaged_distributions(interface: Interface, rows: pl.DataFrame, answers: Predictions) -> Distributions:
    """The distributions of the rows that a model was packaged with, and of its `answers` to them."""
    found = {}
    for feature in interface.features:
        column = rows[feature.name]
        unseen = _unseen(feature, column, known_from=1)
        found[feature.name] = count_feature(feature, column, unseen=unseen, rare_to=1)
    count = len(interface.classes)
    score = answers.numbers.max(axis=1) if count > 2 else answers.numbers[:, interface.positive if count else 0]
    labels = tuple(np.bincount(answers.labels, minlength=count).tolist()) if count else ()
    return Distributions(
        rows=rows.height,
        features=found,
        answered=rows.height,
        answers_of="rows",
        score=count_numbers(score),
        labels=labels,
    )


def count_feature(feature: Feature, column: pl.Series, *, unseen: int = 0, rare_to: int = 0) -> Counts:
    """The distribution of one feature's column (Float64, Boolean, Date or String; null is missing).

    For a categorical feature `unseen` is as in `CategoryCounts`: those rows, whose categories have at most `rare_to`
    rows, don't count as rows of a known category.
    """
    if feature.kind == "boolean":
        true, missing = int(column.sum()), column.null_count()
        return CategoryCounts(counts={"true": true, "false": len(column) - missing - true}, missing=missing)
    if feature.kind not in CATEGORICAL_KINDS:
        return count_numbers(as_numbers(column))
    tallies = _tallies(column)
    known = set(tallies if feature.open else (*feature.categories, *feature.rare))
    least = max(LEAST_ROWS, rare_to + 1 if feature.kind == "nominal" and not feature.open else 0)
    frequent = {name: rows for name, rows in tallies.items() if name in known and rows >= least}
    named = dict(sorted(frequent.items(), key=lambda item: (-item[1], item[0]))[:MOST_CATEGORIES])
    rest = len(column) - column.null_count() - sum(named.values())
    return CategoryCounts(
        counts=named, other=max(0, rest - unseen), missing=column.null_count(), unseen=min(unseen, rest)
    )


def count_numbers(values: NDArray[Any]) -> NumberCounts:
    """The distribution of numbers [rows], NaN for missing: as many of the quantile bins as hold enough rows each."""
    present = np.sort(values[~np.isnan(values)].astype(np.float32))
    missing = len(values) - len(present)
    edges: list[float] = []
    counts: list[int] = []
    reached = 0
    for edge in _rounded_quantiles(present[np.isfinite(present)]):
        below = int(np.searchsorted(present, np.float32(edge), side="right"))
        if below - reached >= LEAST_ROWS and len(present) - below >= LEAST_ROWS:
            edges.append(edge)
            counts.append(below - reached)
            reached = below
    return NumberCounts(edges=tuple(edges), counts=(*counts, len(present) - reached), missing=missing)


def _rounded_quantiles(ordered: NDArray[np.float32]) -> list[float]:
    """Quantiles of finite values in ascending order, without their last digits, which are those of a single row."""
    if not len(ordered):
        return []
    quantiles = np.quantile(ordered.astype(np.float64), QUANTILES)
    span = quantiles[-1] - quantiles[0]
    if span > 0:
        quantiles = np.round(quantiles, -int(np.floor(np.log10(span / _SPAN_PARTS))))
    return [float(edge) for edge in np.unique(quantiles)]


def _unseen(feature: Feature, column: pl.Series, known_from: int) -> int:
    """Rows whose category would be unknown without them: it has at most `known_from` rows, or is not known at all."""
    if feature.kind not in CATEGORICAL_KINDS or feature.open:
        return 0
    known = {*feature.categories, *feature.rare}
    alone = known_from if feature.kind == "nominal" else 0  # ordinal categories are known whether rows have them or not
    return sum(rows for name, rows in _tallies(column).items() if rows <= alone or name not in known)


def _tallies(column: pl.Series) -> Mapping[str, int]:
    counts = column.drop_nulls().alias("value").value_counts(name="rows")
    return dict(zip(counts["value"].to_list(), counts["rows"].to_list(), strict=True))


def _answers_of(held_out: Scored, classes: int, threshold: float | None) -> tuple[NDArray[Any], tuple[int, ...]]:
    """The score [rows], and how often each class was predicted."""
    output = held_out.output
    if not classes:
        return output, ()
    if output.ndim == 2:
        score, labels = output.max(axis=1), output.argmax(axis=1)
    else:
        score, labels = output, (output >= np.float32(threshold if threshold is not None else 0.5)).astype(np.int64)
    return score, tuple(np.bincount(labels, minlength=classes).tolist())
