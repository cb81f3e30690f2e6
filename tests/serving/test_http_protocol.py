"""The connection's protocol by itself, on a transport that only takes notes."""

import asyncio
import tomllib
from functools import partial
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement
from uvicorn import Config
from uvicorn.server import ServerState

from serving.process.connections import (
    FRAMING_BYTES,
    OWN_BYTES,
    STATE_KEY,
    UNPARSED_BYTES,
    ConnectionLimits,
)
from serving.process.http_protocol import Protocol
from serving.process.turns import Turns
from tests.services import ROOT

GET = b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n"


class Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.reading = True
        self.events: list[str] = []
        self.closed = asyncio.Event()

    def write(self, data) -> None:
        self.written += data

    def pause_reading(self) -> None:
        assert self.reading
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.reading
        self.reading = True

    def write_eof(self) -> None:
        self.events.append("eof")

    def close(self) -> None:
        self.events.append("close")
        self.closed.set()

    def abort(self) -> None:
        self.events.append("abort")

    def is_closing(self) -> bool:
        return bool({"close", "abort"} & set(self.events))

    def get_write_buffer_size(self) -> int:
        return 0


class LoneConnection:
    """A protocol whose application notes the paths, and answers when it is let."""

    def __init__(self, limits: ConnectionLimits | None = None) -> None:
        self.paths: list[str] = []
        self.begins = lambda: None
        self.may_answer = asyncio.Event()
        self.limits = limits or ConnectionLimits(connections=10, requests=10, seconds=30)
        config = Config(self.app, interface="asgi3", http=Protocol, log_config=None, proxy_headers=False)
        config.load()
        self.transport = Transport()
        self.protocol = Protocol(config, ServerState(), {STATE_KEY: self.limits})
        self.protocol.connection_made(self.transport)

    async def app(self, scope, receive, send) -> None:
        self.paths.append(scope["path"])
        self.begins()
        await self.may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    async def settle(self) -> None:
        for _ in range(50):
            await asyncio.sleep(0)

    def statuses(self) -> list[int]:
        return [int(part[:3]) for part in self.transport.written.split(b"HTTP/1.1 ")[1:]]


def test_the_versions_are_those_that_it_was_proven_with():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    ranges = {r.name: r.specifier for r in map(Requirement, extras["http"])}
    for name in ("uvicorn", "httptools"):
        assert "<" in str(ranges[name]), f"{name} needs an upper bound in pyproject.toml"
        message = f"{name} {version(name)}: prove serving/process with it, then widen the range in pyproject.toml"
        assert version(name) in ranges[name], message


def test_one_request_is_in_hand_and_the_socket_is_not_read_meanwhile():
    async def run() -> None:
        connection = LoneConnection()
        connection.protocol.data_received(b"".join(GET % i for i in range(1000)))
        await connection.settle()
        assert connection.paths == ["/0"]
        assert not connection.transport.reading
        connection.may_answer.set()
        for _ in range(100):
            await connection.settle()
        assert connection.paths == [f"/{i}" for i in range(1000)]
        assert connection.statuses() == [200] * 1000
        assert connection.transport.reading
        assert connection.limits.unparsed == 0

    asyncio.run(run())


def test_the_connection_whose_last_turn_was_longest_ago_comes_first():
    async def run() -> None:
        limits = ConnectionLimits(connections=100, requests=100, seconds=30)
        connections = [LoneConnection(limits) for _ in range(8)]
        begun: list[int] = []
        for number, connection in enumerate(connections):
            connection.may_answer.set()
            connection.begins = partial(begun.append, number)
        for order in ((0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 7, 6)):
            for number in order:  # as the sockets are read in one turn of the loop
                connections[number].protocol.data_received(GET % 0)
            await connections[0].settle()
        # 6 comes last of all each time, as one does whose request was too late for the second turn. The first to be
        # read doesn't wait for others; 7 has had no turn since it connected.
        assert begun == [0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 1, 7, 6, 2, 3, 4, 5]

    asyncio.run(run())


def test_a_client_that_is_not_there_any_more_opens_no_turn():
    class Client:
        last_turn = turns = 0

        def __init__(self, *, there: bool) -> None:
            self.there = there

        def take_turn(self, _: int) -> bool:
            self.turns += 1
            return self.there

    turns = Turns()
    clients = [Client(there=there) for there in (False, True, True)]
    for client in clients:
        turns.wait(client)
    assert [client.turns for client in clients] == [1, 1, 0]
    turns.close()
    assert [client.turns for client in clients] == [1, 1, 1]


def test_a_connection_that_sends_without_waiting_gets_one_request_in_a_turn():
    async def run() -> None:
        connection = LoneConnection()
        connection.may_answer.set()
        connection.protocol.data_received(GET % 0 * 1000)
        for turn in range(1, 1000):
            await asyncio.sleep(0)
            assert len(connection.paths) <= turn

    asyncio.run(run())


