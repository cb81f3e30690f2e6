"""Rules about Cast nodes: double precision where it is needed, and no detour through it where it isn't."""

from onnx import NodeProto, TensorProto

from training.export.rewrite.graph import Graph, attribute

_LOSSLESS = {
    (TensorProto.FLOAT, TensorProto.DOUBLE),
    (TensorProto.INT32, TensorProto.DOUBLE),
    *(
        (TensorProto.BOOL, kind)
        for kind in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT32, TensorProto.INT64)
    ),
}
"""Pairs of types: every value of the first is exact in the second."""


def merge_casts(graph: Graph) -> bool:
    """A cast of a cast that lost nothing is a cast of the value itself."""
    makers, changed = graph.makers(), False
    for node in graph.nodes:
        inner = makers.get(node.input[0]) if node.op_type == "Cast" else None
        if inner is not None and _is_lossless(graph, inner):
            node.input[0] = inner.input[0]
            changed = True
    return changed


def _is_lossless(graph: Graph, node: NodeProto | None) -> bool:
    return (
        node is not None
        and node.op_type == "Cast"
        and (graph.kinds.get(node.input[0]), attribute(node, "to")) in _LOSSLESS
    )


def raise_casts(graph: Graph) -> bool:
    """Move a cast before the joining or choosing of columns, if it cancels another cast there."""
    makers, reads = graph.makers(), graph.reads()
    for node in list(graph.nodes):
        if node.op_type != "Cast":
            continue
        inner = makers.get(node.input[0])
        if inner is None or inner.op_type not in ("Concat", "Gather") or reads[inner.output[0]] > 1:
            continue
        sources = list(inner.input) if inner.op_type == "Concat" else [inner.input[0]]
        if not any(_is_lossless(graph, makers.get(name)) for name in sources):
            continue
        kind = attribute(node, "to")
        cast = [_cast(graph, makers, name, kind) for name in sources]
        inner.input[: len(cast)] = cast
        graph.kinds[inner.output[0]] = kind
        graph.replace(node.output[0], inner.output[0])
        graph.nodes.remove(node)
        return True
    return False


def _cast(graph: Graph, makers: dict[str, NodeProto], name: str, kind: int) -> str:
    """The tensor as `kind`, from what it was before a cast that lost nothing."""
    inner = makers.get(name)
    source = inner.input[0] if inner is not None and _is_lossless(graph, inner) else name
    if graph.kinds.get(source) == kind:
        return str(source)
    return graph.add("Cast", [source], kind, shape=graph.shapes.get(source), to=kind)


def gather_casts(graph: Graph) -> bool:
    """Neighbours in a Concat that are all cast alike are joined first, then cast once."""
    makers, reads = graph.makers(), graph.reads()
    for node in graph.nodes:
        if node.op_type != "Concat":
            continue
        casts = [_cast_of(graph, makers.get(name), reads[name]) for name in node.input]
        for start in range(len(casts) - 1):
            end = start + 1
            while casts[start] is not None and end < len(casts) and casts[end] == casts[start]:
                end += 1
            if end - start > 1:
                _join(graph, node, start, end, casts[start], makers)
                return True
    return False


def _cast_of(graph: Graph, node: NodeProto | None, reads: int) -> tuple[int, int] | None:
    """Types from and to, if the node is a cast that is read once."""
    if node is None or node.op_type != "Cast" or reads > 1 or node.input[0] not in graph.kinds:
        return None
    return graph.kinds[node.input[0]], attribute(node, "to")


def _join(
    graph: Graph, node: NodeProto, start: int, end: int, kinds: tuple[int, int] | None, makers: dict[str, NodeProto]
) -> None:
    if kinds is None:
        return
    names = [makers[name].input[0] for name in node.input[start:end]]
    joined = graph.add("Concat", names, kinds[0], axis=attribute(node, "axis"))
    cast = graph.add("Cast", [joined], kinds[1], to=kinds[1])
    rest = [*node.input[:start], cast, *node.input[end:]]
    del node.input[:]
    node.input.extend(rest)
