"""Real uvicorn processes: several workers, and shutting down under load."""

import contextlib
import json
import re
import socket
import sys
from pathlib import Path

import psutil
import pytest

from tests.services import PATIENCE_SECONDS, TestedService, connected, running, wait_until

REQUESTS = 200


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "pickle"])
def test_the_metrics_of_several_workers_add_up(backend: str, models: Path, manifest, tmp_path: Path):
    row = {feature.name: feature.example for feature in manifest.features}
    with running(backend, models, tmp_path, workers=2) as service:
        service.client.headers["connection"] = "close"  # a connection each, so that both workers get some
        for _ in range(REQUESTS):
            assert service.client.post("/predict", json=row).status_code == 200
        wait_until(lambda: counted(service) == REQUESTS, service.log)  # a worker publishes a moment later
        assert [counted(service) for _ in range(10)] == [REQUESTS] * 10  # whichever worker answers


def counted(service: TestedService) -> float:
    text = service.client.get("/metrics").text
    return sum(map(float, re.findall(r'predict_request_seconds_count\{route="/predict",status="200"\} (\S+)', text)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere workers share a listening socket")
def test_connections_that_come_at_once_are_dealt_out_to_the_workers(models: Path, tmp_path: Path):
    with running("onnx", models, tmp_path, workers=2) as service, contextlib.ExitStack() as stack:
        wait_until(lambda: len(connected(service, psutil.CONN_LISTEN)) == 2, service.log)
        for _ in range(64):
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS))
        wait_until(lambda: sum(connected(service, psutil.CONN_ESTABLISHED).values()) >= 64, service.log)
        assert min(connected(service, psutil.CONN_ESTABLISHED).values()) > 8


@pytest.mark.parametrize(
    "backend", ["onnx", pytest.param("pickle", marks=pytest.mark.slow), pytest.param("axum", marks=pytest.mark.cargo)]
)
def test_requests_in_hand_are_answered_when_the_service_is_told_to_end(backend: str, models: Path, manifest, tmp_path):
    body = json.dumps({feature.name: feature.example for feature in manifest.features}).encode()
    head = b"POST /predict HTTP/1.1\r\nhost: test\r\nexpect: 100-continue\r\ncontent-length: %d\r\n\r\n" % len(body)
    with running(backend, models, tmp_path) as service, contextlib.ExitStack() as stack:
        connections = [
            stack.enter_context(socket.create_connection(("127.0.0.1", service.port), timeout=PATIENCE_SECONDS))
            for _ in range(20)
        ]
        for connection in connections:
            connection.sendall(head)
        for connection in connections:  # so the service has read the head, and waits for the body
            assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
            connection.sendall(body[:50])
        service.process.terminate()
        wait_until(lambda: is_refused(service.port), service.log)
        for connection in connections:
            connection.sendall(body[50:])
        answers = [connection.recv(65536) for connection in connections]
        assert service.process.wait(PATIENCE_SECONDS) == 0
    assert all(answer.startswith(b"HTTP/1.1 200") for answer in answers)


def is_refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it closed the listening socket with this connection in its queue
        pass
    return False
