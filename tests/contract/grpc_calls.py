"""gRPC calls to the Rust service, with the messages of Triton's client, and services that take them."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from tritonclient.grpc import service_pb2 as messages

from load_testing.services import reserved_port
from tests.contract.inference import NULL, in_binary, texts_of
from tests.contract.served import Served
from tests.hand_made_bundle import HandMade, Row
from tests.services import running

SERVICE = "/inference.GRPCInferenceService/"
SECONDS = 120
FIELDS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip
RAW = {"BOOL": "?", "INT64": "<i8", "FP32": "<f4"}


@dataclass
class GrpcServed(Served):
    port: int
    channel: grpc.Channel

    def call(self, name: str, request: Any, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        """The answer to a message, or to its bytes.

        Raises:
            grpc.RpcError: with the status.
        """
        kind = getattr(messages, f"{name}Response")
        serialize = None if isinstance(request, bytes) else type(request).SerializeToString
        call = self.channel.unary_unary(SERVICE + name, serialize, kind.FromString)
        return call(request, timeout=SECONDS, metadata=metadata)

    def infer(self, request: Any) -> dict[str, Any]:
        return outputs(self.call("ModelInfer", request))

    def refusal(self, request: Any, name: str = "ModelInfer", **options: Any) -> tuple[str, str]:
        """The name of the status' code, and its text."""
        return refusal(lambda: self.call(name, request, **options))


def refusal(call: Any) -> tuple[str, str]:
    try:
        answer = call()
    except grpc.RpcError as error:
        return error.code().name, error.details()  # type: ignore[attr-defined] # a call's errors are calls too
    raise AssertionError(f"it was answered: {answer}")


@contextlib.contextmanager
def grpc_running(bundle: HandMade, folder: Path, **settings: object) -> Iterator[GrpcServed]:
    bundle.write(folder / "models")
    with (
        reserved_port() as port,
        running("axum", folder / "models", folder, grpc_port=port, **settings) as service,
        grpc.insecure_channel(f"127.0.0.1:{port}", [("grpc.max_receive_message_length", -1)]) as channel,
    ):
        yield GrpcServed(bundle, folder / "models", service, port, channel)


def request(bundle: HandMade, tensors: Sequence[Row], *, raw: bool = False, **members: Any) -> Any:
    """A request with the tensors' data in their contents, where a boolean that is missing makes FP32 of all, or raw."""
    message = messages.ModelInferRequest(model_name=bundle.name, **members)
    described, _ = in_binary(tensors)
    for one, other in zip(tensors, described, strict=True):
        tensor = message.inputs.add(name=one["name"], datatype=other["datatype"], shape=one["shape"])
        values = np.array(one["data"], dtype=object).reshape(-1).tolist()
        if raw:
            message.raw_input_contents.append(in_binary([one])[1])
        else:
            getattr(tensor.contents, FIELDS[tensor.datatype]).extend(as_typed(tensor.datatype, values))
    return message


def as_typed(datatype: str, values: Sequence[Any]) -> list[Any]:
    if datatype == "BYTES":
        return [(NULL if value is None else value).encode() for value in values]
    return [np.nan if value is None else value for value in values]


def outputs(response: Any) -> dict[str, Any]:
    """The answer's tensors by name, as lists in the form of their shape."""
    found, raw = {}, list(response.raw_output_contents)
    for one in response.outputs:
        if raw:
            assert not one.HasField("contents")
            values = texts_of(raw.pop(0)) if one.datatype == "BYTES" else np.frombuffer(raw.pop(0), RAW[one.datatype])
        else:
            values = list(getattr(one.contents, FIELDS[one.datatype]))
            values = [value.decode() for value in values] if one.datatype == "BYTES" else values
        found[one.name] = np.array(values, dtype=object).reshape(one.shape).tolist()
    assert not raw
    return found
