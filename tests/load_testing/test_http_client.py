"""The HTTP client against a server of scripted answers on a real socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from load_testing.http_client import ClientConnection, HttpError, Response
from load_testing.scenarios import Address, render

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG = b""


class Server:
    """Reads a request, sends the next answer in the given pieces; closes the connection after a piece of None."""

    def __init__(self, answers: list[list[bytes | None]]) -> None:
        self.answers = iter(answers)
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(5)
        self.address = Address(*self.listener.getsockname())
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self) -> None:
        while not self.done.is_set():
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            with connection:
                self.converse(connection)

    def converse(self, connection: socket.socket) -> None:
        connection.settimeout(5)
        while connection.recv(65536):
            for piece in next(self.answers):
                if piece is None:
                    return
                if piece == HANG:
                    self.done.wait(5)
                connection.sendall(piece)


@contextmanager
def serving(*answers: list[bytes | None], timeout: float = 5) -> Iterator[tuple[Server, ClientConnection, bytes]]:
    server = Server(list(answers))
    connection = ClientConnection(server.address, timeout)
    try:
        yield server, connection, render(server.address, "/predict", b"{}")
    finally:
        server.done.set()
        connection.close()
        server.listener.shutdown(socket.SHUT_RDWR)
        server.listener.close()
        server.thread.join()


def test_connection_is_kept_open():
    with serving([OK], [OK], [OK]) as (server, connection, message):
        assert [connection.exchange(message) for _ in range(3)] == [Response(200, b"ok")] * 3
        assert server.connections == 1


def test_answer_in_pieces_is_put_together():
    with serving([OK[:5], OK[5:30], OK[30:-1], OK[-1:]], [OK]) as (_, connection, message):
        assert connection.exchange(message) == Response(200, b"ok")
        assert connection.exchange(message) == Response(200, b"ok")


def test_long_answer():
    body = b"x" * 300_000
    with serving([b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n", body]) as (_, connection, message):
        assert connection.exchange(message) == Response(200, body)


def test_connection_that_the_server_closes_is_opened_again():
    closing = OK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with serving([closing, None], [OK]) as (server, connection, message):
        assert connection.exchange(message).body == b"ok"
        assert connection.exchange(message).body == b"ok"
        assert server.connections == 2


def test_error_status_is_an_answer():
    answer = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
    with serving([answer], [OK]) as (server, connection, message):
        assert connection.exchange(message) == Response(503, b"")
        assert connection.exchange(message).status == 200
        assert server.connections == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ([OK[:-1], None], "connection closed in the middle of the answer"),
        ([OK[:20], None], "connection closed in the middle of the answer"),
        ([None], "connection closed, no answer"),
        ([OK + b"!"], "longer than its Content-Length"),
        ([b"SSH-2.0-server\r\n\r\n"], "not an HTTP/1.1 answer"),
        ([b"HTTP/1.1 200 OK\r\n\r\n"], "with a Content-Length"),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n"], "no number"),
        ([b"x" * 20_000], "head doesn't end"),
    ],
)
def test_unusable_answer_is_an_error_and_the_next_exchange_starts_afresh(answer, reason):
    with serving([*answer], [OK]) as (server, connection, message):
        with pytest.raises(HttpError, match=reason):
            connection.exchange(message)
        assert connection.exchange(message).body == b"ok"
        assert server.connections == 2


def test_slow_server_times_out():
    with (
        serving([HANG], timeout=0.05) as (_, connection, message),
        pytest.raises(HttpError, match=r"no answer within 0.05 s"),
    ):
        connection.exchange(message)


def test_refused_connection_is_an_error():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = Address(*listener.getsockname())
    with pytest.raises(HttpError, match="connection failed: Connection refused"):
        ClientConnection(address, 1).exchange(b"")


def test_request_is_sent_once_even_if_it_is_lost():
    with serving([OK], [None], [OK]) as (server, connection, message):
        connection.exchange(message)
        with pytest.raises(HttpError, match="no answer"):
            connection.exchange(message)
        assert server.connections == 1
