"""Edge-case rows: every promised kind is there, and the split thresholds are those of the trees."""

import itertools
import json

import numpy as np
import polars as pl
import pytest

from bundle.reference import CASE, ROW
from tests.training.exporting import splits_of
from training.data.prepare import pipeline_frame
from training.export.artifacts import interface_of
from training.export.edge_cases import BASE_ROWS, edge_cases
from training.model.fitting import feature_importance


@pytest.fixture(scope="module")
def model(made_up):
    return made_up.fitted(made_up.rows)


def cases_of(rows, model):
    return edge_cases(interface_of(rows, model.threshold), rows.training, splits_of(rows, model))


@pytest.fixture(scope="module")
def cases(made_up, model):
    return cases_of(made_up.rows, model).unnest(ROW)


@pytest.fixture(scope="module")
def splits(made_up, model):
    return splits_of(made_up.rows, model)


def values(cases, case, column):
    """The distinct values that a case puts into a column."""
    rows = cases.filter(pl.col(CASE) == case)
    assert rows.height
    assert rows.height % BASE_ROWS == 0
    return set(rows[column])


def test_columns_are_those_of_the_training_rows(made_up, cases):
    training = made_up.rows.training.drop("sold")
    assert cases.schema == {**training.schema, CASE: pl.String}


def test_every_kind_of_case_is_there(cases):
    assert {case.partition(":")[0] for case in cases[CASE]} == {
        "category",
        "unknown_category",
        "missing",
        "extreme",
        "split",
    }


@pytest.mark.parametrize("column", ["grade", "colour", "soil"])
def test_every_category_seen_in_training_is_there(made_up, cases, column):
    assert values(cases, f"category:{column}", column) == set(made_up.rows.training[column].drop_nulls())


@pytest.mark.parametrize("column", ["grade", "colour", "soil"])
def test_unknown_categories_are_there(made_up, cases, column):
    unknown = values(cases, f"unknown_category:{column}", column)
    assert {"never-seen-in-training", "", " ", "?", "null"} <= unknown
    assert any(not value.isascii() for value in unknown)
    assert max(map(len, unknown)) >= 1000
    assert any("\n" in value for value in unknown)


def test_all_categories_are_unknown_at_once(cases):
    rows = cases.filter(pl.col(CASE) == "unknown_category:all")
    assert set(rows.select("grade", "colour", "soil").rows()) == {("never-seen-in-training",) * 3}


def test_every_nullable_feature_is_missing_alone_and_with_the_others(cases):
    assert {case for case in cases[CASE] if case.startswith("missing:")} == {
        "missing:weight",
        "missing:grade",
        "missing:colour",
        "missing:all",
    }
    for column in ("weight", "grade", "colour"):
        assert values(cases, f"missing:{column}", column) == {None}
    rows = cases.filter(pl.col(CASE) == "missing:all")
    assert set(rows.select("weight", "grade", "colour").rows()) == {(None, None, None)}


def possible(column, numbers):
    """What a request can have: of `age`, which is an integer, the whole numbers next to those."""
    return {float(f(number)) for number in numbers for f in (np.floor, np.ceil)} if column == "age" else numbers


@pytest.mark.parametrize("column", ["weight", "age"])
def test_extreme_numbers_are_there(made_up, cases, column):
    seen = made_up.rows.training[column]
    largest = float(np.finfo(np.float32).max)
    expected = {0.0, -1.0, 0.5, -largest, largest, seen.min(), seen.max(), seen.min() - 1, seen.max() + 1}
    extremes = values(cases, f"extreme:{column}", column)
    assert possible(column, expected) <= extremes
    tiny = [value for value in extremes if 0 < abs(value) < float(np.finfo(np.float32).tiny)]
    assert bool(tiny) == (column == "weight")
    assert any(np.signbit(value) and value == 0 for value in cases.filter(pl.col(CASE) == f"extreme:{column}")[column])


def test_numbers_are_in_float32_range_or_missing(cases):
    for column in ("weight", "age"):
        assert cases[column].drop_nulls().cast(pl.Float32).is_finite().all()


@pytest.mark.parametrize("column", ["weight", "age"])
def test_both_sides_of_every_split_are_there_by_one_float32_step(cases, splits, column):
    assert 3 <= len(splits[column]) <= 48
    expected = set()
    for threshold in map(np.float32, splits[column]):
        below, above = np.nextafter(threshold, np.float32(-np.inf)), np.nextafter(threshold, np.float32(np.inf))
        assert below < threshold < above
        expected |= {float(below), float(threshold), float(above)}
    assert values(cases, f"split:{column}", column) == possible(column, expected)


