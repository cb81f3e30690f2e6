"""What a request can get wrong, and the status and body that each mistake is answered with."""

from collections.abc import Sequence

import msgspec

Location = tuple[str | int, ...]


class Problem(msgspec.Struct, frozen=True):
    """One entry of `detail`: where (`loc`, as in `["body", 3, "age"]`), what (`msg`), and a stable `type`."""

    loc: Location
    msg: str
    type: str


class RequestError(Exception):
    """A request that is answered with `status` and a `detail` list."""

    status = 500
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__(problems[0].msg)
        self.problems = problems

    def body(self) -> bytes:
        """The response body: `{"detail": [...]}`."""
        return msgspec.json.encode({"detail": self.problems})


class BadRequestHead(RequestError):
    """The data is not HTTP, or uses something that the service does not support. The connection is closed."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__([Problem((), f"not an HTTP request: {reason}", "http_invalid")])


class Unauthorized(RequestError):
    """A key is required, and no valid one was given."""

    status = 401
    headers = ((b"www-authenticate", b"Bearer"),)

    def __init__(self) -> None:
        super().__init__([Problem(("header", "authorization"), "a valid API key is required", "unauthorized")])


class RequestTimeout(RequestError):
    """The client took too long to send its request. The connection is closed."""

    status = 408

    def __init__(self, seconds: float) -> None:
        super().__init__([Problem((), f"the request took more than {seconds:g} seconds to arrive", "request_timeout")])


class HeadTooLarge(RequestError):
    """The request line and header fields are too long, or too many. The connection is closed."""

    status = 431

    def __init__(self, unit: str, limit: int) -> None:
        super().__init__([Problem(("header",), f"more than {limit} {unit}", f"too_many_header_{unit}")])


class EncodedBody(RequestError):
    """The body is compressed."""

    status = 415

    def __init__(self, encoding: str) -> None:
        message = f"content encoding '{encoding}' is not supported: send the body as it is"
        super().__init__([Problem(("header", "content-encoding"), message, "content_encoding_unsupported")])


class MalformedBody(RequestError):
    """The body is not JSON."""

    status = 400

    def __init__(self, reason: str) -> None:
        super().__init__([Problem(("body",), f"malformed JSON: {reason}", "json_invalid")])


class InvalidRows(RequestError):
    """The body is JSON, but not what the request schema asks for."""

    status = 422


class TooLarge(RequestError):
    """More bytes or rows than one request may have. The connection is closed: the rest of the body is not read."""

    status = 413
    headers = ((b"connection", b"close"),)

    def __init__(self, unit: str, limit: int) -> None:
        super().__init__([Problem(("body",), f"more than {limit} {unit}", f"too_many_{unit}")])


class Overloaded(RequestError):
    """This process has as many requests, connections or bytes of large bodies in hand as it accepts."""

    status = 503
    headers = ((b"retry-after", b"1"),)

    def __init__(self) -> None:
        super().__init__([Problem((), "over capacity, try again later", "overloaded")])


class InternalError(RequestError):
    """Anything unforeseen. The cause is in the log and nowhere else."""

    def __init__(self) -> None:
        super().__init__([Problem((), "internal error", "internal_error")])
