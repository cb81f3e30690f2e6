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


@pytest.mark.parametrize("name", ["", "hours-per-week", "hours per week", "2nd", "_case", "__x", "a.b", "a\n", "a,b"])
def test_other_names_are_refused(name):
    message = f"^orchard: {name!r} can't be a column"
    with pytest.raises(ValueError, match=message.replace("\\", r"\\")):
        dataset("age", name)
    with pytest.raises(ValueError, match=message.replace("\\", r"\\")):
        dataset("age", target=name)


@pytest.mark.parametrize("name", ["categorical", "numeric", "label", "probabilities"])
def test_names_of_the_graph_s_own_inputs_and_outputs_are_refused_for_features(name):
    with pytest.raises(ValueError, match=rf"orchard: \['{name}'\] can't be features"):
        dataset("age", name)
    assert dataset("age", target=name).target == name


def test_names_must_differ():
    with pytest.raises(ValueError, match="must all differ"):
        dataset("age", "age")
    with pytest.raises(ValueError, match="must all differ"):
        dataset("age", "sold")


@pytest.mark.parametrize("classes", [("yes", "yes"), ("yes",), ("no", "yes", "perhaps"), ()])
def test_two_different_classes_are_needed(classes):
    with pytest.raises(ValueError, match="two different classes are needed"):
        dataset("age", classes=classes)


def test_features_are_grouped_in_feature_order():
    features = (
        Nominal(name="d"),
        Numeric(name="c"),
        Ordinal(name="b", categories=("x",)),
        Numeric(name="a"),
        Nominal(name="e"),
    )
    mixed = dataclasses.replace(dataset(), features=features)
    assert [feature.name for feature in mixed.categorical] == ["d", "b", "e"]
    assert [feature.name for feature in mixed.numeric] == ["c", "a"]
