"""The load of large batches that `make fairness` measures beside: what is said when its clients can't do their work."""

import multiprocessing
import socket
from types import SimpleNamespace

import pytest

from experiments.load import fairness
from load_testing.command_results import FairnessCell
from load_testing.services import ServiceError

REFERENCE = SimpleNamespace(bodies=[b"{}"])


def test_clients_that_cannot_connect_end_the_wait():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        address = unused.getsockname()
        with (
            pytest.raises(ServiceError, match="a client that sends the batches ended by itself, with status 1"),
            fairness.batch_load(address, REFERENCE),
        ):
            pass


def test_a_service_that_never_answers_ends_the_wait(monkeypatch):
    monkeypatch.setattr(fairness, "START_SECONDS", 0.1)
    monkeypatch.setattr(fairness, "STOP_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        with (
            pytest.raises(ServiceError, match=r"0 batches were answered within 0.1 s"),
            fairness.batch_load(address, REFERENCE),
        ):
            pass
    assert multiprocessing.active_children() == []


def test_a_line_has_the_ratio_of_the_p99s():
    cell = FairnessCell(
        service="onnx", route="/predict", alone_p50_ms=0.25, alone_p99_ms=0.5, beside_p50_ms=0.3, beside_p99_ms=1.25,
        batch_rows_per_second=98765.4,
    )  # fmt: skip
    assert fairness.format_line(cell).split() == ["onnx", "/predict", "0.25", "0.50", "0.30", "1.25", "2.5x", "98,765"]


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert fairness.main(["--models", str(tmp_path), "--reports", str(tmp_path / "reports")]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()
