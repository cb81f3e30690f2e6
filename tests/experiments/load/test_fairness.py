"""The load of large batches that `make fairness` measures beside: what is said when its clients can't do their work."""

import multiprocessing
import socket
from types import SimpleNamespace

import pytest

from experiments.__main__ import main
from experiments.load import batch_load
from load_testing.services import ServiceError

REFERENCE = SimpleNamespace(bodies=[b"{}"])


def test_clients_that_cannot_connect_end_the_wait():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))  # and nobody listens
        address = unused.getsockname()
        with (
            pytest.raises(ServiceError, match="a client that sends the batches ended by itself, with status 1"),
            batch_load.batch_load(address, REFERENCE),
        ):
            pass


def test_a_service_that_never_answers_ends_the_wait(monkeypatch):
    monkeypatch.setattr(batch_load, "START_SECONDS", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = silent.getsockname()
        with (
            pytest.raises(ServiceError, match=r"0 batches were answered within 0.1 s"),
            batch_load.batch_load(address, REFERENCE),
        ):
            pass
    assert multiprocessing.active_children() == []


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert main(["fairness", "--models", str(tmp_path), "--reports", str(tmp_path / "reports")]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()
