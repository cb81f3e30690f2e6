"""A service under a CPU quota, and under load when it is told to end."""

import contextlib
import json
import os
import re
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from bundle.manifest import Manifest
from tests.docker.engine import PORTS, SERVICES, docker, inspect, logs, serving, wait_until

pytestmark = pytest.mark.docker

IN_HAND = 20
CLIENTS = 4


@pytest.mark.parametrize(("cpus", "quota"), [("0.5", 1), ("2", 2)])
@pytest.mark.parametrize("service", SERVICES)
def test_the_workers_follow_the_quota(images: dict[str, str], models: Path, service: str, cpus: str, quota: int):
    if int(float(cpus)) > len(os.sched_getaffinity(0)):
        pytest.skip("the host has fewer CPUs")
    with serving(images[service], models, cpus=cpus) as container:
        # healthy as soon as one of them serves
        wait_until(
            lambda: _workers(service, logs(container)) >= quota,
            lambda: f"{quota} workers have started\n{logs(container)}",
        )
        assert _workers(service, logs(container)) == quota


def _workers(service: str, log: str) -> int:
    if service == "axum":
        (workers,) = re.findall(r"with (\d+) workers", log)
        return int(workers)
    return log.count("Started server process")


@pytest.mark.parametrize("service", SERVICES)
def test_sigterm_under_load_loses_no_accepted_request(
    images: dict[str, str], models: Path, manifest: Manifest, service: str
):
    row = json.dumps({feature.name: feature.example for feature in manifest.features})
    request = b"POST /predict HTTP/1.1\r\nHost: test\r\nContent-Length: %d\r\n\r\n%s" % (len(row), row.encode())
    with serving(images[service], models, cpus="2") as container, contextlib.ExitStack() as stack:
        address = (_address(container), PORTS[service])
        half_sent = [stack.enter_context(socket.create_connection(address, timeout=15)) for _ in range(IN_HAND)]
        for connection in half_sent:
            connection.sendall(request[:-50])
        outcomes: Counter[str] = Counter()
        clients = [threading.Thread(target=_load, args=(address, request, outcomes)) for _ in range(CLIENTS)]
        for client in clients:
            client.start()
        time.sleep(1.5)  # by then the service has read the half-sent requests
        started = time.monotonic()
        docker("kill", "--signal=TERM", container)
        time.sleep(0.5)
        assert inspect(container)["State"]["Running"]
        for connection in half_sent:
            connection.sendall(request[-50:])
        answers = [_answer(connection) for connection in half_sent]
        for client in clients:
            client.join(15)
        wait_until(lambda: not inspect(container)["State"]["Running"], f"{service} ends", 15)
        seconds = time.monotonic() - started
        assert inspect(container)["State"]["ExitCode"] == 0, logs(container)
    assert Counter(answers) == {"200": IN_HAND}
    assert outcomes["200"] > 100
    assert outcomes.keys() <= {"200", "closed"}, outcomes
    assert seconds < 5


def _load(address: tuple[str, int], request: bytes, outcomes: Counter[str]) -> None:
    """Request after request, until the service closes the connection."""
    with socket.create_connection(address, timeout=15) as connection:
        while (outcome := _exchange(connection, request)) == "200":
            outcomes[outcome] += 1
    outcomes[outcome] += 1


def _exchange(connection: socket.socket, request: bytes) -> str:
    try:
        connection.sendall(request)
    except OSError:
        return "closed"
    return _answer(connection)


def _answer(connection: socket.socket) -> str:
    """The status of a whole answer; `closed` if there is none of it, which says that the request was not accepted."""
    content = b""
    try:
        while chunk := connection.recv(65536):
            content += chunk
            head, found, body = content.partition(b"\r\n\r\n")
            if found and len(body) == int(re.findall(rb"(?i)content-length: (\d+)", head)[0]):
                return head.split()[1].decode()
    except TimeoutError:
        return "timed out"
    except OSError:
        pass
    return f"cut: {content!r}" if content else "closed"


def _address(container: str) -> str:
    """In the engine's network: the engine's proxy for published ports accepts connections of its own."""
    (network,) = inspect(container)["NetworkSettings"]["Networks"].values()
    return str(network["IPAddress"])
