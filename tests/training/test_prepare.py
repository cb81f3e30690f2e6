"""Rows on their way to the pipeline: what is refused, filled, split off and described."""

import dataclasses
import math

import polars as pl
import pytest

from bundle.manifest import Feature, Tokens
from training.data.checks import check_frame
from training.data.describe import describe_features
from training.data.prepare import choose_tokens, pipeline_frame, prepare_rows, split
from training.data.sources import RawRows
from training.dataset import Ordinal
from training.errors import DataError


@pytest.fixture
def orchard(made_up):
    return made_up.orchard()


def changed(frame, column, value, dtype):
    """The frame with another value in the first row of a column."""
    values = [value, *frame[column].to_list()[1:]]
    return frame.with_columns(pl.Series(column, values, dtype=dtype))


def test_good_frame_passes(orchard):
    check_frame(*orchard)


def test_columns_that_are_no_feature_are_no_matter(orchard):
    dataset, frame = orchard
    check_frame(dataset, frame.with_columns(extra=pl.lit(1)))


@pytest.mark.parametrize("column", ["weight", "grade", "soil", "sold"])
def test_missing_column_is_named(orchard, column):
    dataset, frame = orchard
    with pytest.raises(DataError, match=f"^orchard: column '{column}'.* is missing; there are '"):
        check_frame(dataset, frame.drop(column))


@pytest.mark.parametrize(
    ("column", "dtype", "expected"),
    [
        ("age", pl.String, "Numeric needs Float64; or declare it as Ordinal or Nominal"),
        ("age", pl.Boolean, "Numeric needs Float64; or declare it as Boolean"),
        ("soil", pl.Binary, "Nominal needs String"),
    ],
)
def test_column_of_another_type_is_named(orchard, column, dtype, expected):
    dataset, frame = orchard
    with pytest.raises(DataError, match=f"column '{column}' is .*, but {expected}"):
        check_frame(dataset, frame.with_columns(pl.col(column).cast(dtype)))


@pytest.mark.parametrize(
    ("column", "dtype"), [("age", pl.Int64), ("age", pl.Float32), ("soil", pl.Categorical), ("sold", pl.Categorical)]
)
def test_a_type_that_holds_the_same_values_is_taken(orchard, column, dtype):
    dataset, frame = orchard
    expected = check_frame(dataset, frame)
    assert check_frame(dataset, frame.with_columns(pl.col(column).cast(dtype))).equals(expected)


def test_all_that_is_wrong_is_told_at_once(orchard):
    dataset, frame = orchard
    wrong = frame.drop("weight").with_columns(pl.col("age").cast(pl.String), sold=pl.lit("maybe"))
    with pytest.raises(DataError) as raised:
        check_frame(dataset, wrong)
    for part in ("3 problems", "'weight' is missing", "'age' is String", "labels 'maybe'"):
        assert part in str(raised.value)


def test_fractions_of_an_integer_are_refused(orchard):
    dataset, frame = orchard
    with pytest.raises(DataError, match="column 'age' has fractions, but is declared an integer"):
        check_frame(dataset, changed(frame, "age", 24.5, pl.Float64))


@pytest.mark.parametrize(
    ("column", "value", "dtype", "problem"),
    [
        ("age", None, pl.Float64, "has 1 nulls, but is not nullable"),
        ("soil", None, pl.String, "has 1 nulls, but is not nullable"),
        ("grade", "rotten", pl.String, r"has unranked values \['rotten'\]"),
        ("age", math.nan, pl.Float64, r"has NaN \(write missing as null\) or values out of float32 range"),
        ("weight", math.nan, pl.Float64, r"has NaN \(write missing as null\) or values out of float32 range"),
        ("weight", math.inf, pl.Float64, r"has NaN \(write missing as null\) or values out of float32 range"),
        ("age", -1e39, pl.Float64, r"has NaN \(write missing as null\) or values out of float32 range"),
    ],
)
def test_value_that_cannot_be_is_refused(orchard, column, value, dtype, problem):
    dataset, frame = orchard
    with pytest.raises(DataError, match=f"^orchard: column '{column}' {problem}$"):
        check_frame(dataset, changed(frame, column, value, dtype))


