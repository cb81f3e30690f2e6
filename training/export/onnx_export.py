"""The fitted pipeline as ONNX: preprocessing, trees and decision threshold in one graph.

Two graphs with the same body are made:

- named: one input [N, 1] per feature, by its name; for any ONNX runtime and for people.
- packed: `categorical` string [N, C] and `numeric` float [N, M]; what the services run. Every input costs ONNX Runtime
  the better part of a microsecond a call, so that two instead of fourteen make a single row a third cheaper.

Both have the outputs `label` int64 [N] (with the tuned threshold applied) and `probabilities` float [N, 2].

`graph_builder` writes the preprocessing, onnxmltools converts the trees. Converters drop FixedThresholdClassifier's
threshold, so the graph compares it, too.
"""

import io
import pickle
import warnings
from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from bundle.graph_names import LABEL, PROBABILITIES
from bundle.manifest import Tokens
from training.dataset import Dataset
from training.errors import ParityError
from training.export.graph_builder import FEATURES, Graph, declare, preprocess

OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
"""Old enough for every ONNX Runtime since 1.18 (2024); nothing newer is needed."""


def export_pickle(classifier: FixedThresholdClassifier) -> bytes:
    """The fitted classifier, for unpickling with library classes alone."""
    return pickle.dumps(classifier, protocol=5)


def export_onnx(dataset: Dataset, classifier: FixedThresholdClassifier, tokens: Tokens, *, packed: bool) -> bytes:
    """The classifier as a checked, serialized ONNX model.

    Raises:
        ParityError: the converted trees are not the trained ones.
    """
    pipeline: Pipeline = classifier.estimator_.estimator
    graph = Graph()
    inputs = preprocess(dataset, pipeline.named_steps["preprocessing"], tokens, graph, packed=packed)
    add_trees(graph, pipeline.named_steps["model"])
    return serialize(dataset.name, graph, inputs, decide(graph, classifier.threshold))


def serialize(name: str, graph: Graph, inputs: list[onnx.ValueInfoProto], outputs: list[onnx.ValueInfoProto]) -> bytes:
    """The finished graph as a checked, serialized ONNX model; the same graph gives the same bytes."""
    body = helper.make_graph(graph.nodes, name, inputs, outputs, initializer=graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="train-to-serve")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def add_trees(graph: Graph, classifier: XGBClassifier) -> None:
    """The trees, which make `PROBABILITIES` of `FEATURES`.

    Raises:
        ParityError: the converted trees are not the trained ones.
    """
    trees = _converted_trees(classifier)
    attributes = {a.name: helper.get_attribute_value(a) for a in trees.attribute}
    graph.nodes.append(
        helper.make_node(
            "TreeEnsembleClassifier", [FEATURES], ["_untuned_label", PROBABILITIES], "_trees", domain="ai.onnx.ml",
            **attributes,
        )
    )  # fmt: skip


def decide(graph: Graph, threshold: float) -> list[onnx.ValueInfoProto]:
    """The label that the threshold makes of the positive class's probability. Returns both outputs of the graph."""
    graph.add(
        "Gather", [PROBABILITIES, graph.constant("_positive_class", np.array(1, dtype=np.int64))], "_positive", axis=1
    )
    decision = graph.constant("_decision_threshold", np.array(threshold, dtype=np.float32))
    graph.add("GreaterOrEqual", ["_positive", decision], "_is_positive")
    graph.add("Cast", ["_is_positive"], LABEL, to=TensorProto.INT64)
    return [declare(LABEL, TensorProto.INT64, ["N"]), declare(PROBABILITIES, TensorProto.FLOAT, ["N", 2])]


def _converted_trees(classifier: XGBClassifier) -> onnx.NodeProto:
    """The TreeEnsembleClassifier node that onnxmltools makes, with as many trees and leaves as were trained.

    Raises:
        ParityError: the counts differ. Continued training, `num_parallel_tree` and early stopping are known causes.
    """
    columns = FloatTensorType([None, classifier.n_features_in_])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter warns of its own imports
        model = convert_xgboost(classifier, initial_types=[("features", columns)])
    (node,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    converted = (len(set(attributes["nodes_treeids"])), attributes["nodes_modes"].count(b"LEAF"))
    dump = classifier.get_booster().get_dump()
    trained = (len(dump), sum(tree.count("leaf=") for tree in dump))
    if converted != trained:
        raise ParityError(
            f"the converter made {converted[0]} trees with {converted[1]} leaves of {trained[0]} with {trained[1]}"
        )
    return node


def tree_count(content: bytes) -> int:
    """Trees in an exported graph."""
    return len(set(_tree_of_each_node(content)))


def tree_nodes(content: bytes) -> int:
    """Nodes of all trees in an exported graph, leaves included."""
    return len(_tree_of_each_node(content))


def _tree_of_each_node(content: bytes) -> Sequence[int]:
    model = onnx.load_model(io.BytesIO(content))
    (node,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    trees: Sequence[int] = next(a.ints for a in node.attribute if a.name == "nodes_treeids")
    return trees
