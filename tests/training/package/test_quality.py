"""What packaging says of a model beside the gate: how well it answers the rows, and what rounding them changes."""

import pickle

import numpy as np
import onnx
import pandas as pd
import polars as pl
import pytest
from onnx import TensorProto, helper
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression, LogisticRegression

from bundle.manifest import Feature
from tests.training.export.tables import make_table
from training.export.interface import Interface
from training.export.predictions import Predictions, decided
from training.package.columns import plain
from training.package.command import main
from training.package.from_pipeline import tokens_for
from training.package.quality import Rounding, compare_unrounded, score_rows

NUMBERS = (Feature(name="a", kind="numeric", nullable=True, example=0.0),)
CLOSE = [1.0, 1.0 + 1e-9, 1.0 + 2e-9, 1.0 + 3e-9]
"""Numbers that become the same float32."""


def regressor_of(answer):
    """An interface of one number, and a model that answers `answer(a)`."""
    interface = Interface("regression", NUMBERS, tokens_for(NUMBERS))
    return interface, lambda tensors: decided(interface, answer(tensors.numeric).astype(np.float32))


def test_rows_whose_answer_rounding_changes_are_counted():
    interface, model = regressor_of(lambda numbers: np.where(numbers > 1 + 1.5e-9, 3.0, 2.0))
    rows = pl.DataFrame({"a": [*CLOSE, 0.5, None]})
    answers = model(interface.tensors(rows))
    assert answers.numbers[:, 0].tolist() == [2.0] * 6
    found = compare_unrounded(interface, model, rows, answers)
    assert found == Rounding(rows=3, changed=2, labels=0, largest=0.5)
    first, second = found.lines()
    assert first == "rounding   rows with numbers that are rounded to float32, as services do: 3"
    assert second.startswith("warning: the model's own answer to 2 of them is another one without rounding")
    assert "differs by up to 0.5;" in second


def test_rounding_that_changes_nothing_is_said_and_float32_rows_need_no_line():
    interface, model = regressor_of(lambda numbers: numbers)
    rows = pl.DataFrame({"a": [0.1, 0.5]})
    found = compare_unrounded(interface, model, rows, model(interface.tensors(rows)))
    assert found is not None
    assert (found.rows, found.changed, len(found.lines())) == (1, 0, 1)
    exact = pl.DataFrame({"a": [0.5, None, 1e300]}).filter(pl.col("a") < 1)
    assert compare_unrounded(interface, model, exact, model(interface.tensors(exact))) is None


def test_other_classes_are_counted_and_so_are_rows_without_an_answer():
    interface = Interface("binary_classification", NUMBERS, tokens_for(NUMBERS), ("no", "yes"), 1, 0.5)

    def model(tensors):
        positive = np.where(tensors.numeric[:, 0] > 1 + 2.5e-9, np.nan, np.where(tensors.numeric[:, 0] > 1, 0.7, 0.2))
        return decided(interface, np.column_stack([1 - positive, positive]).astype(np.float32))

    rows = pl.DataFrame({"a": CLOSE})
    found = compare_unrounded(interface, model, rows, model(interface.tensors(rows)))
    assert found is not None
    assert (found.rows, found.changed, found.labels) == (3, 3, 2)
    assert found.largest == pytest.approx(0.5)
    assert "differs by up to 0.5, and in the class for 2;" in found.lines()[1]


def test_scores_are_those_of_the_rows_whose_target_is_known():
    interface = Interface("binary_classification", NUMBERS, tokens_for(NUMBERS), ("no", "yes"), 1, 0.5)
    answers = Predictions(np.array([0, 1, 1, 1, 0]), np.zeros((5, 2), dtype=np.float32))
    found = score_rows(interface, answers, pl.Series([0, 1, 0, None, 0], dtype=pl.Int32))
    assert found is not None
    assert (found.rows, found.unknown, found.least) == (4, 1, 0.5)
    assert found.scores == {"balanced accuracy": pytest.approx(5 / 6), "accuracy": 0.75}
    (line,) = found.lines()
    assert line.startswith(
        "target     4 rows (1 without one that the model knows are left out): balanced accuracy 0.8333"
    )
    assert score_rows(interface, answers, pl.Series([None] * 5, dtype=pl.Int32)) is None


def test_rows_of_one_class_tell_nothing_of_a_model():
    interface = Interface("binary_classification", NUMBERS, tokens_for(NUMBERS), ("no", "yes"), 1, 0.5)
    found = score_rows(interface, Predictions(np.array([1]), np.zeros((1, 2), dtype=np.float32)), pl.Series([1]))
    assert found is not None
    assert found.lines() == ["target     1 row: balanced accuracy 1.0000, accuracy 1"]


def test_a_model_no_better_than_a_constant_is_warned_of():
    interface = Interface("regression", NUMBERS, tokens_for(NUMBERS))
    target = pl.Series([1.0, 2.0, 3.0])
    good, bad = (Predictions(np.zeros(3, dtype=np.int64), np.float32([[a], [b], [c]])) for a, b, c in
                 ((1, 2, 4), (3, 2, 1)))  # fmt: skip
    found = score_rows(interface, good, target)
    assert found is not None
    assert found.scores == {"R²": pytest.approx(0.5), "mean absolute error": pytest.approx(1 / 3)}
    assert len(found.lines()) == 1
    wrong = score_rows(interface, bad, target)
    assert wrong is not None
    assert wrong.lines()[1].startswith("warning: on ROWS the model is no better than one that looks at no feature: are")
    assert wrong.lines(rounding_matters=True)[1].endswith("what rounding changes may be the cause")


