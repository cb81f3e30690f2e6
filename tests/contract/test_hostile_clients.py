"""Clients that misuse their connection are got rid of, and everybody else is served meanwhile."""

import contextlib
import select
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from load_testing.scenarios import Address
from tests.contract.hostile_clients import HOSTILE_CLIENTS, HostileClient, NotClosed
from tests.services import PATIENCE_SECONDS, TestedService, running, wait_until

REQUEST_SECONDS = 1
CONNECTIONS = 40


@pytest.fixture(scope="module")
def guarded(backend: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestedService]:
    """The service with times and numbers of connections that a test can reach."""
    settings = {"request_seconds": REQUEST_SECONDS, "max_connections": CONNECTIONS}
    with running(backend, models, tmp_path_factory.mktemp(backend), **settings) as service:
        yield service


@pytest.mark.slow
def test_clients_that_misuse_their_connections_lose_them_and_the_others_are_served(guarded: TestedService, body: str):
    address = Address("127.0.0.1", guarded.port)

    def misuse(client: HostileClient) -> tuple[int, ...] | str:
        try:
            return client.misuse(address, body.encode(), PATIENCE_SECONDS)
        except NotClosed as error:
            return str(error)

    with ThreadPoolExecutor(len(HOSTILE_CLIENTS)) as threads:
        outcomes = [threads.submit(misuse, client) for client in HOSTILE_CLIENTS]
        while not all(outcome.done() for outcome in outcomes):
            assert guarded.client.post("/predict", content=body).status_code == 200
    got = {client.name: outcome.result() for client, outcome in zip(HOSTILE_CLIENTS, outcomes, strict=True)}
    assert not {c.name: (got[c.name], c.outcomes) for c in HOSTILE_CLIENTS if got[c.name] not in c.outcomes}


def test_connections_over_the_limit_are_answered_once_or_not_at_all_and_health_all_the_same(
    guarded: TestedService, body: str
):
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS + 5):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE_SECONDS))
        surplus = stack.enter_context(httpx.Client(base_url=guarded.client.base_url, timeout=PATIENCE_SECONDS))
        refused = surplus.post("/predict", content=body)
        assert (refused.status_code, refused.headers["retry-after"], refused.headers["connection"]) == (
            503,
            "1",
            "close",
        )
        assert surplus.get("/health/live").status_code == 200
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=PATIENCE_SECONDS))
        with pytest.raises(httpx.TransportError):
            surplus.post("/predict", content=body)
    wait_until(lambda: is_answered(guarded, body), guarded.log)


def is_answered(service: TestedService, body: str) -> bool:
    with contextlib.suppress(httpx.TransportError):
        return service.client.post("/predict", content=body).status_code == 200
    return False


@pytest.mark.slow
def test_room_for_large_bodies_is_bounded_and_given_back(backend: str, models: Path, tmp_path: Path, row):
    """Each client holds a mebibyte less a byte of the two that there are, then leaves."""
    megabyte = 1 << 20
    settings = {"max_body_bytes": megabyte, "max_buffered_bytes": 2 * megabyte, "request_seconds": PATIENCE_SECONDS}
    with running(backend, models, tmp_path, **settings) as service:
        large = b" " * (megabyte - 1)
        with all_room_taken(service, large) as third:
            assert third.headers["retry-after"] == "1"
            assert service.client.post("/predict", json=row).status_code == 200  # a small one takes no room
        wait_until(lambda: service.client.post("/predict", content=large).status_code == 400, service.log)


@contextlib.contextmanager
def all_room_taken(service: TestedService, large: bytes) -> Iterator[httpx.Response]:
    """Two connections whose unfinished bodies take the room of two, and the refusal that a third one got."""
    head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % (len(large) + 1)
    with contextlib.ExitStack() as stack:
        holders: list[socket.socket] = []
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            assert time.monotonic() < deadline, "the room could not be taken"
            if len(holders) < 2:
                holder = socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS)
                holders.append(stack.enter_context(holder))
                holder.sendall(head + large)
            refusal = service.client.post("/predict", content=large)
            refused = select.select(holders, [], [], 0)[0]  # the third one may have been there before one of them
            holders = [holder for holder in holders if holder not in refused]
            if refusal.status_code == 503 and len(holders) == 2:
                break
        yield refusal


@pytest.mark.slow
def test_thousands_of_idle_connections_cost_little_and_keep_nobody_out(
    backend: str, models: Path, tmp_path: Path, body
):
    count = 2000
    with running(backend, models, tmp_path) as service, contextlib.ExitStack() as stack:
        process = psutil.Process(service.process.pid)
        before = process.memory_info().rss
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS))
        for _ in range(20):
            assert service.client.post("/predict", content=body).status_code == 200
        assert process.memory_info().rss - before < count * (32 << 10)
