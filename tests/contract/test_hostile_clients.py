"""Clients that misuse their connection are got rid of, and everybody else is served meanwhile."""

import contextlib
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
from tests.services import Service, running

REQUEST_SECONDS = 1
PATIENCE_SECONDS = 20.0  # a busy machine makes answers slowly, and their reader is given up only when they pile up
CONNECTIONS = 40


@pytest.fixture(scope="module")
def guarded(backend: str, models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The service with times and numbers of connections that a test can reach."""
    settings = {"request_seconds": REQUEST_SECONDS, "max_connections": CONNECTIONS, "max_wait_ms": 60_000}
    with running(backend, models, tmp_path_factory.mktemp(backend), **settings) as service:
        yield service


def test_clients_that_misuse_their_connections_lose_them_and_the_others_are_served(guarded: Service, body: str):
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
    guarded: Service, body: str
):
    with contextlib.ExitStack() as stack:
        for _ in range(CONNECTIONS + 5):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=5))
        surplus = stack.enter_context(httpx.Client(base_url=guarded.client.base_url))
        refused = surplus.post("/predict", content=body)
        assert (refused.status_code, refused.headers["retry-after"], refused.headers["connection"]) == (
            503,
            "1",
            "close",
        )
        assert surplus.get("/health/live").status_code == 200
        for _ in range(CONNECTIONS):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=5))
        with pytest.raises(httpx.TransportError):
            surplus.post("/predict", content=body)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (answer := try_post(guarded, body)) is None or answer.status_code != 200:
        assert time.monotonic() < deadline, "the places were not given back"


def try_post(service: Service, body: str) -> httpx.Response | None:
    with contextlib.suppress(httpx.TransportError):
        return service.client.post("/predict", content=body)
    return None


def test_room_for_large_bodies_is_bounded_and_given_back(backend: str, models: Path, tmp_path: Path, row):
    """Each client holds a mebibyte less a byte of the two that there are, then leaves."""
    megabyte = 1 << 20
    settings = {"max_body_bytes": megabyte, "max_buffered_bytes": 2 * megabyte, "request_seconds": 5}
    with running(backend, models, tmp_path, **settings) as service:
        large = b" " * (megabyte - 1)
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % megabyte
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                holder = stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=5))
                holder.sendall(head + large)
            time.sleep(0.5)  # it has read them by then; a third one before that could take the room of one of them
            third = poll(service, large, 503)
            assert third.headers["retry-after"] == "1"
            assert service.client.post("/predict", json=row).status_code == 200  # a small one takes no room
        poll(service, large, 400)


def poll(service: Service, content: bytes, status: int) -> httpx.Response:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        answer = service.client.post("/predict", content=content)
        if answer.status_code == status:
            return answer
    raise AssertionError(f"never answered {status}, last {answer.status_code}")


def test_thousands_of_idle_connections_cost_little_and_keep_nobody_out(
    backend: str, models: Path, tmp_path: Path, body
):
    count = 2000
    with running(backend, models, tmp_path) as service, contextlib.ExitStack() as stack:
        process = psutil.Process(service.process.pid)
        before = process.memory_info().rss
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=5))
        for _ in range(20):
            assert service.client.post("/predict", content=body).status_code == 200
        assert process.memory_info().rss - before < count * (32 << 10)
