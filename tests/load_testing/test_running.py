"""Starting and stopping services."""

import http.client
import os

import psutil
import pytest

from load_testing import services
from load_testing.cpus import available_cpus
from load_testing.services import ServiceError, ServiceSpec, known_services, running

CPUS = available_cpus()


def test_service_is_ready_inside_and_gone_afterwards(stub, model_folder):
    with running(stub("honest"), model_folder, CPUS, workers=1) as service:
        assert service.cold_start_seconds > 0
        assert psutil.pid_exists(service.pid)
        assert service.url.startswith("http://127.0.0.1:")
    assert not psutil.pid_exists(service.pid)


def test_service_that_dies_at_start_is_an_error_with_the_end_of_its_log(stub, model_folder):
    with (
        pytest.raises(ServiceError, match=r"(?s)dying service ended with status 1 before.*no model could be.*line two"),
        running(stub("dying"), model_folder, CPUS, workers=1),
    ):
        pytest.fail("it never became ready")


def test_service_that_never_gets_ready_is_an_error(stub, model_folder, monkeypatch):
    monkeypatch.setattr(services, "READY_SECONDS", 0.0)
    monkeypatch.setattr(services, "_is_ready", lambda *_: False)
    with (
        pytest.raises(ServiceError, match="was not ready within 0 s"),
        running(stub("honest"), model_folder, CPUS, workers=1),
    ):
        pytest.fail("it never became ready")


def provoke(url, pid):
    """Make the leaving service leave, and wait until it has."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"))
    connection.request("POST", "/predict", b"{}")
    with pytest.raises(ConnectionError):
        connection.getresponse()
    connection.close()
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # a zombie that still has threads can't be waited for yet


def test_service_that_ends_under_way_is_an_error(stub, model_folder):
    with (
        pytest.raises(ServiceError, match="leaving service ended by itself with status 3"),
        running(stub("leaving"), model_folder, CPUS, workers=1) as service,
    ):
        provoke(service.url, service.pid)


def test_service_that_ignores_the_signal_is_killed_with_its_children(stub, model_folder, monkeypatch):
    monkeypatch.setattr(services, "STOP_SECONDS", 0.1)
    with running(stub("stubborn"), model_folder, CPUS, workers=1) as service:
        (child,) = psutil.Process(service.pid).children()
    assert not psutil.pid_exists(service.pid)
    child.wait(5)


def test_missing_command_is_an_error(model_folder):
    spec = ServiceSpec("lost", ("/no/such/command",), "pickle")
    with pytest.raises(ServiceError, match="No such file"), running(spec, model_folder, CPUS, workers=1):
        pytest.fail("there is nothing to start")


def test_rust_service_is_known_once_it_is_built(monkeypatch, tmp_path):
    monkeypatch.setattr(services, "AXUM", tmp_path / "service")
    assert list(known_services()) == ["pickle", "onnx"]
    (tmp_path / "service").touch()
    assert list(known_services(baselines=True)) == [
        "pickle",
        "onnx",
        "axum",
        "tutorial-pickle",
        "tutorial-onnx",
        "tutorial-onnx-one-thread",
    ]
