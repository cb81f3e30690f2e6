"""What the protocol's requests can get wrong, and the form in which it reports errors."""

from collections.abc import Sequence

import msgspec

from serving.errors import Problem, RequestError


class InvalidRequest(RequestError):
    """The body is not an inference request for this model."""

    status = 400

    def __init__(self, message: str) -> None:
        super().__init__([Problem((), message, "invalid_request")])


class InvalidInput(InvalidRequest):
    """An input tensor, or one of its values, is not what the model takes.

    `position` is the value's index in the tensor: its row, and its column where the tensor has several.
    """

    def __init__(self, name: str, message: str, position: Sequence[int] = ()) -> None:
        place = "".join(f", {axis} {index}" for axis, index in zip(("row", "column"), position, strict=False))
        super().__init__(f"input {quoted(name)}{place}: {message}")


class NotFound(InvalidRequest):
    """There is no model, version or path of this name."""

    status = 404


class MethodNotAllowed(InvalidRequest):
    """The path does not accept this method."""

    status = 405

    def __init__(self, allowed: str) -> None:
        super().__init__("method not allowed")
        self.headers = ((b"allow", allowed.encode()),)


def quoted(name: str) -> str:
    """The name as a JSON string, which shows where it begins and ends whatever is in it."""
    return msgspec.json.encode(name).decode()


def error_object(error: RequestError) -> bytes:
    """The response body in the protocol's form: `{"error": "..."}`."""
    return msgspec.json.encode({"error": error.problems[0].msg})
