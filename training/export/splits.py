"""The raw values at which a graph's trees branch, found through whatever stands in front of the trees."""

from collections.abc import Callable, Iterator

import numpy as np
import onnx
import onnxruntime
import polars as pl
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

from bundle.manifest import Feature
from training.export.interface import Interface, Tensors
from training.export.rewrite.graph import Graph, attribute
from training.export.rewrite.simplify import simplify

_PROBES = 3


def split_thresholds(packed: onnx.ModelProto, interface: Interface, rows: pl.DataFrame) -> dict[str, list[float]]:
    """Feature name to the distinct values, ascending and in the feature's own units, that trees compare it with.

    Where a scaler stands in front of the trees, their thresholds are mapped back through it: the tree's columns are
    computed for a few values of each feature, and those that depend on it linearly are inverted.
    """
    base = interface.tensors(rows.head(1))
    found: dict[str, set[float]] = {}
    for node in packed.graph.node:
        if not node.op_type.startswith("TreeEnsemble"):
            continue
        columns = _columns_by_value(packed, node.input[0])
        compared = _compared(node)
        for place, feature in enumerate(interface.numeric):
            values = _probes(feature)
            matrix = columns(_varied(base, place, values))
            for column, slope, offset in _lines(values, matrix):
                raw = (np.array(compared.get(column, [])) - offset) / slope
                found.setdefault(feature.name, set()).update(raw.astype(np.float32).tolist())
    return {name: sorted(value for value in values if np.isfinite(value)) for name, values in found.items() if values}


def _columns_by_value(packed: onnx.ModelProto, tensor: str) -> Callable[[Tensors], NDArray[np.float64]]:
    """A function from tensors to the matrix that the graph has in `tensor`, as doubles."""
    graph = Graph.read(packed)
    graph.outputs = {"columns": graph.add("Cast", [tensor], TensorProto.DOUBLE, to=TensorProto.DOUBLE)}
    simplify(graph)
    model = graph.model("columns", [helper.make_tensor_value_info("columns", TensorProto.DOUBLE, ["N", "C"])])
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [node.name for node in session.get_inputs()]

    def columns(tensors: Tensors) -> NDArray[np.float64]:
        feeds = {"categorical": tensors.categorical, "numeric": tensors.numeric}
        matrix: NDArray[np.float64] = session.run(None, {name: feeds[name] for name in names})[0]
        return matrix

    return columns


def _compared(node: NodeProto) -> dict[int, list[float]]:
    """Column number to the values that a node's trees compare it with."""
    tensor = attribute(node, "nodes_values_as_tensor")
    values = attribute(node, "nodes_values") if tensor is None else numpy_helper.to_array(tensor).tolist()
    places = zip(attribute(node, "nodes_featureids"), attribute(node, "nodes_modes"), values, strict=True)
    compared: dict[int, list[float]] = {}
    for column, mode, value in places:
        if mode != b"LEAF":
            compared.setdefault(column, []).append(value)
    return compared


def _probes(feature: Feature) -> NDArray[np.float32]:
    """Three values of a feature, equally spaced, exact in float32."""
    lowest = feature.minimum if feature.minimum is not None else 0.0
    highest = feature.maximum if feature.maximum is not None else 1.0
    step = 2.0 ** np.floor(np.log2(max(highest - lowest, 1e-30)))
    start = np.floor(lowest / step) * step
    with np.errstate(over="ignore"):  # beyond float32 they are infinite, and show nothing
        return np.array([start + i * step for i in range(_PROBES)], dtype=np.float32)


def _varied(base: Tensors, place: int, values: NDArray[np.float32]) -> Tensors:
    numeric = np.repeat(base.numeric, len(values), axis=0)
    numeric[:, place] = values
    return Tensors(np.repeat(base.categorical, len(values), axis=0), numeric)


def _lines(values: NDArray[np.float32], matrix: NDArray[np.float64]) -> Iterator[tuple[int, float, float]]:
    """Columns that depend on the values linearly: (column, slope, offset)."""
    x = values.astype(np.float64)
    for column in range(matrix.shape[1]):
        y = matrix[:, column]
        with np.errstate(divide="ignore", invalid="ignore"):  # numbers so large that the probes are all one float32
            slope = (y[-1] - y[0]) / (x[-1] - x[0])
        if np.isfinite(slope) and slope != 0 and np.allclose(y, y[0] + slope * (x - x[0]), rtol=1e-6, atol=0):
            yield column, slope, float(y[0] - slope * x[0])