@pytest.mark.parametrize("target", [[2.0, 2.0, 2.0], [5.0], [1e300, 1.0, 2.0]])
def test_a_score_that_cannot_be_is_no_warning(target):
    interface = Interface("regression", NUMBERS, tokens_for(NUMBERS))
    answers = Predictions(np.zeros(len(target), dtype=np.int64), np.ones((len(target), 1), dtype=np.float32))
    found = score_rows(interface, answers, pl.Series(target))
    assert found is not None
    assert len(found.lines()) == 1


@pytest.fixture
def package(tmp_path):
    def run(model, rows, *more, target):
        if isinstance(model, onnx.ModelProto):
            path, option = tmp_path / "m.onnx", "--onnx"
            path.write_bytes(model.SerializeToString())
        else:
            path, option = tmp_path / "m.pkl", "--pipeline"
            path.write_bytes(pickle.dumps(model))
        file = tmp_path / "rows.csv"
        rows.write_csv(file)
        given = [option, str(path), "--rows", str(file), "--target", target, "--models", str(tmp_path / "models")]
        return main([*given, *more])

    return run


@pytest.mark.parametrize("kind", ["pandas", "numpy"])
def test_a_tree_fitted_on_unrounded_numbers_is_told_of(package, capfd, kind):
    numbers = 1e6 + np.arange(40) / 64  # float32 has steps of 1/16 there
    frame = pd.DataFrame({"a": numbers}) if kind == "pandas" else numbers.reshape(-1, 1)
    target = np.arange(40) % 2
    model = HistGradientBoostingRegressor(min_samples_leaf=1, max_iter=20).fit(frame, target.astype(float))
    assert package(model, pl.DataFrame({"a": numbers, "y": target}), target="y") == 0
    halves = numbers.astype(np.float32).astype(float)
    own, rounded = model.predict(frame), model.predict(frame.assign(a=halves) if kind == "pandas" else halves[:, None])
    changed = (np.abs(np.float32(own) - np.float32(rounded)) > 1e-5).sum()
    assert changed > 10
    out = capfd.readouterr().out
    assert f"rounded to float32, as services do: {(halves != numbers).sum()}\n" in out
    assert f"the model's own answer to {changed} of them is another one" in out
    assert f"R² {1 - ((rounded - target) ** 2).sum() / 10:.4f}" in out


def test_classes_in_another_order_are_told_of(package, capfd):
    nodes = [helper.make_node("Sigmoid", ["x"], ["p"]), helper.make_node("Sub", ["one", "p"], ["q"]),
             helper.make_node("Concat", ["q", "p"], ["probabilities"], axis=1)]  # fmt: skip
    given, made = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", width]) for name, width in
                   (("x", 1), ("probabilities", 2)))  # fmt: skip
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    model = helper.make_model(
        helper.make_graph(nodes, "g", [given], [made], [one]), opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )
    rows = pl.DataFrame({"x": [-2.0, -1.0, 1.0, 2.0], "y": ["no", "no", "yes", "yes"]})
    assert package(model, rows, "--classes", "no,yes", target="y") == 0
    right = capfd.readouterr().out
    assert "target     4 rows: balanced accuracy 1.0000, accuracy 1" in right
    assert "warning" not in right
    assert package(model, rows, "--classes", "yes,no", target="y") == 0
    wrong = capfd.readouterr().out
    assert "balanced accuracy 0.0000, accuracy 0; a model that looks at no feature has balanced accuracy 0.5" in wrong
    assert "warning: with the classes in the order no, yes the accuracy would be 1: are they in the model's" in wrong


def test_the_order_of_the_classes_that_fits_is_named():
    interface = Interface("multiclass_classification", NUMBERS, tokens_for(NUMBERS), ("a", "b", "c"))
    answers = Predictions(np.array([0, 0, 1, 1, 2, 2, 2]), np.zeros((7, 3), dtype=np.float32))
    found = score_rows(interface, answers, pl.Series([1, 1, 2, 2, 0, 0, 1], dtype=pl.Int32))
    assert found is not None
    assert found.reordered == (("b", "c", "a"), pytest.approx(6 / 7))
    assert "in the order b, c, a the accuracy would be 0.8571" in found.lines()[1]
    right = score_rows(interface, answers, pl.Series([0, 0, 1, 1, 2, 2, 0], dtype=pl.Int32))
    assert right is not None
    assert right.reordered is None


def test_a_target_that_no_row_has_is_not_scored(package, capfd):
    table = make_table(60, gaps=False)
    model = LogisticRegression().fit(table.frame.select("weight").to_numpy(), table.binary)
    rows = table.frame.select("weight").with_columns(y=pl.lit(None, dtype=pl.String))
    assert package(model, rows, target="y") == 0
    assert "target  " not in capfd.readouterr().out


def test_plain_dates_can_be_asked_about_unrounded():
    """They are whole days, which float32 holds up to the year 9999."""
    date = Feature(name="a", kind="date", nullable=True, example="2024-01-01", dtype="Date")
    interface = Interface("regression", (date,), tokens_for((date,)))
    rows = pl.DataFrame([plain(pl.Series("a", ["2024-01-01", "9999-12-31", None]).str.to_date())])
    model = LinearRegression().fit([[0.0], [1.0]], [0.0, 1.0])
    answers = decided(interface, model.predict([[0.0]] * 3).astype(np.float32).reshape(-1, 1))
    assert compare_unrounded(interface, lambda _: answers, rows, answers) is None
