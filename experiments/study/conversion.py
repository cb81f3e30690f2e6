"""Any fitted estimator behind the product's preprocessing, as one packed ONNX graph.

XGBoost is converted as the product does it. skl2onnx converts the others, as they stand behind the preprocessing: on
float32 columns. Its nodes are put behind the hand-written ones, without what the outputs don't need.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnx.utils import Extractor
from skl2onnx import to_onnx
from sklearn.base import BaseEstimator, is_classifier
from sklearn.pipeline import Pipeline
from xgboost import XGBClassifier

from bundle.graph_names import PROBABILITIES
from bundle.manifest import Tokens
from experiments.study.families import ESTIMATOR, PREPROCESSING
from training.dataset import Dataset
from training.export.graph_builder import FEATURES, Graph, declare, preprocess
from training.export.onnx_export import ML_OPSET, OPSET, add_trees, decide, serialize

PREDICTION = "prediction"
"""Output of a regressor: float [N, 1]. A classifier has the product's outputs."""

TOKENS = Tokens(missing="\N{REPLACEMENT CHARACTER}missing", unseen="\N{REPLACEMENT CHARACTER}unseen")
"""What stands for missing and unseen categories in the study's own graphs."""

_PREFIX = "_estimator_"


def export_pipeline(dataset: Dataset, pipeline: Pipeline, threshold: float) -> bytes:
    """The fitted pipeline as a checked, serialized ONNX model; `threshold` decides a classifier's label."""
    graph = Graph()
    inputs = preprocess(dataset, pipeline.named_steps[PREPROCESSING], TOKENS, graph, packed=True)
    estimator = pipeline.named_steps[ESTIMATOR]
    if isinstance(estimator, XGBClassifier):
        add_trees(graph, estimator)
        return serialize(dataset.name, graph, inputs, decide(graph, threshold))
    converted = _convert(estimator, len(pipeline.named_steps[PREPROCESSING].get_feature_names_out()))
    if is_classifier(estimator):
        _inline(graph, converted, PROBABILITIES)
        return serialize(dataset.name, graph, inputs, decide(graph, threshold))
    _inline(graph, converted, PREDICTION)
    return serialize(dataset.name, graph, inputs, [declare(PREDICTION, TensorProto.FLOAT, ["N", 1])])


def _convert(estimator: BaseEstimator, columns: int) -> onnx.ModelProto:
    """skl2onnx's model of the estimator, with only what its last output needs."""
    classifier = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    options = {id(classifier): {"zipmap": False}} if is_classifier(estimator) else {}
    with _flags_as_integers(), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the converter reads what scikit-learn 1.9 has deprecated
        model = to_onnx(
            estimator,
            np.zeros((1, columns), dtype=np.float32),
            options=options,
            target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET},
        )
    graph = model.graph
    return Extractor(model).extract_model([graph.input[0].name], [graph.output[-1].name])


@contextmanager
def _flags_as_integers() -> Iterator[None]:
    """skl2onnx 1.20 marks the leaves of histogram boosting by booleans, which onnx refuses where it wants ints."""

    def make_node(*arguments: Any, **attributes: Any) -> onnx.NodeProto:  # noqa: ANN401 - as onnx declares it
        flags = "nodes_missing_value_tracks_true"
        if flags in attributes:
            attributes[flags] = [int(flag) for flag in attributes[flags]]
        return helper.make_node(*arguments, **attributes)

    with patch("skl2onnx.common._container.make_node", make_node):
        yield


def _inline(graph: Graph, model: onnx.ModelProto, output: str) -> None:
    """Put the model's nodes behind `FEATURES`; its output is called `output`, all else has a prefix."""
    renamed = {model.graph.input[0].name: FEATURES, model.graph.output[0].name: output, "": ""}

    def rename(name: str) -> str:
        return renamed.get(name, _PREFIX + name)

    for node in model.graph.node:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.name = _PREFIX + node.name
        copy.input[:] = map(rename, node.input)
        copy.output[:] = map(rename, node.output)
        graph.nodes.append(copy)
    for constant in model.graph.initializer:
        copy = onnx.TensorProto()
        copy.CopyFrom(constant)
        copy.name = rename(constant.name)
        graph.constants.append(copy)
