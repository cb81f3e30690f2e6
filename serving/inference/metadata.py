"""What the protocol says about the server and its model: documents that don't change while a bundle is served."""

from collections.abc import Iterable
from typing import Any

import msgspec

from bundle.manifest import Feature, Manifest
from serving.inference.datatypes import BOOL, BYTES, FP32, INT64
from serving.inference.outputs import Output

SERVER = "train-to-serve"
SERVER_VERSION = "1.0.0"
EXTENSIONS = ("binary_tensor_data",)
PLATFORMS = {"onnx": "onnxruntime_onnx", "pickle": "sklearn_pickle"}


def server_metadata() -> bytes:
    """The answer to `GET /v2`."""
    return msgspec.json.encode({"name": SERVER, "version": SERVER_VERSION, "extensions": EXTENSIONS})


def model_metadata(manifest: Manifest, backend: str, outputs: Iterable[Output]) -> bytes:
    """The answer to `GET /v2/models/NAME`: the features as inputs, each with the datatype that fits it best."""
    described = [
        {
            "name": output.name,
            "datatype": output.datatype,
            "shape": [-1] if output.width is None else [-1, output.width],
        }
        for output in outputs
    ]
    content: dict[str, Any] = {
        "name": manifest.name,
        "versions": [manifest.version],
        "platform": PLATFORMS.get(backend, backend),
        "inputs": [{"name": f.name, "datatype": _datatype(f), "shape": [-1, 1]} for f in manifest.features],
        "outputs": described,
    }
    return msgspec.json.encode(content)


def _datatype(feature: Feature) -> str:
    if feature.kind == "numeric":
        return INT64 if feature.integer and not feature.nullable else FP32  # in which NaN means missing
    return BOOL if feature.kind == "boolean" else BYTES
