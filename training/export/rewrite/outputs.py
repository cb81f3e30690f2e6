"""The outputs that every graph of a bundle has, whatever stood at the end of the graph that it was made from."""

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, ValueInfoProto, helper

from bundle.graph_names import LABEL, PROBABILITIES, VALUE
from training.export.rewrite.graph import Graph


@dataclass(frozen=True)
class Decision:
    """How the answer is made: the number of `classes` (0: regression), and for two the threshold of the positive one.

    Without a threshold the most probable class is the answer, the first one if several are equal.
    """

    classes: int
    positive: int = 1
    threshold: float | None = None


def finish(graph: Graph, result: str, decision: Decision) -> list[ValueInfoProto]:
    """Let the graph's outputs be `label` and `probabilities`, or `value`, made of `result`; returns their declarations.

    `result` is probabilities [N, classes], a sequence of maps that a ZipMap makes of them, or values [N, 1] or [N].
    """
    maker = graph.makers().get(result)
    if maker is not None and maker.op_type == "ZipMap":
        result = maker.input[0]
    if decision.classes == 0:
        flat = graph.add("Reshape", [result, graph.constant(np.array([-1], dtype=np.int64))], _kind(graph, result))
        graph.outputs = {VALUE: _float(graph, flat)}
        return [helper.make_tensor_value_info(VALUE, TensorProto.FLOAT, ["N"])]
    probabilities = _float(graph, result)
    graph.outputs = {LABEL: _label(graph, probabilities, decision), PROBABILITIES: probabilities}
    return [
        helper.make_tensor_value_info(LABEL, TensorProto.INT64, ["N"]),
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, ["N", decision.classes]),
    ]


def _kind(graph: Graph, name: str) -> int:
    return int(graph.kinds.get(name, TensorProto.UNDEFINED))


def _float(graph: Graph, name: str) -> str:
    return graph.add("Cast", [name], TensorProto.FLOAT, to=TensorProto.FLOAT)


def _label(graph: Graph, probabilities: str, decision: Decision) -> str:
    if decision.threshold is None:
        return graph.add("ArgMax", [probabilities], TensorProto.INT64, axis=1, keepdims=0)
    place = graph.constant(np.array(decision.positive, dtype=np.int64))
    positive = graph.add("Gather", [probabilities, place], TensorProto.FLOAT, axis=1)
    threshold = graph.constant(np.array(decision.threshold, dtype=np.float32))
    reached = graph.add("GreaterOrEqual", [positive, threshold], TensorProto.BOOL)
    if decision.positive == 0:
        reached = graph.add("Not", [reached], TensorProto.BOOL)
    return graph.add("Cast", [reached], TensorProto.INT64, to=TensorProto.INT64)
