"""Any fitted estimator behind the product's preprocessing, as one packed ONNX graph, made as the product's."""

from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline

from bundle.manifest import Tokens
from training.dataset import Dataset
from training.export.named_graph import Input, named_graph
from training.export.rewrite.outputs import Decision
from training.export.rewrite.packing import pack

TOKENS = Tokens(missing="\N{REPLACEMENT CHARACTER}missing", unseen="\N{REPLACEMENT CHARACTER}unseen")
"""The tokens for missing and unseen categories in the study's own graphs."""


def export_pipeline(dataset: Dataset, pipeline: Pipeline, threshold: float) -> bytes:
    """The fitted pipeline as a checked, serialized ONNX model; `threshold` decides a classifier's label."""
    inputs = [Input(feature.name, feature.name, feature in dataset.categorical) for feature in dataset.features]
    decision = Decision(2, 1, threshold) if is_classifier(pipeline) else Decision(0)
    packed = pack(named_graph(dataset.name, pipeline, inputs, decision, missing=TOKENS.missing))
    content: bytes = packed.SerializeToString(deterministic=True)
    return content
