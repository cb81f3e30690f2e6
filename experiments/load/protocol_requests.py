"""The same rows as requests of each protocol that the services speak, rendered once, and the answers' probabilities."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tritonclient.grpc import service_pb2 as messages

from bundle.manifest import CATEGORICAL_KINDS, Feature, Manifest
from load_testing.payloads import batch_body

NULL = "<missing>"
"""The text that means a missing value, if a request says so."""
LENGTH = "inference-header-content-length"

Read = Callable[[bytes, Any], list[Any]]


@dataclass(frozen=True)
class ProtocolRequest:
    """`path` is None for a gRPC request. `read` takes an answer and its headers, and returns the model's numbers."""

    protocol: str
    path: str | None
    body: bytes
    headers: dict[str, str]
    read: Read


def make_requests(manifest: Manifest, bodies: Sequence[bytes]) -> list[ProtocolRequest]:
    """A request with these rows for each protocol; the last one is gRPC's."""
    rows = [json.loads(body) for body in bodies]
    columns = {feature.name: [row[feature.name] for row in rows] for feature in manifest.features}
    path = f"/v2/models/{manifest.name}/infer"
    json_body = {"inputs": [_in_json(feature, columns[feature.name]) for feature in manifest.features]}
    parts = [_binary(feature, columns[feature.name]) for feature in manifest.features]
    described = [
        {"name": feature.name, "datatype": kind, "shape": [len(rows), 1], "parameters": {"binary_data_size": len(data)}}
        for feature, (kind, data) in zip(manifest.features, parts, strict=True)
    ]
    parameters = {"null_string": NULL, "binary_data_output": True}
    head = json.dumps({"inputs": described, "parameters": parameters}).encode()
    binary_body = head + b"".join(data for _, data in parts)
    own = ("/predict", bodies[0]) if len(rows) == 1 else ("/predict/batch", batch_body(bodies))
    return [
        ProtocolRequest("JSON /predict", *own, {}, _read_predictions),
        ProtocolRequest("V2 JSON", path, json.dumps(json_body).encode(), {}, _read_json),
        ProtocolRequest("V2 binary", path, binary_body, {LENGTH: str(len(head))}, _read_binary),
        ProtocolRequest("gRPC", None, _message(manifest, len(rows), parts), {}, _read_message),
    ]


def _in_json(feature: Feature, values: Sequence[Any]) -> dict[str, Any]:
    kind = _datatype(feature)
    if feature.kind == "boolean":
        values = [None if value is None else float(value) for value in values]
    return {"name": feature.name, "datatype": kind, "shape": [len(values), 1], "data": values}


def _datatype(feature: Feature) -> str:
    return "BYTES" if feature.kind in CATEGORICAL_KINDS or feature.kind == "date" else "FP64"


def _binary(feature: Feature, values: Sequence[Any]) -> tuple[str, bytes]:
    kind = _datatype(feature)
    if kind == "FP64":
        return kind, np.array([np.nan if value is None else value for value in values], dtype="<f8").tobytes()
    texts = [(NULL if value is None else value).encode() for value in values]
    return kind, b"".join(len(text).to_bytes(4, "little") + text for text in texts)


def _message(manifest: Manifest, rows: int, parts: Sequence[tuple[str, bytes]]) -> bytes:
    message = messages.ModelInferRequest(model_name=manifest.name)
    message.parameters["null_string"].string_param = NULL
    for feature, (kind, data) in zip(manifest.features, parts, strict=True):
        message.inputs.add(name=feature.name, datatype=kind, shape=[rows, 1])
        message.raw_input_contents.append(data)
    encoded: bytes = message.SerializeToString()
    return encoded


def _read_predictions(answer: bytes, _: Any) -> list[Any]:  # noqa: ANN401  each protocol has its own headers
    content = json.loads(answer)
    predictions = content.get("predictions", [content])
    return _flat([one.get("probabilities", one["prediction"]) for one in predictions])


def _read_json(answer: bytes, _: Any) -> list[Any]:  # noqa: ANN401
    return _flat(next(one["data"] for one in json.loads(answer)["outputs"] if one["datatype"] == "FP32"))


def _read_binary(answer: bytes, headers: Any) -> list[Any]:  # noqa: ANN401
    end = int(headers[LENGTH])
    for one in json.loads(answer[:end])["outputs"]:
        size = one["parameters"]["binary_data_size"]
        if one["datatype"] == "FP32":
            return _flat(np.frombuffer(answer[end : end + size], "<f4"))
        end += size
    return []


def _read_message(answer: bytes, _: Any) -> list[Any]:  # noqa: ANN401
    response = messages.ModelInferResponse.FromString(answer)
    index = [one.datatype for one in response.outputs].index("FP32")
    return _flat(np.frombuffer(response.raw_output_contents[index], "<f4"))


def _flat(numbers: Sequence[Any] | NDArray[np.float32]) -> list[Any]:
    flat: list[Any] = np.asarray(numbers, dtype=np.float32).reshape(-1).tolist()
    return flat
