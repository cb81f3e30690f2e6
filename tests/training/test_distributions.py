"""The distributions in a manifest: right counts, honest expectations, and nothing of single rows."""

import datetime as dt
import itertools

import msgspec
import numpy as np
import polars as pl
import pytest

from bundle.distributions import LEAST_ROWS, MOST_CATEGORIES, CategoryCounts, NumberCounts
from bundle.manifest import Feature, Manifest, Tokens, decode_manifest, encode_manifest
from training.export.distributions import count_feature, count_numbers, packaged_distributions
from training.export.interface import Interface
from training.export.predictions import Predictions

NOMINAL = {"name": "f", "kind": "nominal", "nullable": True, "example": None}


def test_numbers_are_counted_exactly_between_rounded_quantiles():
    values = np.random.default_rng(0).normal(50, 10, 5000).astype(np.float32)
    values[:30] = np.nan
    counts = count_numbers(values)
    present = values[~np.isnan(values)]
    assert counts.missing == 30
    assert sum(counts.counts) == 4970
    assert len(counts.edges) == 13
    edges = np.float32([-np.inf, *counts.edges, np.inf])
    assert list(counts.counts) == [
        int(((present > low) & (present <= high)).sum()) for low, high in itertools.pairwise(edges)
    ]
    assert counts.edges == tuple(round(edge, 2) for edge in counts.edges)
    assert counts.edges[6] == pytest.approx(np.median(present), abs=0.05)


@pytest.mark.parametrize("rows", [0, 1, 19, 20, 40, 200, 1000])
def test_no_interval_stands_for_few_rows(rows):
    counts = count_numbers(np.random.default_rng(1).exponential(size=rows).astype(np.float32))
    assert sum(counts.counts) == rows
    assert not counts.edges or min(counts.counts) >= LEAST_ROWS
    assert bool(counts.edges) == (rows >= 2 * LEAST_ROWS)


def test_a_value_that_most_rows_have_gets_an_interval_that_ends_with_it():
    counts = count_numbers(np.array([0.0] * 900 + list(range(1, 101)), dtype=np.float32))
    assert counts.edges[0] == 0
    assert counts.counts[0] == 900
    assert count_numbers(np.full(100, 7.5)) == NumberCounts(edges=(), counts=(100,))


def test_infinite_values_are_counted_in_the_outer_intervals():
    counts = count_numbers(np.array([*range(100), *[np.inf] * 20, *[-np.inf] * 15], dtype=np.float32))
    assert sum(counts.counts) == 135
    assert np.isfinite(counts.edges).all()
    assert count_numbers(np.full(50, np.inf)) == NumberCounts(edges=(), counts=(50,))


def test_dates_are_counted_in_days_and_booleans_by_value():
    days = pl.Series([dt.date(1970, 1, 1) + dt.timedelta(days=day) for day in range(200)] + [None])
    counts = count_feature(Feature(name="f", kind="date", nullable=True, example=None), days)
    assert counts.missing == 1
    assert min(abs(edge - 99.5) for edge in counts.edges) <= 1
    truth = pl.Series([True, False, None, True])
    counts = count_feature(Feature(name="f", kind="boolean", nullable=True, example=None), truth)
    assert counts == CategoryCounts(counts={"true": 2, "false": 1}, missing=1)


def test_rare_categories_are_counted_together_and_named_nowhere():
    column = pl.Series(["a"] * 50 + ["b"] * 10 + ["c"] * 9 + ["d"] + [None] * 3)
    feature = Feature(categories=("a", "b"), rare=("c", "d"), **NOMINAL)
    counts = count_feature(feature, column, unseen=1)
    assert counts == CategoryCounts(counts={"a": 50, "b": 10}, other=9, unseen=1, missing=3)


def test_only_the_most_frequent_of_many_categories_are_named():
    names = [f"c{number:03}" for number in range(150)]
    column = pl.Series([name for number, name in enumerate(names) for _ in range(10 + number)])
    counts = count_feature(Feature(name="f", kind="nominal", nullable=False, example="x", open=True), column)
    assert list(counts.counts) == names[-1 : -MOST_CATEGORIES - 1 : -1]
    assert sum(counts.counts.values()) + counts.other == len(column)


def test_unseen_is_what_new_rows_would_have():
    """The expectation holds for fresh rows of a population with many rare categories."""
    draw = np.random.default_rng(2)
    shares = 1 / np.arange(1, 3001) ** 1.1
    names = np.array([f"c{number}" for number in range(3000)])
    seen, fresh = (pl.Series("f", draw.choice(names, 5000, p=shares / shares.sum())) for _ in range(2))
    known = tuple(seen.unique().to_list())
    interface = Interface("regression", (Feature(rare=known, **NOMINAL),), Tokens(missing="m", unseen="u"))
    answers = Predictions(np.zeros(5000, dtype=np.int64), np.zeros((5000, 1), dtype=np.float32))
    counts = packaged_distributions(interface, pl.DataFrame([seen]), answers).features["f"]
    found = int((~fresh.is_in(known)).sum())
    assert found > 200
    assert counts.unseen == pytest.approx(found, rel=0.15)


def test_training_writes_them_of_training_rows_and_held_out_answers(manifest: Manifest):
    found = manifest.distributions
    assert list(found.features) == [feature.name for feature in manifest.features]
    assert found.rows == manifest.data.training_rows
    assert found.answered == manifest.data.held_out_rows == sum(found.score.counts) == sum(found.labels)
    assert found.answers_of == "held_out"
    scored = manifest.metrics.held_out
    assert found.labels[1] == scored["true_positives"] + scored["false_positives"]
    for feature in manifest.features:
        counts = found.features[feature.name]
        if isinstance(counts, NumberCounts):
            every = sum(counts.counts) + counts.missing
        else:
            assert set(counts.counts) <= set(feature.categories)
            assert min(counts.counts.values()) >= LEAST_ROWS
            every = sum(counts.counts.values()) + counts.other + counts.missing + counts.unseen
        assert every == found.rows, feature.name


def test_a_manifest_without_them_is_read_and_one_with_wrong_ones_is_not(manifest: Manifest):
    without = msgspec.structs.replace(manifest, distributions=None)
    assert decode_manifest(encode_manifest(without), "m.json") == without
    document = msgspec.json.decode(encode_manifest(manifest))
    del document["distributions"]
    assert decode_manifest(msgspec.json.encode(document), "m.json") == without
    for edges, counts in [((1.0, 1.0), (1, 2, 3)), ((1.0,), (1,)), ((), (-1,))]:
        with pytest.raises(ValueError, match="distribution"):
            NumberCounts(edges=edges, counts=counts)
    with pytest.raises(ValueError, match="counts of at least 0"):
        CategoryCounts(counts={"a": 1}, other=-1)
