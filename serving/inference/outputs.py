"""From predictions to the output tensors of a response, in JSON or binary."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec
import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from bundle.graph_names import LABEL, PROBABILITIES, VALUE
from bundle.manifest import ClassLabel, Manifest
from serving.inference.datatypes import BOOL, BYTES, FP32, INT64
from serving.inference.errors import InvalidRequest, quoted
from serving.inference.requests import LENGTH_HEADER, NO_PARAMETERS, InferRequest, Parameters, refuse_unsupported

BINARY_TYPE = b"application/octet-stream"
JSON_TYPE = b"application/json"
Headers = Sequence[tuple[bytes, bytes]]
Columns = dict[str, NDArray[Any]]
"""A model's answers by the names of the graph's outputs."""


class Output(NamedTuple):
    """A tensor that the model answers with: [N], or [N, width].

    `values` gives its elements, row by row, and `binary` their bytes.
    """

    name: str
    datatype: str
    width: int | None
    values: Callable[[Columns], list[Any]]
    binary: Callable[[Columns], bytes]


Selected = Sequence[tuple[Output, bool]]
"""Outputs to answer with, and whether each is to be binary."""


class Answer(NamedTuple):
    """A response's body, and its header fields except the length."""

    content: bytes
    headers: Headers


class OutputSchema:
    """Encodes the answers of one model."""

    def __init__(self, manifest: Manifest) -> None:
        self._names = {"model_name": manifest.name, "model_version": manifest.version}
        if manifest.task == "regression":
            found = [_array_output(VALUE, FP32, "<f4", None)]
        else:
            found = [
                _array_output(LABEL, INT64, "<i8", None),
                _array_output(PROBABILITIES, FP32, "<f4", len(manifest.classes)),
                _class_output(f"predicted_{manifest.target}", manifest.classes),
            ]
        self.outputs = {output.name: output for output in found}

    def select(self, request: InferRequest) -> Selected:
        """The outputs that are asked for, all if none is named, and whether each is to be binary.

        Raises:
            InvalidRequest: the model has no such output, or it is asked for twice.
        """
        all_binary = _flag(request.parameters, "binary_data_output", default=False)
        if not request.outputs:
            return [(output, all_binary) for output in self.outputs.values()]
        selected: list[tuple[Output, bool]] = []
        for asked in request.outputs:
            refuse_unsupported(f"output {quoted(asked.name)}", asked.parameters)
            if asked.name not in self.outputs:
                known = ", ".join(map(quoted, self.outputs))
                raise InvalidRequest(f"unknown output {quoted(asked.name)}: the model's outputs are {known}")
            if asked.name in [output.name for output, _ in selected]:
                raise InvalidRequest(f"output {quoted(asked.name)}: asked for twice")
            selected.append((self.outputs[asked.name], _flag(asked.parameters, "binary_data", default=all_binary)))
        return selected

    def encode(self, columns: Columns, rows: int, selected: Selected, request: InferRequest) -> Answer:
        """The response to a request."""
        described: list[dict[str, Any]] = []
        binary: list[bytes] = []
        for output, is_binary in selected:
            shape = [rows] if output.width is None else [rows, output.width]
            tensor: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": shape}
            if is_binary:
                binary.append(output.binary(columns))
                tensor["parameters"] = {"binary_data_size": len(binary[-1])}
            else:
                tensor["data"] = output.values(columns)
            described.append(tensor)
        response: dict[str, Any] = dict(self._names)
        if request.id is not None:
            response["id"] = request.id
        text = msgspec.json.encode(response | {"outputs": described})
        if not binary:
            return Answer(text, ((b"content-type", JSON_TYPE),))
        headers = ((b"content-type", BINARY_TYPE), (LENGTH_HEADER, b"%d" % len(text)))
        return Answer(b"".join((text, *binary)), headers)


def _flag(parameters: Parameters | None, name: str, *, default: bool) -> bool:
    value = getattr(parameters or NO_PARAMETERS, name)
    if value is UNSET:
        return default
    if not isinstance(value, bool):
        raise InvalidRequest(f"the parameter {name} must be true or false")
    return value


def _array_output(name: str, datatype: str, kind: str, width: int | None) -> Output:
    """An output of the graph, unchanged."""
    return Output(
        name,
        datatype,
        width,
        lambda columns: columns[name].reshape(-1).tolist(),
        lambda columns: columns[name].astype(kind, copy=False).tobytes(),
    )


def _class_output(name: str, classes: Sequence[ClassLabel]) -> Output:
    """The labels as the data has them, by their class index."""
    kind = type(classes[0])
    datatype = {bool: BOOL, int: INT64, str: BYTES}[kind]
    if kind is str:
        encoded = [str(label).encode() for label in classes]
        elements = [len(text).to_bytes(4, "little") + text for text in encoded]
    else:
        elements = [np.array(label, dtype="?" if kind is bool else "<i8").tobytes() for label in classes]
    return Output(
        name,
        datatype,
        None,
        lambda columns: [classes[label] for label in columns[LABEL].tolist()],
        lambda columns: b"".join([elements[label] for label in columns[LABEL].tolist()]),
    )
