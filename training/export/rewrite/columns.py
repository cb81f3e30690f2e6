"""Rules about columns of matrices: Gather along the second axis, and Concat."""

from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto

from training.export.rewrite.graph import Graph, attribute


def chosen(graph: Graph, node: NodeProto | None) -> NDArray[np.int64] | None:
    """The column numbers that a node gathers, if it gathers a fixed list of columns."""
    if node is None or node.op_type != "Gather" or attribute(node, "axis", 0) != 1:
        return None
    indices = graph.value(node.input[1])
    return indices if indices is not None and indices.ndim == 1 else None


def _width(graph: Graph, name: str) -> int | None:
    shape = graph.shapes.get(name)
    return shape[1] if shape is not None and len(shape) == 2 else None


def flatten_concat(graph: Graph) -> bool:
    """A Concat inside a Concat becomes part of it."""
    makers, reads, changed = graph.makers(), graph.reads(), False
    for node in graph.nodes:
        if not _joins_columns(node):
            continue
        inputs: list[str] = []
        for name in node.input:
            inner = makers.get(name)
            nested = inner is not None and _joins_columns(inner) and reads[name] == 1
            inputs += list(inner.input) if nested and inner is not None else [name]
        if len(inputs) != len(node.input):
            del node.input[:]
            node.input.extend(inputs)
            return True
    return changed


def _joins_columns(node: NodeProto) -> bool:
    # everything that pipelines join has two dimensions, so that the last axis is the second
    return node.op_type == "Concat" and attribute(node, "axis") in (1, -1)


def merge_gathers(graph: Graph) -> bool:
    """Neighbours in a Concat that gather from one matrix become one Gather; so does a Gather from a Gather."""
    makers = graph.makers()
    for node in list(graph.nodes):
        outer = chosen(graph, node)
        inner = makers.get(node.input[0]) if outer is not None else None
        of_inner = chosen(graph, inner)
        if outer is not None and inner is not None and of_inner is not None:
            node.input[0], node.input[1] = inner.input[0], graph.constant(of_inner[outer])
            return True
        if _joins_columns(node) and _merge_neighbours(graph, node, makers):
            return True
    return False


def _merge_neighbours(graph: Graph, node: NodeProto, makers: dict[str, NodeProto]) -> bool:
    merged: list[str] = []
    sources = [_source(graph, makers.get(name)) for name in node.input]
    for source, places_in_node in groupby(range(len(sources)), lambda i: sources[i] or i):
        group = [node.input[i] for i in places_in_node]
        if len(group) == 1 or not isinstance(source, str):
            merged += group
            continue
        columns = [found for name in group if (found := chosen(graph, makers.get(name))) is not None]
        places = np.concatenate(columns)
        kind, rows = graph.kinds[source], graph.shapes.get(source, (None,))[0]
        merged.append(graph.add("Gather", [source, graph.constant(places)], kind, shape=(rows, places.size), axis=1))
    changed = len(merged) != len(node.input)
    del node.input[:]
    node.input.extend(merged)
    return changed


def _source(graph: Graph, node: NodeProto | None) -> str | None:
    """The matrix that a node gathers columns from, if it does."""
    return str(node.input[0]) if node is not None and chosen(graph, node) is not None else None


def whole_gathers(graph: Graph) -> bool:
    """A Gather of all columns in their order is the matrix itself."""
    for node in graph.nodes:
        columns = chosen(graph, node)
        if columns is not None and _width(graph, node.input[0]) == columns.size and _is_range(columns):
            graph.replace(node.output[0], node.input[0])
            graph.nodes.remove(node)
            return True
    return False


def _is_range(columns: NDArray[np.int64]) -> bool:
    return bool((columns == np.arange(columns.size)).all())


def encode_before_gathering(graph: Graph) -> bool:
    """Encode a whole matrix of strings and choose columns of the codes: numbers are cheaper to copy than strings.

    Only where at least half of the columns are chosen, and more than one.
    """
    makers, reads = graph.makers(), graph.reads()
    for node in graph.nodes:
        gather = makers.get(node.input[0]) if node.op_type == "LabelEncoder" else None
        columns = chosen(graph, gather)
        if gather is None or columns is None or reads[gather.output[0]] > 1:
            continue
        width = _width(graph, gather.input[0])
        if width is None or columns.size < 2 or 2 * np.unique(columns).size < width:
            continue
        output, source = node.output[0], gather.input[0]
        kind = graph.kinds[output]
        node.output[0] = graph.fresh("codes")
        graph.kinds[node.output[0]], graph.shapes[node.output[0]] = kind, graph.shapes[source]
        node.input[0] = source
        chosen_codes = graph.add("Gather", [node.output[0], gather.input[1]], kind, axis=1)
        graph.replace(output, chosen_codes)
        return True
    return False
