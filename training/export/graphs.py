"""A fitted estimator as the artifacts that services run: the pickle, and two ONNX graphs with the same body.

- named: one input [N, 1] per feature, by its name; for any ONNX runtime and for people.
- packed: `categorical` string [N, C] and `numeric` float [N, M]; what the services run. Every input costs ONNX Runtime
  the better part of a microsecond a call, so that two instead of fourteen make a single row a third cheaper.

Both have the outputs `label` int64 [N] (with the decision threshold applied) and `probabilities` float [N, classes], or
`value` float [N].
"""

import pickle
from typing import Any

import onnx

from bundle.manifest import ArtifactKind
from training.export.interface import Interface
from training.export.named_graph import named_graph
from training.export.rewrite.packing import pack


def export_pickle(estimator: Any) -> bytes:  # noqa: ANN401 - any fitted estimator
    """The fitted estimator, for unpickling with library classes alone."""
    return pickle.dumps(estimator, protocol=5)


def export_graphs(name: str, estimator: Any, interface: Interface) -> dict[ArtifactKind, bytes]:  # noqa: ANN401
    """Both graphs, checked and serialized; the same estimator gives the same bytes.

    Raises:
        ConversionError: the estimator, or a step inside it, can't be converted.
    """
    named = named_graph(name, estimator, interface.inputs, interface.decision, missing=interface.tokens.missing)
    return serialize_both(named)


def serialize_both(named: onnx.ModelProto) -> dict[ArtifactKind, bytes]:
    """A named graph and the packed one that is made from it."""
    graphs: tuple[tuple[ArtifactKind, onnx.ModelProto], ...] = (("onnx", named), ("onnx_packed", pack(named)))
    return {kind: model.SerializeToString(deterministic=True) for kind, model in graphs}


def tree_count(content: bytes) -> int:
    """Trees in an exported graph."""
    return sum(len(set(found)) for found in _trees_of_nodes(content))


def tree_nodes(content: bytes) -> int:
    """Nodes of all trees in an exported graph, leaves included."""
    return sum(len(found) for found in _trees_of_nodes(content))


def _trees_of_nodes(content: bytes) -> list[list[int]]:
    """For each ensemble, the tree that each of its nodes belongs to."""
    attributes = (entry for node in onnx.load_from_string(content).graph.node for entry in node.attribute)
    return [list(entry.ints) for entry in attributes if entry.name == "nodes_treeids"]
