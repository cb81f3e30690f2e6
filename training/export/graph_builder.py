"""The preprocessing as ONNX nodes: what every exported graph starts with, whatever stands behind it.

It is written here instead of converted, because a converter emits nodes per column: one LabelEncoder gives every string
its code, and Gather + Equal + Cast turn the codes into all one-hot columns at once.

Names inside the graph start with an underscore, which no feature's name does, so that none can meet an input.
"""

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import ColumnTransformer

from bundle.graph_names import CATEGORICAL, NUMERIC
from bundle.manifest import Tokens
from training.dataset import Dataset, Ordinal

FEATURES = "_features"
"""Float [N, columns]: what the preprocessing gives, in the fitted transformer's order."""

NO_CODE = -1
"""Of a string that is no category of any feature."""


@dataclass
class Graph:
    """Nodes and constants in the making."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def add(self, operator: str, inputs: list[str], output: str, **attributes: object) -> str:
        """Append a node of one output, and return that output's name."""
        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: np.ndarray) -> str:
        """Append a constant, and return its name."""
        self.constants.append(numpy_helper.from_array(value, name))
        return name


def declare(name: str, kind: int, shape: list[str | int]) -> onnx.ValueInfoProto:
    """An input or output of the graph; `kind` is a TensorProto data type."""
    return helper.make_tensor_value_info(name, kind, shape)


def preprocess(
    dataset: Dataset, preprocessing: ColumnTransformer, tokens: Tokens, graph: Graph, *, packed: bool
) -> list[onnx.ValueInfoProto]:
    """Add the nodes that make `FEATURES` of the inputs. Returns the inputs of the named or the packed graph.

    The pipeline's missing category, None, is `tokens.missing` in the graph.
    """
    inputs = _packed_inputs(dataset) if packed else _named_inputs(dataset, graph)
    blocks = [*_encode(dataset, preprocessing, tokens, graph)]
    if dataset.numeric:
        blocks.append(NUMERIC)
    graph.add("Concat", blocks, FEATURES, axis=1)
    return inputs


def _packed_inputs(dataset: Dataset) -> list[onnx.ValueInfoProto]:
    """A tensor of all strings and a tensor of all numbers; a data set without one kind has no such input."""
    groups = ((CATEGORICAL, TensorProto.STRING, dataset.categorical), (NUMERIC, TensorProto.FLOAT, dataset.numeric))
    return [declare(name, kind, ["N", len(features)]) for name, kind, features in groups if features]


def _named_inputs(dataset: Dataset, graph: Graph) -> list[onnx.ValueInfoProto]:
    """One input per feature, concatenated into the two tensors that the packed graph has as inputs."""
    categorical = [feature.name for feature in dataset.categorical]
    numeric = [feature.name for feature in dataset.numeric]
    for names, tensor in ((categorical, CATEGORICAL), (numeric, NUMERIC)):
        if names:
            graph.add("Concat", names, tensor, axis=1)
    return [
        declare(feature.name, TensorProto.FLOAT if feature.name in numeric else TensorProto.STRING, ["N", 1])
        for feature in dataset.features
    ]


def _encode(dataset: Dataset, preprocessing: ColumnTransformer, tokens: Tokens, graph: Graph) -> list[str]:
    """Ordinal ranks, then one-hot columns, in the fitted transformer's order: names of float tensors [N, ...]."""
    positions = {feature.name: index for index, feature in enumerate(dataset.categorical)}
    ordinal = [feature for feature in dataset.categorical if isinstance(feature, Ordinal)]
    blocks = [_rank(feature, positions[feature.name], graph) for feature in ordinal]
    one_hot = {name: columns for name, _, columns in preprocessing.transformers_}["nominal"]
    if not one_hot:
        return blocks
    categories = {
        name: [tokens.missing if category is None else str(category) for category in column]
        for name, column in zip(one_hot, preprocessing.named_transformers_["nominal"].categories_, strict=True)
    }
    codes = {
        text: code for code, text in enumerate(sorted({text for column in categories.values() for text in column}))
    }
    graph.add(
        "LabelEncoder", [CATEGORICAL], "_codes", domain="ai.onnx.ml",
        keys_strings=list(codes), values_int64s=list(codes.values()), default_int64=NO_CODE,
    )  # fmt: skip
    pairs = [(positions[name], codes[text]) for name, column in categories.items() for text in column]
    columns = graph.constant("_one_hot_columns", np.array([position for position, _ in pairs], dtype=np.int64))
    expected = graph.constant("_one_hot_codes", np.array([[code for _, code in pairs]], dtype=np.int64))
    graph.add("Gather", ["_codes", columns], "_spread_codes", axis=1)
    graph.add("Equal", ["_spread_codes", expected], "_is_category")
    blocks.append(graph.add("Cast", ["_is_category"], "_one_hot", to=TensorProto.FLOAT))
    return blocks


def _rank(feature: Ordinal, position: int, graph: Graph) -> str:
    """The feature's rank as float [N, 1]; NaN, as the trees take a missing value, for what has no rank."""
    column = graph.constant(f"_{feature.name}_column", np.array([position], dtype=np.int64))
    graph.add("Gather", [CATEGORICAL, column], f"_{feature.name}_text", axis=1)
    return graph.add(
        "LabelEncoder", [f"_{feature.name}_text"], f"_{feature.name}_rank", domain="ai.onnx.ml",
        keys_strings=list(feature.categories), values_floats=[float(i) for i in range(len(feature.categories))],
        default_float=float("nan"),
    )  # fmt: skip
