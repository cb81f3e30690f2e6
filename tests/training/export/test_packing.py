"""The packed graph costs no more nodes than one written by hand, whatever the features are called."""

import numpy as np
import polars as pl
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from tests.training.export.tables import MISSING, NUMBERS, TEXTS, in_frame, inputs_of, make_table, run
from training.export.named_graph import Input, named_graph
from training.export.rewrite.graph import Graph
from training.export.rewrite.outputs import Decision
from training.export.rewrite.packing import pack
from training.export.rewrite.simplify import simplify

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def operators(model):
    return [node.op_type for node in model.graph.node]


def test_packed_graph_of_our_pipeline_is_what_one_would_write_by_hand(made_up):
    """One Gather for the rank, one LabelEncoder for all one-hot columns, no Cast and no Split for the numbers."""
    dataset = made_up.rows.dataset
    inputs = [Input(feature.name, feature.name, feature in dataset.categorical) for feature in dataset.features]
    classifier = made_up.fitted(made_up.rows).estimator
    packed = pack(named_graph("orchard", classifier, inputs, Decision(2, 1, 0.3), missing=MISSING))
    assert sorted(operators(packed)) == sorted(
        ["Gather", "LabelEncoder", "LabelEncoder", "Gather", "Equal", "Cast", "Concat", "TreeEnsembleClassifier",
         "Gather", "GreaterOrEqual", "Cast"]
    )  # fmt: skip
    (trees,) = (node for node in packed.graph.node if node.op_type == "TreeEnsembleClassifier")
    (joined,) = (node for node in packed.graph.node if node.output[0] == trees.input[0])
    assert joined.input[-1] == "numeric"


def test_numbers_of_a_linear_model_are_cast_once():
    table = make_table(gaps=False)
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(
        in_frame(table.frame, "numpy", NUMBERS), table.binary
    )
    packed = pack(named_graph("m", model, inputs_of(NUMBERS), Decision(2, 1, 0.5), missing=MISSING))
    doubles = [
        node for node in packed.graph.node
        if node.op_type == "Cast" and helper.get_attribute_value(node.attribute[0]) == TensorProto.DOUBLE
    ]  # fmt: skip
    assert [list(node.input) for node in doubles] == [["numeric"]]
    assert "Gather" not in operators(packed)[:2]


def test_features_may_have_any_names():
    names = {
        "weight": "categorical",
        "mean radius": "numeric",
        "age": "_cast_1",
        "colour": "年齢",
        "grade": "_gather_1",
    }
    table = make_table(gaps=False)
    frame, columns = table.frame.rename(names), tuple(names.values())
    numbers, texts = [names[name] for name in NUMBERS], [names[name] for name in TEXTS]
    model = make_pipeline(
        ColumnTransformer([("t", OneHotEncoder(handle_unknown="ignore"), texts), ("n", "passthrough", numbers)]),
        LogisticRegression(max_iter=50),
    ).fit(frame, table.binary)
    inputs = [Input(name, name, name in texts) for name in columns]
    named = named_graph("m", model, inputs, Decision(2, 1, 0.5), missing=MISSING)
    assert [value.name for value in named.graph.input] == list(columns)
    packed = pack(named)
    back = {new: old for old, new in names.items()}
    got = run(packed.SerializeToString(), frame.rename(back), tuple(names))["probabilities"]
    assert np.abs(got - model.predict_proba(frame)).max() <= 1e-6


def test_a_column_that_is_used_twice_and_the_whole_matrix_beside_it_stay_what_they_are():
    """Neighbours in a Concat that look alike: a matrix, a column of it, and the same column again."""
    value = helper.make_tensor_value_info
    indices = helper.make_tensor("i", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("Gather", ["x", "i"], ["g"], axis=1),
        helper.make_node("Concat", ["x", "g", "g", "x"], ["y"], axis=1),
    ]
    body = helper.make_graph(
        nodes, "m", [value("x", TensorProto.FLOAT, ["N", 2])], [value("y", TensorProto.FLOAT, ["N", 6])], [indices]
    )
    graph = Graph.read(helper.make_model(body, opset_imports=[helper.make_opsetid("", 18)]))
    simplify(graph)
    model = graph.model("m", [value("y", TensorProto.FLOAT, ["N", 6])])
    x = np.array([[1.0, 2.0]], dtype=np.float32)
    assert ReferenceEvaluator(model).run(None, {"x": x})[0].tolist() == [[1, 2, 2, 2, 1, 2]]


def test_equal_graphs_are_equal_bytes():
    table = make_table(gaps=False)
    model = LogisticRegression(max_iter=20).fit(in_frame(table.frame, "numpy", NUMBERS), table.binary)
    contents = {
        pack(named_graph("m", model, inputs_of(NUMBERS), Decision(2), missing=MISSING)).SerializeToString(
            deterministic=True
        )
        for _ in range(2)
    }
    assert len(contents) == 1


def test_order_of_the_columns_is_that_of_the_inputs():
    table = make_table(gaps=False)
    model = LogisticRegression(max_iter=20).fit(in_frame(table.frame, "numpy", NUMBERS), table.binary)
    packed = pack(named_graph("m", model, inputs_of(NUMBERS), Decision(2), missing=MISSING))
    swapped = table.frame.select(pl.col("age").alias("weight"), "mean radius", pl.col("weight").alias("age"))
    straight, other = (
        run(packed.SerializeToString(), frame, NUMBERS)["probabilities"] for frame in (table.frame, swapped)
    )
    assert not np.allclose(straight, other)
