"""The JSON object of an inference request, and the binary data behind it."""

from typing import Annotated, Any, NamedTuple

import msgspec

from serving.errors import MalformedBody
from serving.inference.errors import InvalidInput, InvalidRequest, quoted
from serving.request_schema import REFUSALS

Parameters = dict[str, Any]
LENGTH_HEADER = b"inference-header-content-length"
"""The header with the length of the JSON object, where binary data follows it."""

UNSUPPORTED = ("classification", "shared_memory_region")
"""Parameters of tensors that would change what the data is, from extensions that are not supported."""

NO_DATA = msgspec.Raw(b"null")


class RequestInput(msgspec.Struct):
    """An input tensor's description, and its data unless it is in binary form."""

    name: str
    shape: list[Annotated[int, msgspec.Meta(ge=0)]]
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw = NO_DATA


class RequestOutput(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(msgspec.Struct):
    """The request's JSON object. Other members of it are ignored, as the protocol says."""

    inputs: list[RequestInput]
    id: str | None = None
    parameters: Parameters | None = None
    outputs: list[RequestOutput] | None = None


class Input(NamedTuple):
    """An input tensor: `data` is JSON, or binary data."""

    name: str
    shape: list[int]
    datatype: str
    data: memoryview
    is_binary: bool


_decode = msgspec.json.Decoder(InferRequest).decode


def read_request(body: bytes, length: bytes | None) -> tuple[InferRequest, list[Input]]:
    """The request and its inputs; `length` is the value of the header that tells how long the JSON object is.

    Raises:
        MalformedBody: not JSON.
        InvalidRequest: the object is no inference request, or its lengths don't fit the body.
    """
    view = memoryview(body)
    end = len(body) if length is None else _json_length(length, len(body))
    try:
        request = _decode(view[:end])
    except msgspec.ValidationError as error:
        raise InvalidRequest(f"not an inference request: {error}") from None
    except REFUSALS as error:
        raise MalformedBody(str(error).removeprefix("JSON is malformed: ")) from None
    return request, _take_data(request.inputs, view[end:])


def _json_length(value: bytes, most: int) -> int:
    length = int(value) if value.isdigit() and len(value) < len(str(1 << 62)) else most + 1
    if length > most:
        text = value.decode("latin-1")
        raise InvalidRequest(f"Inference-Header-Content-Length: {text}: the body has {most} bytes")
    return length


def _take_data(described: list[RequestInput], binary: memoryview) -> list[Input]:
    """The inputs with their data: what is binary stands behind the JSON object, in their order."""
    inputs = []
    for tensor in described:
        refuse_unsupported(f"input {quoted(tensor.name)}", tensor.parameters)
        is_binary = "binary_data_size" in (tensor.parameters or {})
        if is_binary != (tensor.data == NO_DATA):
            raise InvalidInput(tensor.name, "either data or the parameter binary_data_size is needed")
        data = memoryview(tensor.data)
        if is_binary:
            size = (tensor.parameters or {})["binary_data_size"]
            if type(size) is not int or not 0 <= size <= len(binary):
                left = f"a number of bytes is needed, of which the body has {len(binary)} left"
                raise InvalidInput(tensor.name, f"binary_data_size: {left}")
            data, binary = binary[:size], binary[size:]
        inputs.append(Input(tensor.name, tensor.shape, tensor.datatype, data, is_binary))
    if binary:
        raise InvalidRequest(f"{len(binary)} bytes of binary data belong to no input")
    return inputs


def refuse_unsupported(place: str, parameters: Parameters | None) -> None:
    """Raises InvalidRequest: a parameter asks for an extension that would change what the tensor's data is."""
    for name in UNSUPPORTED:
        if name in (parameters or {}):
            raise InvalidRequest(f"{place}: the parameter {name} is not supported")
