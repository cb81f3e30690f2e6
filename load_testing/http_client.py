"""A minimal HTTP/1.1 client on a gevent socket: pre-rendered requests, a kept-open connection, Content-Length answers.

A request of Locust's FastHttpUser takes about 105 µs of CPU, one of this client, with Locust's bookkeeping and the
check of the answer, about 38; a service that answers in 70 µs would otherwise wait for its load generator. What it
leaves out (redirects, cookies, TLS, chunked answers) the services don't use.
"""

from time import perf_counter
from typing import NamedTuple

from gevent import socket  # type: ignore[import-untyped]

from load_testing.scenarios import Address

_CHUNK = 1 << 16
_HEAD_LIMIT = 1 << 14
_FRESH_SECONDS = 2.0  # servers close idle connections, uvicorn after 5 s: one that idled longer is replaced before use


class HttpError(Exception):
    """No usable answer. The message says what happened to the connection or what was wrong with the answer."""


class Response(NamedTuple):
    """A complete answer."""

    status: int
    body: bytes


class ClientConnection:
    """One connection to a service, opened when first needed, and again after an error or a `Connection: close`."""

    def __init__(self, address: Address, timeout: float) -> None:
        """`timeout` is in seconds, for connecting, and for each wait for the peer."""
        self._address = address
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._last_use = 0.0

    def exchange(self, message: bytes) -> Response:
        """Send a rendered request, and wait for its answer.

        A failed exchange is never repeated: in a load test a lost answer is a result.

        Raises:
            HttpError: refused, reset, timed out, closed in the middle, or not an answer that this client reads.
        """
        try:
            sock = self._ready_socket()
            sock.sendall(message)
            response = self._receive(sock)
        except BaseException as error:  # also a user that Locust kills midway, which leaves half an answer behind
            self.close()
            if isinstance(error, TimeoutError):
                raise HttpError(f"no answer within {self._timeout:g} s") from error
            if isinstance(error, OSError):
                raise HttpError(f"connection failed: {error.strerror or error}") from error
            raise
        self._last_use = perf_counter()
        return response

    def close(self) -> None:
        """Close the connection; the next exchange opens a new one."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ready_socket(self) -> socket.socket:
        if self._socket is not None and perf_counter() - self._last_use > _FRESH_SECONDS:
            self.close()
        if self._socket is None:
            self._socket = socket.create_connection(self._address, self._timeout)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._socket

    def _receive(self, sock: socket.socket) -> Response:
        data: bytes = sock.recv(_CHUNK)
        while (end := data.find(b"\r\n\r\n")) < 0:
            if len(data) > _HEAD_LIMIT:
                raise HttpError("not an HTTP answer: its head doesn't end")
            data += _more(sock, data)
        head = data[:end].lower()
        status, length = _parse_head(head)
        total = end + 4 + length
        while len(data) < total:
            data += _more(sock, data)
        if len(data) > total:
            raise HttpError("the answer is longer than its Content-Length")
        if b"\r\nconnection: close" in head:
            self.close()
        return Response(status, data[end + 4 :])


def _more(sock: socket.socket, data: bytes) -> bytes:
    chunk: bytes = sock.recv(_CHUNK)
    if not chunk:
        raise HttpError("connection closed in the middle of the answer" if data else "connection closed, no answer")
    return chunk


def _parse_head(head: bytes) -> tuple[int, int]:
    """Status and Content-Length from a head in lower case."""
    _, found, rest = head.partition(b"\r\ncontent-length:")
    if not head.startswith(b"http/1.") or not found:
        raise HttpError("not an HTTP/1.1 answer with a Content-Length")
    try:
        return int(head[9:12]), int(rest.partition(b"\r\n")[0])
    except ValueError as error:
        raise HttpError("not an HTTP/1.1 answer: its status or Content-Length is no number") from error