@pytest.mark.parametrize(("column", "dtype"), [("weight", pl.Float64), ("grade", pl.String), ("colour", pl.String)])
def test_nullable_column_without_any_value_is_refused(orchard, column, dtype):
    dataset, frame = orchard
    with pytest.raises(DataError, match=f"column '{column}' has no value in any row"):
        check_frame(dataset, frame.with_columns(pl.lit(None, dtype=dtype).alias(column)))


@pytest.mark.parametrize(
    ("label", "message"),
    [("maybe", "has the labels 'maybe', but the classes are 'no', 'yes'"), (None, "has 1 nulls; leave rows")],
)
def test_unknown_label_is_named(orchard, label, message):
    dataset, frame = orchard
    with pytest.raises(DataError, match=f"column 'sold', the target, {message}"):
        check_frame(dataset, changed(frame, "sold", label, pl.String))


@pytest.mark.parametrize("classes", [(0, 1), (False, True)])
def test_labels_of_another_type_are_not_taken_for_equal_ones(orchard, classes):
    dataset, frame = orchard
    labels = pl.col("sold") == "yes"
    other = labels if isinstance(classes[0], int) and not isinstance(classes[0], bool) else labels.cast(pl.Int64)
    with pytest.raises(DataError, match="the target, has the labels"):
        check_frame(dataclasses.replace(dataset, classes=classes), frame.with_columns(sold=other))


def test_frame_of_one_class_is_refused(orchard):
    dataset, frame = orchard
    with pytest.raises(DataError, match="no row has the sold 'yes'"):
        check_frame(dataset, frame.filter(pl.col("sold") == "no"))


def test_missing_categories_stay_null_and_missing_numbers_are_nan(orchard):
    dataset, frame = orchard
    filled = pipeline_frame(dataset, frame)
    assert filled.columns == ["weight", "age", "grade", "colour", "soil"]
    assert filled["weight"].null_count() == filled["age"].null_count() == 0
    for name in ("grade", "colour"):
        assert filled[name].null_count() > 0
        assert filled[name].to_list() == frame[name].to_list()
    assert filled["weight"].is_nan().to_list() == frame["weight"].is_null().to_list()
    assert filled["weight"].fill_nan(None).equals(frame["weight"])
    assert filled["soil"].equals(frame["soil"])


def test_tokens_are_no_value_of_the_rows(orchard):
    dataset, frame = orchard
    usual = choose_tokens(dataset, frame)
    assert usual.missing != usual.unseen
    taken = changed(frame, "colour", usual.missing, pl.String)
    ranked = dataclasses.replace(dataset, features=(Ordinal(name="grade", categories=("poor", usual.unseen)),))
    assert choose_tokens(dataset, frame, taken) == Tokens(missing=f"{usual.missing}1", unseen=usual.unseen)
    assert choose_tokens(ranked, frame) == Tokens(missing=usual.missing, unseen=f"{usual.unseen}1")


def test_only_the_features_are_filled_in_feature_order(orchard):
    dataset, frame = orchard
    shuffled = frame.select(reversed(frame.columns))
    assert pipeline_frame(dataset, shuffled).equals(pipeline_frame(dataset, frame))


def test_split_takes_every_row_once_and_keeps_the_class_fractions(orchard):
    dataset, frame = orchard
    numbered = frame.with_row_index("row")
    training, held_out = split(dataset, numbered)
    assert held_out.height == math.ceil(frame.height * 0.33)
    assert sorted([*training["row"], *held_out["row"]]) == list(range(frame.height))
    fraction = (frame["sold"] == "yes").mean()
    for part in (training, held_out):
        assert (part["sold"] == "yes").mean() == pytest.approx(fraction, abs=1 / part.height)