def trees(model):
    """The trees as XGBoost stores them, which is not what `split_thresholds` reads."""
    stored = json.loads(model.booster.save_raw("json"))
    return stored["learner"]["gradient_booster"]["model"]["trees"]


def inner_nodes(model):
    """(feature, split value, gain) of every node that is no leaf."""
    for tree in trees(model):
        nodes = zip(
            tree["left_children"], tree["split_indices"], tree["split_conditions"], tree["loss_changes"], strict=True
        )
        for left, column, value, gain in nodes:
            if left != -1:
                yield model.columns[column], float(np.float32(value)), gain


def test_splits_are_those_that_the_trees_make(model, splits):
    expected = {}
    for column, value, _ in inner_nodes(model):
        if column in ("weight", "age"):  # the others' columns are made of strings
            expected.setdefault(column, set()).add(value)
    assert splits == {column: sorted(found) for column, found in expected.items()}


def test_the_two_sides_of_a_root_split_get_different_predictions(made_up, model, cases):
    """The cases are what they claim to be: the trees do tell these neighbouring floats apart."""
    roots = [(model.columns[tree["split_indices"][0]], tree["split_conditions"][0]) for tree in trees(model)]
    column, value = next(root for root in roots if root[0] in ("weight", "age"))
    below, at = (
        cases.filter((pl.col(CASE) == f"split:{column}") & (pl.col(column) == float(side)))
        for side in (np.nextafter(np.float32(value), np.float32(-np.inf)), np.float32(value))
    )
    assert below.height == at.height == BASE_ROWS
    left, right = (
        model.estimator.predict_proba(pipeline_frame(made_up.rows.dataset, rows))[:, 1] for rows in (below, at)
    )
    assert (left != right).all()


def test_one_column_is_changed_at_a_time(made_up, cases):
    base = set(made_up.rows.training.drop("sold").rows())
    for case, row in zip(cases[CASE], cases.drop(CASE).rows(), strict=True):
        if not case.endswith(":all"):
            nearest = min(sum(a != b for a, b in zip(row, other, strict=True)) for other in base)
            assert nearest <= 1, case


def test_same_model_gives_the_same_rows(made_up, model, cases):
    again = cases_of(made_up.rows, model)
    assert again.unnest(ROW).equals(cases)


def test_many_splits_are_sampled_from_lowest_to_highest(made_up):
    rows = made_up.rows
    model = made_up.fitted(rows, n_estimators=60, max_depth=6)
    splits = splits_of(rows, model)["weight"]
    assert len(splits) > 48
    cases = cases_of(rows, model).unnest(ROW)
    found = values(cases, "split:weight", "weight")
    assert len(found) == 3 * 48
    assert {splits[0], splits[-1]} <= found


@pytest.mark.parametrize(
    ("kind", "cases"),
    [
        ("numeric", {"missing", "extreme", "split"}),
        ("ordinal", {"missing", "category", "unknown_category"}),
        ("nominal", {"missing", "category", "unknown_category"}),
    ],
)
def test_data_set_of_one_kind_has_the_cases_of_that_kind(made_up, kind, cases):
    rows = made_up.prepared(*made_up.orchard(kind))
    model = made_up.fitted(rows)
    found = cases_of(rows, model)
    assert {case.partition(":")[0] for case in found[CASE]} == cases


def test_columns_of_the_booster_belong_to_the_features(made_up, model):
    assert model.columns == ["grade", *["colour"] * 4, *["soil"] * 2, "weight", "age"]
    assert len(model.columns) == model.booster.num_features()


def test_feature_importance_adds_up_the_gain_of_a_feature_s_columns(made_up, model):
    importance = feature_importance(made_up.rows, model)
    gains = dict.fromkeys(made_up.rows.features.columns, 0.0)
    for column, _, gain in inner_nodes(model):
        gains[column] += gain
    whole = sum(gains.values())
    assert importance == pytest.approx({column: gain / whole for column, gain in gains.items()}, rel=1e-4)
    assert all(more >= less for more, less in itertools.pairwise(importance.values()))
    assert sum(importance.values()) == pytest.approx(1)
