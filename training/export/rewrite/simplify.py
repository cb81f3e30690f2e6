"""Fewer nodes for the same values: every node costs a single row about a microsecond.

The rules hold for any graph. Together they turn what skl2onnx makes of a pipeline with an input per feature, once the
inputs are columns of two matrices, into what one would write by hand for two matrices.
"""

from collections.abc import Callable

from onnx import NodeProto, TensorProto

from training.export.rewrite.casts import gather_casts, merge_casts, raise_casts
from training.export.rewrite.columns import encode_before_gathering, flatten_concat, merge_gathers, whole_gathers
from training.export.rewrite.graph import Graph, attribute

Rule = Callable[[Graph], bool]
"""Changes the graph where it applies; returns whether it did."""


def simplify(graph: Graph) -> None:
    """Apply all rules until none applies."""
    rules: tuple[Rule, ...] = (
        remove_dead, remove_identities, share_equal, merge_casts, raise_casts, flatten_concat, merge_gathers,
        whole_gathers, encode_before_gathering, gather_casts,
    )  # fmt: skip
    while sum(rule(graph) for rule in rules):
        pass


def remove_dead(graph: Graph) -> bool:
    """Drop nodes and constants that nothing reads."""
    reads, before = graph.reads(), len(graph.nodes)
    graph.nodes = [node for node in graph.nodes if any(reads[name] for name in node.output)]
    reads = graph.reads()
    graph.constants = {name: tensor for name, tensor in graph.constants.items() if reads[name]}
    return len(graph.nodes) != before


def remove_identities(graph: Graph) -> bool:
    """Drop nodes whose output is their input."""
    changed = False
    for node in list(graph.nodes):
        if _is_identity(graph, node):
            graph.replace(node.output[0], node.input[0])
            graph.nodes.remove(node)
            changed = True
    return changed


def _is_identity(graph: Graph, node: NodeProto) -> bool:
    if node.op_type == "Cast":
        return bool(graph.kinds.get(node.input[0]) == attribute(node, "to"))
    if node.op_type == "Reshape":
        shape, wanted = graph.shapes.get(node.input[0]), graph.value(node.input[1])
        known = shape is not None and wanted is not None and len(shape) == 2 == wanted.size
        return known and bool(shape[1] == wanted[1])  # type: ignore[index]  # `known` says that they are there
    return node.op_type == "Identity" or (node.op_type == "Concat" and len(node.input) == 1)


def share_equal(graph: Graph) -> bool:
    """Merge equal nodes with equal inputs into one, and equal constants."""
    changed = _share_constants(graph)
    seen: dict[bytes, NodeProto] = {}
    for node in list(graph.nodes):
        if node.op_type.startswith("TreeEnsemble"):
            continue
        bare = NodeProto.FromString(node.SerializeToString())
        bare.name = ""
        del bare.output[:]
        first = seen.setdefault(bare.SerializeToString(deterministic=True), node)
        if first is not node and len(first.output) == len(node.output):
            for old, new in zip(node.output, first.output, strict=True):
                graph.replace(old, new)
            graph.nodes.remove(node)
            changed = True
    return changed


def _share_constants(graph: Graph) -> bool:
    seen: dict[bytes, str] = {}
    changed = False
    for name, tensor in list(graph.constants.items()):
        bare = TensorProto.FromString(tensor.SerializeToString())
        bare.name = ""
        first = seen.setdefault(bare.SerializeToString(deterministic=True), name)
        if first != name:
            graph.replace(name, first)
            del graph.constants[name]
            changed = True
    return changed