def test_split_follows_the_data_set_s_seed_and_fraction(orchard):
    dataset, frame = orchard
    again, other = (split(dataclasses.replace(dataset, split_seed=seed), frame)[1] for seed in (42, 43))
    assert split(dataset, frame)[1].equals(again)
    assert not again.equals(other)
    assert split(dataclasses.replace(dataset, held_out_fraction=0.25), frame)[1].height == 100


def test_features_are_described_as_the_rows_have_them(orchard):
    dataset, _ = orchard
    rows = pl.DataFrame(
        {
            "weight": [1.5, None, 4.0, 2.5],
            "age": [7.0, 9.0, 9.0, 7.0],
            "grade": ["good", "fair", "good", None],
            "colour": ["red", "green", None, "red"],
            "soil": ["sand", "clay", "clay", "sand"],
        }
    )
    assert describe_features(dataset, rows) == (
        Feature(name="weight", kind="numeric", nullable=True, example=2.5, minimum=1.5, maximum=4.0),
        Feature(name="age", kind="numeric", integer=True, nullable=False, example=7, minimum=7.0, maximum=9.0),
        Feature(
            name="grade",
            kind="ordinal",
            nullable=True,
            example="good",
            categories=("poor", "fair", "good"),
        ),
        Feature(
            name="colour",
            kind="nominal",
            nullable=True,
            example="red",
            categories=("green", "red"),
        ),
        Feature(name="soil", kind="nominal", nullable=False, example="clay", categories=("clay", "sand")),
    )


def test_example_of_a_whole_number_is_one(orchard):
    dataset, frame = orchard
    examples = {feature.name: feature.example for feature in describe_features(dataset, frame)}
    assert isinstance(examples["age"], int)
    assert isinstance(examples["weight"], float)


def test_missing_is_no_category_of_the_manifest(orchard):
    dataset, frame = orchard
    for rows in (frame, frame.drop_nulls()):
        described = {feature.name: feature for feature in describe_features(dataset, rows)}
        assert described["colour"].categories == ("green", "red", "yellow")
        assert described["colour"].nullable
        assert not described["soil"].nullable


def test_a_class_with_too_few_rows_to_cross_validate_is_refused(made_up):
    dataset, frame = made_up.orchard("numeric")
    none, some = frame.filter(pl.col("sold") == "no"), frame.filter(pl.col("sold") == "yes")
    with pytest.raises(DataError, match="only 4 rows of 'yes'; at least 5 are needed"):
        prepare_rows(dataset, RawRows(pl.concat([none, some.head(4)]), "farm"))
    with pytest.raises(DataError, match="only 3 training rows are 'yes'; 4 are needed"):
        prepare_rows(
            dataclasses.replace(dataset, held_out_fraction=0.4), RawRows(pl.concat([none, some.head(5)]), "farm")
        )


def test_a_column_without_a_value_in_any_training_row_is_refused(orchard):
    dataset, frame = orchard
    rows = prepare_rows(dataset, RawRows(frame, "farm"))
    held_out_weight = rows.held_out["weight"].drop_nulls()[0]
    sparse = frame.with_columns(pl.when(pl.col("weight") == held_out_weight).then(pl.col("weight")).alias("weight"))
    with pytest.raises(DataError, match="'weight' has no value in any training row"):
        prepare_rows(dataset, RawRows(sparse, "farm"))


def test_rare_categories_are_published_nowhere(orchard):
    dataset, frame = orchard
    counts = dict(frame["colour"].drop_nulls().value_counts().iter_rows())
    limit = counts["yellow"] + 1
    described = {f.name: f for f in describe_features(dataclasses.replace(dataset, min_frequency=limit), frame)}
    assert described["colour"].categories == ("green", "red")
    assert described["colour"].rare == ()
    wide = describe_features(dataclasses.replace(dataset, min_frequency=limit), frame, wide=("colour",))
    assert {feature.name: feature.rare for feature in wide}["colour"] == ("yellow",)
    every = describe_features(dataclasses.replace(dataset, min_frequency=10_000), frame)
    assert {feature.name: (feature.categories, feature.example) for feature in every}["colour"] == ((), "other")
