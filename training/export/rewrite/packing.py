"""The packed graph, made from the named one: its inputs become columns of two matrices."""

import numpy as np
import onnx
from onnx import TensorProto, helper

from bundle.graph_names import CATEGORICAL, NUMERIC
from training.export.rewrite.graph import Graph
from training.export.rewrite.simplify import simplify


def pack(named: onnx.ModelProto) -> onnx.ModelProto:
    """The graph with `categorical` string [N, C] and `numeric` float32 [N, M] instead of an input [N, 1] per feature.

    The columns are in the order of the named graph's inputs. Without strings, or without numbers, that input is left
    out.
    """
    graph = Graph.read(named)
    graph.opset, graph.ml_opset = graph.domains[""], graph.domains["ai.onnx.ml"]
    values = [(graph.set_aside(value.name), value.type.tensor_type.elem_type) for value in graph.inputs]
    graph.inputs = []
    for packed, kind in ((CATEGORICAL, TensorProto.STRING), (NUMERIC, TensorProto.FLOAT)):
        names = [name for name, found in values if found == kind]
        if not names:
            continue
        graph.add_input(helper.make_tensor_value_info(packed, kind, ["N", len(names)]))
        for place, name in enumerate(names):
            column = graph.constant(np.array([place], dtype=np.int64))
            graph.replace(name, graph.add("Gather", [packed, column], kind, shape=(None, 1), axis=1))
    simplify(graph)
    return graph.model(named.graph.name, list(named.graph.output))
