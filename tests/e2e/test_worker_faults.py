"""A worker that is killed is replaced, by one that serves what the others serve; the others go on meanwhile."""

import contextlib
import os
import shutil
import signal
import time
from pathlib import Path

import httpx
import psutil
import pytest

from tests.services import PATIENCE_SECONDS, TestedService, connected, running, wait_until

pytestmark = pytest.mark.slow


def workers(service: TestedService) -> set[int]:
    """Process ids of the workers: children that aren't multiprocessing's resource tracker."""
    children = psutil.Process(service.process.pid).children()
    found = set()
    for child in children:
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in part for part in child.cmdline()):
                found.add(child.pid)
    return found


@pytest.mark.parametrize("backend", ["onnx", "pickle"])
def test_a_killed_worker_is_replaced_even_if_the_bundle_is_damaged_by_then(
    backend: str, models: Path, manifest, tmp_path: Path
):
    copied = Path(shutil.copytree(models, tmp_path / "models", symlinks=True))
    row = {feature.name: feature.example for feature in manifest.features}
    with running(backend, copied, tmp_path, workers=2) as service:
        wait_until(lambda: len(connected(service, psutil.CONN_LISTEN)) == 2, service.log)
        killed = min(workers(service))
        expected = service.client.post("/predict", json=row).json()
        (copied / f"{manifest.name}.json").write_text("{")
        os.kill(killed, signal.SIGKILL)
        service.client.close()  # its connection may have been the killed worker's
        lost = answered = 0
        deadline = time.monotonic() + PATIENCE_SECONDS
        while killed in workers(service) or len(workers(service)) < 2 or answered < 50:
            assert time.monotonic() < deadline, service.log.read_text()
            with httpx.Client(base_url=f"http://127.0.0.1:{service.port}", timeout=PATIENCE_SECONDS) as client:
                try:
                    assert client.post("/predict", json=row).json() == expected
                    answered += 1
                except httpx.TransportError:  # a connection that the killed worker had, or was to accept
                    lost += 1
        assert lost <= 2
        assert service.process.poll() is None
