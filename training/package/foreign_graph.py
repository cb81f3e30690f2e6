"""Reads a graph from elsewhere: its inputs, its outputs, and what it says about its classes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import AttributeProto, TensorProto, inliner, version_converter
from onnx.helper import get_attribute_value, tensor_dtype_to_np_dtype

from training.errors import ConversionError
from training.export.rewrite.graph import OPSET

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16)
INTEGERS = (TensorProto.INT64, TensorProto.INT32)
_LABELS = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


@dataclass(frozen=True)
class ForeignInput:
    """An input: its name, TensorProto data type, columns (None: any number), and whether it is a vector [N]."""

    name: str
    kind: int
    width: int | None
    vector: bool


def load_graph(path: Path) -> onnx.ModelProto:
    """The model with its weights inside, without functions, with an opset not below ours.

    Raises:
        ConversionError: it can't be read, or has a part that can't be rewritten.
    """
    try:
        model = inliner.inline_local_functions(onnx.load(path))
        opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), OPSET)
        if opset < OPSET:
            model = version_converter.convert_version(model, OPSET)
    except Exception as error:
        raise ConversionError(f"ONNX={path}: {' '.join(str(error).split())[:300]}") from error
    for node in model.graph.node:
        if any(entry.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) for entry in node.attribute):
            raise ConversionError(f"ONNX={path}: {node.op_type} has a graph inside, which can't be rewritten here")
    return model


def inputs_of(model: onnx.ModelProto) -> list[ForeignInput]:
    """The inputs that are not constants.

    Raises:
        ConversionError: one is neither a matrix nor a vector, or of a type that no feature has.
    """
    constants = {tensor.name for tensor in model.graph.initializer}
    found = []
    for value in model.graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        shape = [d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim]
        if tensor.elem_type not in (*FLOATS, *INTEGERS, TensorProto.STRING, TensorProto.BOOL) or len(shape) not in (
            1,
            2,
        ):
            kind = TensorProto.DataType.Name(tensor.elem_type) if tensor.elem_type else "no tensor"
            raise ConversionError(
                f"input {value.name!r} is {kind} of {len(shape)} dimensions; rows [N, columns] are needed"
            )
        found.append(ForeignInput(value.name, tensor.elem_type, shape[1] if len(shape) == 2 else 1, len(shape) == 1))
    return found


def stored_classes(model: onnx.ModelProto) -> list[int] | list[str]:
    """Class labels that a node of the graph names; empty if none does."""
    for node in reversed(model.graph.node):
        for entry in node.attribute:
            if entry.name in _LABELS and (labels := list(get_attribute_value(entry))):
                return [label.decode() if isinstance(label, bytes) else int(label) for label in labels]  # type: ignore[return-value]
    return []


def result_of(model: onnx.ModelProto) -> tuple[str, bool]:
    """The tensor that has probabilities or values, and whether the graph says that it classifies.

    Raises:
        ConversionError: there is no such output, or more than one.
    """
    makers = {name: node for node in model.graph.node for name in node.output}
    floats, labels = [], False
    for value in model.graph.output:
        maker = makers.get(value.name)
        if maker is not None and maker.op_type == "ZipMap":
            return maker.input[0], True
        kind = value.type.tensor_type.elem_type
        if kind in FLOATS:
            floats.append(value.name)
        elif kind in (*INTEGERS, TensorProto.STRING):
            labels = True
    if not floats:
        raise ConversionError("the graph gives no probabilities and no value, only labels")
    if len(floats) > 1:
        raise ConversionError(f"the graph has several outputs ({', '.join(floats)}); remove all but one of them")
    return floats[0], labels


class Original:
    """The graph as it was given, in ONNX Runtime, with `tensor` as its output."""

    def __init__(self, model: onnx.ModelProto, tensor: str) -> None:
        copy = onnx.ModelProto.FromString(model.SerializeToString())
        del copy.graph.output[:]
        copy.graph.output.append(onnx.ValueInfoProto(name=tensor))
        try:
            self._session = onnxruntime.InferenceSession(copy.SerializeToString(), providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ConversionError(f"ONNX Runtime refuses the graph: {' '.join(str(error).split())[:300]}") from error

    def __call__(self, inputs: list[ForeignInput], matrices: list[NDArray[Any]]) -> NDArray[np.float64]:
        """The output [rows, K] for inputs given as matrices."""
        feeds = {}
        for entry, matrix in zip(inputs, matrices, strict=True):
            kind = object if entry.kind == TensorProto.STRING else tensor_dtype_to_np_dtype(entry.kind)
            with np.errstate(invalid="ignore"):
                feeds[entry.name] = matrix.astype(kind).ravel() if entry.vector else matrix.astype(kind)
        try:
            result = np.asarray(self._session.run(None, feeds)[0], dtype=np.float64)
            return result.reshape(len(matrices[0]), -1)
        except Exception as error:
            raise ConversionError(
                f"the graph refuses {len(matrices[0])} rows at once; is its batch dimension dynamic? "
                f"{' '.join(str(error).split())[:200]}"
            ) from error
