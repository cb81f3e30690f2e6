"""Requests and answers of the Open Inference Protocol, in JSON and in binary, put together by hand."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import numpy as np
from tritonclient.utils import triton_to_np_dtype

from bundle.graph_names import CATEGORICAL, NUMERIC
from bundle.manifest import CATEGORICAL_KINDS, Feature
from serving.row_type import parse_day
from tests.hand_made_bundle import HandMade, Row

LENGTH = "inference-header-content-length"
JSON_TYPES = {"numeric": "FP64", "boolean": "BOOL"}
NULL = "\x00null"
"""What stands for null in binary BYTES, where a request says so."""


def tensor(name: str, datatype: str, shape: Sequence[int], data: object) -> Row:
    return {"name": name, "datatype": datatype, "shape": list(shape), "data": data}


def by_feature(bundle: HandMade, rows: Sequence[Row]) -> list[Row]:
    """A tensor [N, 1] for each feature, with the values that the rows have in JSON."""
    return [
        tensor(f.name, JSON_TYPES.get(f.kind, "BYTES"), (len(rows), 1), [row[f.name] for row in rows])
        for f in bundle.features
    ]


def packed(bundle: HandMade, rows: Sequence[Row]) -> list[Row]:
    """The graph's own inputs."""
    texts = [f for f in bundle.features if f.kind in CATEGORICAL_KINDS]
    numbers = [f for f in bundle.features if f.kind not in CATEGORICAL_KINDS]
    groups = [
        (CATEGORICAL, "BYTES", texts, [[row[f.name] for f in texts] for row in rows]),
        (NUMERIC, "FP32", numbers, [[number(f, row[f.name]) for f in numbers] for row in rows]),
    ]
    return [tensor(name, kind, (len(rows), len(part)), data) for name, kind, part, data in groups if part]


def number(feature: Feature, value: Any) -> float | None:
    if value is None:
        return None
    return float(parse_day(value)) if feature.kind == "date" else float(value)


def in_binary(tensors: Sequence[Row]) -> tuple[list[Row], bytes]:
    """The tensors without their data, and the data behind the JSON object; booleans with nulls become FP32."""
    described, parts = [], []
    for one in tensors:
        values = np.array(one["data"], dtype=object).reshape(-1).tolist()
        kind = "FP32" if one["datatype"] == "BOOL" and None in values else one["datatype"]
        if kind == "BYTES":
            texts = [(NULL if value is None else value).encode() for value in values]
            parts.append(b"".join(len(text).to_bytes(4, "little") + text for text in texts))
        else:
            numbers = np.array([np.nan if value is None else value for value in values])
            parts.append(numbers.astype({"BOOL": "?", "FP32": "<f4", "FP64": "<f8"}[kind]).tobytes())
        rest = {"name": one["name"], "datatype": kind, "shape": one["shape"]}
        described.append({**rest, "parameters": {"binary_data_size": len(parts[-1])}})
    return described, b"".join(parts)


def binary_request(tensors: Sequence[Row], **members: Any) -> dict[str, Any]:
    """Arguments of a client's `post`."""
    described, data = in_binary(tensors)
    head = json.dumps({"inputs": described, **members}).encode()
    return {"content": head + data, "headers": {LENGTH: str(len(head))}}


def outputs(answer: httpx.Response) -> dict[str, Any]:
    """The answer's tensors by name, as lists in the form of their shape, whichever way they were sent."""
    assert answer.status_code == 200, answer.text
    head = int(answer.headers.get(LENGTH, len(answer.content)))
    binary, found = answer.content[head:], {}
    for one in json.loads(answer.content[:head])["outputs"]:
        values = one.get("data")
        if values is None:
            size = one["parameters"]["binary_data_size"]
            values, binary = DECODERS[one["datatype"]](binary[:size]), binary[size:]
        found[one["name"]] = np.array(values, dtype=object).reshape(one["shape"]).tolist()
    assert not binary
    return found


def texts_of(data: bytes) -> list[str]:
    texts = []
    while data:
        end = 4 + int.from_bytes(data[:4], "little")
        texts.append(data[4:end].decode())
        data = data[end:]
    return texts


DECODERS: dict[str, Callable[[bytes], list[Any]]] = {
    "BYTES": texts_of,
    "BOOL": lambda data: np.frombuffer(data, "?").tolist(),
    "INT64": lambda data: np.frombuffer(data, "<i8").tolist(),
    "FP32": lambda data: np.frombuffer(data, "<f4").tolist(),
}


def as_outputs(bundle: HandMade, predictions: Sequence[Row]) -> dict[str, Any]:
    """The predictions of `/predict/batch` as the protocol's outputs."""
    if not bundle.classes:
        return {"value": [one["prediction"] for one in predictions]}
    label = f"predicted_{bundle.target}"
    names = {"label": "prediction", "probabilities": "probabilities", label: label}
    return {name: [one[key] for one in predictions] for name, key in names.items()}


def as_array(tensor: dict[str, Any]) -> tuple[str, Any]:
    """A tensor's datatype and values for Triton's clients. NumPy has no null: numbers have NaN, texts one that the
    request names.
    """
    values = np.array(tensor["data"], dtype=object).reshape(tensor["shape"])
    missing = np.equal(values, None)
    kind = "FP32" if tensor["datatype"] == "BOOL" and missing.any() else tensor["datatype"]
    values = np.where(missing, NULL if kind == "BYTES" else np.nan, values)
    return kind, values.astype(triton_to_np_dtype(kind))
