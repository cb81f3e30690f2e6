"""SIGHUP: the bundle that is there now is served, and nobody notices; a bad one changes nothing."""

import json
import re
import shutil
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import PATIENCE_SECONDS, TestedService, running, wait_until

pytestmark = pytest.mark.slow

BACKENDS = ["onnx", "pickle", pytest.param("axum", marks=pytest.mark.cargo)]
NEW_CLASSES = ["poor", "rich"]
CLIENTS = 4
WORKERS = 2


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models, tmp_path / "models", symlinks=True))


def change_manifest(models: Path, **changes: Any) -> None:
    """Publish a bundle that differs in these fields; as training does, by one rename."""
    (manifest,) = models.glob("*.json")
    content = {**json.loads(manifest.read_bytes()), **changes}
    new = models / "new"
    new.write_text(json.dumps(content))
    new.replace(manifest)


class Clients(list[threading.Thread]):
    """Threads that send rows on connections of their own until told to stop."""

    def __init__(self, service: TestedService, body: bytes) -> None:
        super().__init__(threading.Thread(target=self.send) for _ in range(CLIENTS))
        self.url = str(service.client.base_url)
        self.body = body
        self.stop = threading.Event()
        self.recording = threading.Event()
        self.labels: set[str] = set()
        """What was answered to requests that were begun since `recording` was set."""
        self.failures: list[str] = []

    def send(self) -> None:
        with httpx.Client(base_url=self.url, timeout=PATIENCE_SECONDS) as client:
            while not self.stop.is_set():
                recording = self.recording.is_set()
                try:
                    answer = client.post("/predict", content=self.body)
                    found = {str(v) for k, v in answer.json().items() if k.startswith("predicted_")}
                    self.labels.update(found if recording else ())
                except (httpx.TransportError, ValueError) as error:
                    self.failures.append(repr(error))
                else:
                    if answer.status_code != 200:
                        self.failures.append(answer.text)


@contextmanager
def load(service: TestedService, manifest) -> Iterator[Clients]:
    body = json.dumps({feature.name: feature.example for feature in manifest.features}).encode()
    clients = Clients(service, body)
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        clients.stop.set()
        for client in clients:
            client.join()


def until_all_workers(service: TestedService, version: str) -> None:
    """Wait until each worker (the Rust service is one) has said that it serves another bundle, and then see which."""
    workers = 1 if service.backend == "axum" else WORKERS
    wait_until(lambda: len(re.findall("(?<!not )reloaded", service.log.read_text())) == workers, service.log)
    for _ in range(20):
        assert httpx.get(f"{service.client.base_url}/metadata", timeout=PATIENCE_SECONDS).json()["version"] == version


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_new_bundle_is_served_without_a_lost_request(backend: str, copied: Path, manifest, tmp_path: Path):
    with running(backend, copied, tmp_path, workers=WORKERS) as service:
        with load(service, manifest) as clients:
            change_manifest(copied, version="second", classes=NEW_CLASSES, positive_class=NEW_CLASSES[1])
            service.process.send_signal(signal.SIGHUP)
            until_all_workers(service, "second")
            clients.recording.set()
            wait_until(lambda: clients.labels or clients.failures)
        assert not clients.failures
        assert clients.labels <= set(NEW_CLASSES)
        metrics = service.client.get("/metrics").text.splitlines()
    models = [line for line in metrics if line.startswith("model_info{")]
    served = {line.partition('version="')[2].partition('"')[0]: float(line.rpartition(" ")[2]) for line in models}
    assert served == {manifest.version: 0, "second": 1}


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_bundle_that_is_not_whole_changes_nothing(backend: str, copied: Path, manifest, tmp_path: Path):
    graph = copied / manifest.artifacts["pickle" if backend == "pickle" else "onnx_packed"].file
    content = graph.read_bytes()
    with running(backend, copied, tmp_path, workers=WORKERS) as service:
        with load(service, manifest) as clients:
            graph.write_bytes(content[:-1] + b"\0")
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda: "altered" in service.log.read_text(), service.log)
        assert not clients.failures
        assert service.client.get("/metadata").json()["version"] == manifest.version
        assert "not reloaded" in service.log.read_text()
        graph.write_bytes(content)
        change_manifest(copied, version="second")
        service.process.send_signal(signal.SIGHUP)
        until_all_workers(service, "second")


@pytest.mark.parametrize("backend", BACKENDS)
def test_signals_that_come_faster_than_a_bundle_is_tried_prevent_no_reload(backend: str, copied: Path, tmp_path: Path):
    with running(backend, copied, tmp_path, workers=WORKERS) as service:

        def serves(version: str) -> bool:
            found = httpx.get(f"{service.client.base_url}/metadata", timeout=PATIENCE_SECONDS).json()["version"]
            return bool(found == version)

        def signalled(version: str) -> bool:
            service.process.send_signal(signal.SIGHUP)
            return serves(version)

        change_manifest(copied, version="second")
        wait_until(lambda: signalled("second"), service.log)
        change_manifest(copied, version="third")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: serves("third"), service.log)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_new_key_replaces_the_old_one_at_a_reload(backend: str, models: Path, tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text("old-key-0123456789\n")
    with running(backend, models, tmp_path, workers=1, api_key_file=keys) as service:
        keys.write_text("new-key-0123456789\n")
        service.process.send_signal(signal.SIGHUP)
        new = {"authorization": "Bearer new-key-0123456789"}
        wait_until(lambda: service.client.get("/", headers=new).status_code == 200, service.log)
        assert service.client.get("/", headers={"authorization": "Bearer old-key-0123456789"}).status_code == 401


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_service_that_is_told_to_end_while_it_loads_ends_with_0(backend: str, models: Path, tmp_path: Path):
    with running(backend, models, tmp_path, workers=1) as service:
        service.process.send_signal(signal.SIGHUP)
