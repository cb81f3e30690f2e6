"""What a data set may call its columns and classes."""

import dataclasses

import pytest

from training.dataset import Dataset, Nominal, Numeric, Ordinal


def dataset(*names, target="sold", classes=("no", "yes")):
    return Dataset(
        name="orchard",
        source="farm",
        features=tuple(Numeric(name=name) for name in names),
        target=target,
        classes=classes,
        files=(),
        parse=lambda _: None,
    )


@pytest.mark.parametrize("name", ["age", "x", "f0", "Age2", "hours_per_week", "größe", "class", "codes", "trees"])
def test_identifiers_are_good_names(name):
    assert dataset(name).features[0].name == name
    assert dataset("other", target=name).target == name


@pytest.mark.parametrize(
    "name", ["hours-per-week", "mean radius", "2nd", "_case", "a.b", "a\n", "年齢", "label", "numeric"]
)
def test_columns_keep_their_own_names(name):
    assert dataset("age", name).features[1].name == name
    assert dataset("age", target=name).target == name


def test_a_column_needs_a_name():
    for wrong in ({"names": ("age", "")}, {"names": ("age",), "target": ""}):
        with pytest.raises(ValueError, match="needs a name"):
            dataset(*wrong.pop("names"), **wrong)


def test_all_that_is_wrong_with_a_declaration_is_told():
    with pytest.raises(ValueError, match=r"two features are named 'age'.*the target 'age'.*two different classes"):
        dataset("age", "age", target="age", classes=("yes", "yes"))


def test_features_must_be_of_the_declared_kinds():
    with pytest.raises(ValueError, match="features must be of Numeric, Boolean, Date, Ordinal, Nominal"):
        dataclasses.replace(dataset("age"), features=())


@pytest.mark.parametrize(
    ("classes", "task"),
    [
        (("no", "yes"), "binary_classification"),
        ((0, 1), "binary_classification"),
        ((False, True), "binary_classification"),
        (("a", "b", "c"), "multiclass_classification"),
        ((), "regression"),
    ],
)
def test_the_classes_say_what_the_task_is(classes, task):
    assert dataset("age", classes=classes).task == task


@pytest.mark.parametrize("classes", [("no", 1), (0, True), (0.5, 1.5)])
def test_classes_are_of_one_type(classes):
    with pytest.raises(ValueError, match="must all be strings, all integers or all booleans"):
        dataset("age", classes=classes)


def test_a_stand_in_for_missing_has_no_effect():
    given = dataset("age")
    assert dataclasses.replace(given, missing_token="unknown").features == given.features


def test_names_must_differ():
    with pytest.raises(ValueError, match="two features are named 'age'"):
        dataset("age", "age")
    with pytest.raises(ValueError, match="the target 'sold' is among the features"):
        dataset("age", "sold")


@pytest.mark.parametrize("classes", [("yes", "yes"), ("yes",)])
def test_two_different_classes_are_needed(classes):
    with pytest.raises(ValueError, match="at least two different classes are needed"):
        dataset("age", classes=classes)


def test_features_are_grouped_in_feature_order():
    features = (
        Nominal(name="d"),
        Numeric(name="c"),
        Ordinal(name="b", categories=("x",)),
        Numeric(name="a"),
        Nominal(name="e"),
    )
    mixed = dataclasses.replace(dataset("x"), features=features)
    assert [feature.name for feature in mixed.categorical] == ["d", "b", "e"]
    assert [feature.name for feature in mixed.numeric] == ["c", "a"]
