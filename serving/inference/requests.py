"""The JSON object of an inference request, and the binary data behind it."""

from typing import Annotated, Any, NamedTuple

import msgspec
from msgspec import UNSET, UnsetType

from serving.errors import MalformedBody
from serving.inference.errors import InvalidInput, InvalidRequest, quoted
from serving.request_schema import REFUSALS

LENGTH_HEADER = b"inference-header-content-length"
"""The header with the length of the JSON object, where binary data follows it."""

UNSUPPORTED = ("classification", "shared_memory_region")
"""Parameters of tensors that would change what the data is, from extensions that are not supported."""

NO_DATA = msgspec.Raw(b"null")
Parameter = bool | int | float | str | None | UnsetType


class Parameters(msgspec.Struct):
    """The parameters of requests and tensors that mean something here. Others are skipped, and take no memory."""

    binary_data: Parameter = UNSET
    binary_data_output: Parameter = UNSET
    binary_data_size: Parameter = UNSET
    classification: Parameter = UNSET
    null_string: Parameter = UNSET
    shared_memory_region: Parameter = UNSET


NO_PARAMETERS = Parameters()


def _few(element: Any, most: int) -> Any:  # noqa: ANN401 - types
    """The type of an array of at most `most` elements, which the decoder enforces while it reads."""
    fields = [(f"at_{index}", element | UnsetType, UNSET) for index in range(most)]
    return msgspec.defstruct(f"AtMost{most}", fields, array_like=True, forbid_unknown_fields=True)


def _present(few: Any) -> list[Any]:  # noqa: ANN401 - of a type made at run time
    elements = () if few is None else msgspec.structs.astuple(few)
    return [element for element in elements if element is not UNSET]


Shape = _few(Annotated[int, msgspec.Meta(ge=0)], 8)


class RequestInput(msgspec.Struct):
    """An input tensor's description, and its data unless it is in binary form."""

    name: str
    shape: Shape  # type: ignore[valid-type]  # made at run time
    datatype: str
    parameters: Parameters | None = None
    data: msgspec.Raw = NO_DATA


class RequestOutput(msgspec.Struct):
    """An output that the client asks for."""

    name: str
    parameters: Parameters | None = None


class InferRequest(msgspec.Struct):
    """The request's JSON object. Its other members are ignored, as the protocol says."""

    inputs: list[RequestInput]
    id: str | None
    parameters: Parameters | None
    outputs: list[RequestOutput]


class Input(NamedTuple):
    """An input tensor: `data` is JSON, or binary data."""

    name: str
    shape: list[int]
    datatype: str
    data: memoryview
    is_binary: bool


class RequestReader:
    """Reads the requests for a model with this many input and output tensors.

    Twice as many are read, so that an error can name a duplicate, but reading stops at the first tensor beyond that: a
    hundred thousand of them would take memory and time that no request for the model can need.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        members: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            ("inputs", _few(RequestInput, 2 * inputs)),
            ("id", str | None, None),
            ("parameters", Parameters | None, None),
            ("outputs", _few(RequestOutput, 2 * outputs) | None, None),
        ]
        self._decode = msgspec.json.Decoder(msgspec.defstruct("BoundedRequest", members)).decode

    def read(self, body: bytes, length: bytes | None) -> tuple[InferRequest, list[Input]]:
        """The request and its inputs; `length` is the value of the header that tells how long the JSON object is.

        Raises:
            MalformedBody: not JSON.
            InvalidRequest: the object is not an inference request, or its lengths don't fit the body.
        """
        view = memoryview(body)
        end = len(body) if length is None else _json_length(length, len(body))
        try:
            found: Any = self._decode(view[:end])
        except msgspec.ValidationError as error:
            raise InvalidRequest(f"not an inference request: {error}") from None
        except REFUSALS as error:
            raise MalformedBody(str(error).removeprefix("JSON is malformed: ")) from None
        request = InferRequest(_present(found.inputs), found.id, found.parameters, _present(found.outputs))
        return request, _take_data(request.inputs, view[end:])


def _json_length(value: bytes, most: int) -> int:
    length = int(value) if value.isdigit() and len(value) < len(str(1 << 62)) else most + 1
    if length > most:
        text = value.decode("latin-1")
        raise InvalidRequest(f"Inference-Header-Content-Length: {text}: the body has {most} bytes")
    return length


def _take_data(described: list[RequestInput], binary: memoryview) -> list[Input]:
    """The inputs with their data: binary data follows the JSON object, in their order."""
    inputs = []
    for tensor in described:
        refuse_unsupported(f"input {quoted(tensor.name)}", tensor.parameters)
        size = (tensor.parameters or NO_PARAMETERS).binary_data_size
        is_binary = size is not UNSET
        if is_binary != (tensor.data == NO_DATA):
            raise InvalidInput(tensor.name, "either data or the parameter binary_data_size is needed")
        data = memoryview(tensor.data)
        if is_binary:
            if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= len(binary):
                left = f"a number of bytes is needed, of which the body has {len(binary)} left"
                raise InvalidInput(tensor.name, f"binary_data_size: {left}")
            data, binary = binary[:size], binary[size:]
        inputs.append(Input(tensor.name, _present(tensor.shape), tensor.datatype, data, is_binary))
    if binary:
        raise InvalidRequest(f"{len(binary)} bytes of binary data belong to no input")
    return inputs


def refuse_unsupported(place: str, parameters: Parameters | None) -> None:
    """Raises InvalidRequest: a parameter asks for an extension that would change what the tensor's data is."""
    for name in UNSUPPORTED:
        if getattr(parameters or NO_PARAMETERS, name) is not UNSET:
            raise InvalidRequest(f"{place}: the parameter {name} is not supported")
