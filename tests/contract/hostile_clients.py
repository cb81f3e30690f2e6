"""Clients that misuse a connection, and how each of them must be got rid of.

Each one returns what it got: the statuses of the answers on its connection, in order, and then the end of the
connection, which all of them wait for.
"""

import re
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from load_testing.payloads import batch_body
from load_testing.scenarios import Address, render

PIPELINED = 50
UNREAD_ROWS = 2000
_CHUNK = 64 << 10
_DRIP_SECONDS = 0.2
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


class NotClosed(Exception):
    """The service kept the connection longer than it may."""


@dataclass(frozen=True)
class HostileClient:
    """`misuse` takes the service's address, a good row's body, and how many seconds it may be kept at most.

    `outcomes` are the answers' statuses that are documented for it.
    """

    name: str
    misuse: Callable[[Address, bytes, float], tuple[int, ...]]
    outcomes: tuple[tuple[int, ...], ...]


@contextmanager
def connection(address: Address, seconds: float) -> Iterator[socket.socket]:
    """A connection whose every wait ends after `seconds`."""
    with socket.create_connection(address, timeout=seconds) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield sock


def silent(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Connects, and says nothing."""
    with connection(address, seconds) as sock:
        return _until_closed(sock)


def slow_head(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a request's head byte by byte."""
    return _drip(address, b"", render(address, "/predict", body), seconds)


def slow_body(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a request's head at once, and its body byte by byte."""
    message = render(address, "/predict", body)
    return _drip(address, message[: -len(body)], body, seconds)


def no_body(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a request's head, and no more."""
    with connection(address, seconds) as sock:
        sock.sendall(render(address, "/predict", body)[: -len(body)])
        return _until_closed(sock)


def endless_head(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends header after header."""
    return _flood(address, b"POST /predict HTTP/1.1\r\nhost: x\r\n", b"x: " + b"y" * 8000 + b"\r\n", seconds)


def endless_header(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends one header that doesn't end."""
    return _flood(address, b"POST /predict HTTP/1.1\r\nhost: x\r\nx: ", b"y" * 8000, seconds)


def endless_chunks(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends chunk after chunk of a body."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return _flood(address, head, b"10000\r\n" + b" " * 0x10000 + b"\r\n", seconds)


def broken_chunks(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a chunk whose size is no number."""
    message = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
    return _say(address, message, seconds)


def long_trailer(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a trailer behind a chunked body that is longer than any head may be, and does not end."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return _say(address, head + b"1\r\n \r\n0\r\nx: " + b"y" * 200_000, seconds)


def many_trailers(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends trailer after trailer behind a chunked body."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return _say(address, head + b"1\r\n \r\n0\r\n" + b"x: y\r\n" * 40_000, seconds)


def long_chunk_extension(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Sends a chunk's extension that is longer than any head may be, and does not end."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    return _say(address, head + b"1;x=" + b"y" * 200_000, seconds)


def two_lengths(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends two lengths for one body, so that a proxy and the service might disagree where it ends."""
    length = b"Content-Length: %d\r\n" % len(body)
    return _say(address, render(address, "/predict", body).replace(length, length + b"Content-Length: 1\r\n"), seconds)


def not_http(address: Address, _: bytes, seconds: float) -> tuple[int, ...]:
    """Speaks another protocol: the start of a TLS handshake."""
    return _say(address, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)), seconds)


def pipelined(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends many requests at once, without waiting for an answer; the last one asks for the end."""
    last = b"GET /health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    return _say(address, render(address, "/predict", body) * (PIPELINED - 1) + last, seconds)


def unread_answers(address: Address, body: bytes, seconds: float) -> tuple[int, ...]:
    """Sends batches without end, and reads no answer; gets nothing, and loses the connection."""
    message = render(address, "/predict/batch", batch_body([body] * UNREAD_ROWS))
    deadline = time.monotonic() + seconds
    with connection(address, seconds) as sock, suppress(ConnectionError, BrokenPipeError):
        while time.monotonic() < deadline:
            with suppress(TimeoutError):
                sock.sendall(message)
        raise NotClosed(f"kept for {seconds:g} s")
    return ()


def _drip(address: Address, at_once: bytes, message: bytes, seconds: float) -> tuple[int, ...]:
    deadline = time.monotonic() + seconds
    with connection(address, _DRIP_SECONDS) as sock:
        sock.sendall(at_once)
        received = b""
        for byte in message:
            try:
                sock.sendall(bytes([byte]))
                part = sock.recv(_CHUNK)
            except TimeoutError:
                if time.monotonic() > deadline:
                    raise NotClosed(f"kept for {seconds:g} s") from None
                continue
            except ConnectionError:
                return _statuses(received)
            if not part:
                return _statuses(received)
            received += part
        raise NotClosed("took all of it")


def _flood(address: Address, start: bytes, again: bytes, seconds: float) -> tuple[int, ...]:
    """Send `again` until the service closes; what it answered may get lost with what it didn't read."""
    deadline = time.monotonic() + seconds
    with connection(address, seconds) as sock:
        with suppress(ConnectionError):
            sock.sendall(start)
            while time.monotonic() < deadline:
                sock.sendall(again)
            raise NotClosed(f"kept for {seconds:g} s")
        return _until_closed(sock)


def _say(address: Address, message: bytes, seconds: float) -> tuple[int, ...]:
    with connection(address, seconds) as sock:
        with suppress(ConnectionError):
            sock.sendall(message)
        return _until_closed(sock)


def _until_closed(sock: socket.socket) -> tuple[int, ...]:
    received = b""
    try:
        while part := sock.recv(_CHUNK):
            received += part
    except ConnectionError:
        pass
    except TimeoutError:
        raise NotClosed(f"kept for {sock.gettimeout():g} s") from None
    return _statuses(received)


def _statuses(received: bytes) -> tuple[int, ...]:
    """The statuses of the answers; no body of this API has a status line in it."""
    return tuple(map(int, _STATUS_LINE.findall(received)))


HOSTILE_CLIENTS = (
    HostileClient("silent", silent, ((),)),
    HostileClient("slow head", slow_head, ((), (408,))),
    HostileClient("slow body", slow_body, ((408,),)),
    HostileClient("no body", no_body, ((408,),)),
    HostileClient("endless head", endless_head, ((431,), ())),
    HostileClient("endless header", endless_header, ((431,), ())),
    HostileClient("endless chunks", endless_chunks, ((413,), (), (408,))),
    HostileClient("broken chunks", broken_chunks, ((400,),)),
    HostileClient("long trailer", long_trailer, ((400,),)),
    HostileClient("many trailers", many_trailers, ((400,),)),
    HostileClient("long chunk extension", long_chunk_extension, ((400,),)),
    HostileClient("two lengths", two_lengths, ((400,),)),
    HostileClient("another protocol", not_http, ((400,),)),
    HostileClient("pipelined", pipelined, ((200,) * PIPELINED,)),
    HostileClient("unread answers", unread_answers, ((),)),
)