def test_a_short_body_is_awaited_before_the_application():
    async def run() -> None:
        connection = LoneConnection()
        connection.may_answer.set()
        connection.protocol.data_received(b"POST /short HTTP/1.1\r\ncontent-length: 4\r\n\r\nab")
        await connection.settle()
        assert (connection.paths, len(connection.limits.in_hand)) == ([], 1)
        connection.protocol.data_received(b"cd" + GET % 1)
        await connection.settle()
        assert connection.paths == ["/short", "/1"]
        for head in (
            b"POST /long HTTP/1.1\r\ncontent-length: 100000\r\n\r\n",
            b"POST /expects HTTP/1.1\r\ncontent-length: 4\r\nexpect: 100-continue\r\n\r\n",
            b"POST /chunked HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        ):
            other = LoneConnection()
            other.protocol.data_received(head)
            await other.settle()
            assert other.paths == [head.split()[1].decode()]

    asyncio.run(run())


@pytest.mark.parametrize("ending", ["gone", "eof", "late"])
def test_a_request_that_is_never_begun_is_not_in_hand_for_ever(ending: str):
    async def run() -> None:
        connection = LoneConnection()
        connection.protocol.data_received(b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nab")
        assert len(connection.limits.in_hand) == 1
        if ending == "gone":
            connection.protocol.connection_lost(None)
        elif ending == "eof":
            assert not connection.protocol.eof_received()
        else:
            connection.protocol.end_if_overdue(asyncio.get_running_loop().time() + 31)
            assert connection.statuses() == [408]
        assert not connection.limits.in_hand

    asyncio.run(run())


def test_a_client_that_leaves_before_its_turn_costs_no_work():
    async def run() -> None:
        limits = ConnectionLimits(connections=10, requests=10, seconds=30)
        first, second = LoneConnection(limits), LoneConnection(limits)
        for connection in (first, second):
            connection.protocol.data_received(GET % 1)
        second.protocol.connection_lost(None)
        await second.settle()
        assert (first.paths, second.paths) == (["/1"], [])
        assert len(limits.in_hand) == 1

    asyncio.run(run())


def test_what_connections_hold_is_bounded_and_given_back():
    async def run() -> None:
        limits = ConnectionLimits(connections=10, requests=10, seconds=30)
        first, second = LoneConnection(limits), LoneConnection(limits)
        first.protocol.data_received(b"GET / HTTP/1.1\r\na: " + b"b" * 10_000)
        held = limits.unparsed
        assert 0 < held < 10_100 - OWN_BYTES
        limits.unparsed = UNPARSED_BYTES
        second.protocol.data_received(b"GET / HTTP/1.1\r\na: " + b"b" * 10_000)
        assert (second.statuses(), second.transport.events) == ([503], ["eof"])
        small = LoneConnection(limits)
        small.protocol.data_received(b"GET /a HTTP/1.1\r\n")
        small.protocol.data_received(b"\r\n")
        await small.settle()
        assert small.paths == ["/a"]
        limits.unparsed = held
        first.protocol.connection_lost(None)
        assert limits.unparsed == 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "behind", [b"GET http://x/ HTTP/1.1\r\n\r\n", b"\x00", b"GET / HTTP/1.1\r\n" + b"a:b\r\n" * 101]
)
def test_a_refusal_waits_for_its_turn(behind: bytes):
    async def run() -> None:
        connection = LoneConnection()
        connection.protocol.data_received(GET % 1 + behind)
        await connection.settle()
        assert connection.transport.written == b""
        connection.may_answer.set()
        await connection.settle()
        assert connection.statuses() in ([200, 400], [200, 431])
        assert connection.transport.events == ["eof"]
        connection.protocol.data_received(GET % 2)
        await connection.settle()
        assert connection.paths == ["/1"]

    asyncio.run(run())


def test_a_request_that_is_on_its_way_when_the_service_stops_is_answered():
    async def run() -> None:
        asking, idle = LoneConnection(), LoneConnection()
        asking.may_answer.set()
        for lone in (asking, idle):
            lone.protocol.shutdown()
        asking.protocol.data_received(b"GET /late HTTP/1.1\r\nhost: a\r\n\r\n")
        await asking.settle()
        assert asking.statuses() == [200]
        assert b"connection: close\r\n" in asking.transport.written
        await idle.transport.closed.wait()  # which takes two steps, and a slow loop longer than a test would sleep
        assert (asking.transport.events, idle.transport.events) == (["eof"], ["close"])

    asyncio.run(run())


def test_times_are_those_of_the_limits():
    async def run() -> None:
        now = asyncio.get_running_loop().time()
        silent, slow, busy = LoneConnection(), LoneConnection(), LoneConnection()
        slow.protocol.data_received(b"GET / HT")
        busy.protocol.data_received(GET % 1)
        for connection in (silent, slow, busy):
            connection.protocol.end_if_overdue(now + 29)
            assert connection.transport.events == []
            connection.protocol.end_if_overdue(now + 31)
        assert (silent.statuses(), silent.transport.events) == ([], ["eof"])
        assert (slow.statuses(), slow.transport.events) == ([408], ["eof"])
        assert busy.transport.events == []  # it waits for nothing that is the client's to do
        silent.protocol.end_if_overdue(now + 60)
        assert silent.transport.events == ["eof", "abort"]
        busy.may_answer.set()
        await busy.settle()
        busy.protocol.end_if_overdue(now + 31)
        assert (busy.statuses(), busy.transport.events) == ([200], ["eof"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("rest", "statuses"),
    [
        (b"0\r\nx: y\r\n\r\n", [200]),
        (b"1;x=y\r\n \r\n" * 4_000 + b"0\r\n\r\n", [200]),
        (b"1\r\n \r\n" * 40_000 + b"0\r\n\r\n", [400]),
        (b"3e8\r\n%s\r\n" % (b" " * 1000) * 400 + b"0\r\n\r\n", [200]),
        (b"0\r\nx: " + b"y" * FRAMING_BYTES, [400]),
        (b"0\r\n" + b"x: y\r\n" * FRAMING_BYTES, [400]),
        (b"1;x=" + b"y" * FRAMING_BYTES, [400]),
    ],
)
def test_what_is_around_the_content_of_a_chunked_body_is_bounded(rest: bytes, statuses: list[int]):
    async def talk() -> None:
        lone = LoneConnection()
        lone.protocol.data_received(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(rest), 10_000):
            lone.protocol.data_received(rest[start : start + 10_000])
        lone.may_answer.set()
        await lone.settle()
        assert lone.statuses() == statuses

    asyncio.run(talk())
