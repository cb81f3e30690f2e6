"""The fitted pipeline as ONNX: preprocessing, trees and decision threshold in one graph.

Two graphs with the same body are made:

- named: one input [N, 1] per feature, by its name; for any ONNX runtime and for people.
- packed: `categorical` string [N, C] and `numeric` float [N, M]; what the services run. Every input costs ONNX Runtime
  the better part of a microsecond a call, so that two instead of fourteen make a single row a third cheaper.

Both have the outputs `label` int64 [N] (with the tuned threshold applied) and `probabilities` float [N, 2].

Preprocessing is written here instead of converted, because a converter emits nodes per column: one LabelEncoder gives
every string its code, and Gather + Equal + Cast turn the codes into all one-hot columns at once. onnxmltools converts
the trees. Converters drop FixedThresholdClassifier's threshold, so the graph compares it, too.

Names inside the graph start with an underscore, which no feature's name does, so that none can meet an input.
"""

import io
import pickle
import warnings
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from training.dataset import CATEGORICAL, LABEL, NUMERIC, PROBABILITIES, Dataset, Ordinal
from training.errors import ParityError

OPSET, ML_OPSET, IR_VERSION = 18, 3, 10
"""Old enough for every ONNX Runtime since 1.18 (2024); nothing newer is needed."""

UNSEEN = -1


@dataclass
class _Graph:
    """Nodes and constants in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def export_pickle(classifier: FixedThresholdClassifier) -> bytes:
    """The fitted classifier, for unpickling with library classes alone."""
    return pickle.dumps(classifier, protocol=5)


def export_onnx(dataset: Dataset, classifier: FixedThresholdClassifier, *, packed: bool) -> bytes:
    """The classifier as a checked, serialized ONNX model.

    Raises:
        ParityError: the converted trees are not the trained ones.
    """
    pipeline: Pipeline = classifier.estimator_.estimator
    graph = _Graph()
    inputs = _packed_inputs(dataset) if packed else _named_inputs(dataset, graph)
    blocks = [*_encode(dataset, pipeline.named_steps["preprocessing"], graph)]
    if dataset.numeric:
        blocks.append(NUMERIC)
    graph.add("Concat", blocks, "_features", axis=1)
    _decide(graph, pipeline.named_steps["classifier"], classifier.threshold)
    outputs = [_value(LABEL, TensorProto.INT64, ["N"]), _value(PROBABILITIES, TensorProto.FLOAT, ["N", 2])]
    body = helper.make_graph(graph.nodes, dataset.name, inputs, outputs, initializer=graph.constants)
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(body, opset_imports=opsets, ir_version=IR_VERSION, producer_name="train-to-serve")
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString(deterministic=True)
    return content


def _value(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def _packed_inputs(dataset: Dataset) -> list[onnx.ValueInfoProto]:
    """A tensor of all strings and a tensor of all numbers; a data set without one kind has no such input."""
    groups = ((CATEGORICAL, TensorProto.STRING, dataset.categorical), (NUMERIC, TensorProto.FLOAT, dataset.numeric))
    return [_value(name, kind, ["N", len(features)]) for name, kind, features in groups if features]


def _named_inputs(dataset: Dataset, graph: _Graph) -> list[onnx.ValueInfoProto]:
    """One input per feature, concatenated into the two tensors that the packed graph has as inputs."""
    categorical = [feature.name for feature in dataset.categorical]
    numeric = [feature.name for feature in dataset.numeric]
    for names, tensor in ((categorical, CATEGORICAL), (numeric, NUMERIC)):
        if names:
            graph.add("Concat", names, tensor, axis=1)
    return [
        _value(feature.name, TensorProto.FLOAT if feature.name in numeric else TensorProto.STRING, ["N", 1])
        for feature in dataset.features
    ]


def _encode(dataset: Dataset, preprocessing: ColumnTransformer, graph: _Graph) -> list[str]:
    """Ordinal ranks, then one-hot columns, in the fitted transformer's order: names of float tensors [N, ...]."""
    positions = {feature.name: index for index, feature in enumerate(dataset.categorical)}
    ordinal = [feature for feature in dataset.categorical if isinstance(feature, Ordinal)]
    blocks = [_rank(feature, positions[feature.name], graph) for feature in ordinal]
    one_hot = {name: columns for name, _, columns in preprocessing.transformers_}["nominal"]
    categories = (
        dict(zip(one_hot, preprocessing.named_transformers_["nominal"].categories_, strict=True)) if one_hot else {}
    )
    if not categories:
        return blocks
    codes = {text: code for code, text in enumerate(sorted({str(c) for column in categories.values() for c in column}))}
    graph.add(
        "LabelEncoder", [CATEGORICAL], "_codes", domain="ai.onnx.ml",
        keys_strings=list(codes), values_int64s=list(codes.values()), default_int64=UNSEEN,
    )  # fmt: skip
    pairs = [(positions[name], codes[str(c)]) for name, column in categories.items() for c in column]
    columns = graph.constant("_one_hot_columns", np.array([position for position, _ in pairs], dtype=np.int64))
    expected = graph.constant("_one_hot_codes", np.array([[code for _, code in pairs]], dtype=np.int64))
    graph.add("Gather", ["_codes", columns], "_spread_codes", axis=1)
    graph.add("Equal", ["_spread_codes", expected], "_is_category")
    blocks.append(graph.add("Cast", ["_is_category"], "_one_hot", to=TensorProto.FLOAT))
    return blocks


def _rank(feature: Ordinal, position: int, graph: _Graph) -> str:
    """The feature's rank as float [N, 1]; NaN, as the trees take a missing value, for what has no rank."""
    column = graph.constant(f"_{feature.name}_column", np.array([position], dtype=np.int64))
    graph.add("Gather", [CATEGORICAL, column], f"_{feature.name}_text", axis=1)
    return graph.add(
        "LabelEncoder", [f"_{feature.name}_text"], f"_{feature.name}_rank", domain="ai.onnx.ml",
        keys_strings=list(feature.categories), values_floats=[float(i) for i in range(len(feature.categories))],
        default_float=float("nan"),
    )  # fmt: skip


def _decide(graph: _Graph, classifier: XGBClassifier, threshold: float) -> None:
    """The trees, and the label that the threshold makes of the positive class's probability."""
    trees = _converted_trees(classifier)
    attributes = {a.name: helper.get_attribute_value(a) for a in trees.attribute}
    graph.nodes.append(
        helper.make_node(
            "TreeEnsembleClassifier", ["_features"], ["_untuned_label", PROBABILITIES], "_trees", domain="ai.onnx.ml",
            **attributes,
        )
    )  # fmt: skip
    graph.add(
        "Gather", [PROBABILITIES, graph.constant("_positive_class", np.array(1, dtype=np.int64))], "_positive", axis=1
    )
    decision = graph.constant("_decision_threshold", np.array(threshold, dtype=np.float32))
    graph.add("GreaterOrEqual", ["_positive", decision], "_is_positive")
    graph.add("Cast", ["_is_positive"], LABEL, to=TensorProto.INT64)


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
    model = onnx.load_model(io.BytesIO(content))
    (node,) = (node for node in model.graph.node if node.op_type == "TreeEnsembleClassifier")
    return len(set(next(a.ints for a in node.attribute if a.name == "nodes_treeids")))
