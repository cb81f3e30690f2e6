"""API keys and the bundle are reloaded apart: each of them takes effect although the other one is bad."""

import json
import os
import shutil
import signal
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_damaged_bundles import workers_of
from tests.services import TestedService, running, wait_until

pytestmark = pytest.mark.slow

OLD, NEW = "old-key-0123456789", "new-key-0123456789"


def answer(service: TestedService, key: str) -> httpx.Response:
    """On a connection of its own, so that any worker may answer."""
    return httpx.get(f"{service.client.base_url}/metadata", headers={"authorization": f"Bearer {key}"}, timeout=60)


def opens_everywhere(service: TestedService, key: str, *, shut: str) -> bool:
    """Whether twenty connections in a row are opened by the one key, and not by the other."""
    try:
        return all(
            (answer(service, key).status_code, answer(service, shut).status_code) == (200, 401) for _ in range(20)
        )
    except httpx.TransportError:  # a connection that a killed worker had accepted
        return False


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", ["onnx", "pickle", pytest.param("axum", marks=pytest.mark.cargo)])
def test_keys_and_model_change_apart(backend: str, workers: int, models: Path, tmp_path: Path):
    copied = Path(shutil.copytree(models, tmp_path / "models", symlinks=True))
    (manifest,) = copied.glob("*.json")
    whole = manifest.read_bytes()
    keys = tmp_path / "keys"
    keys.write_text(OLD)
    with running(backend, copied, tmp_path, workers=workers, api_key_file=keys) as service:
        keys.write_text(NEW)
        manifest.write_text("{")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: opens_everywhere(service, NEW, shut=OLD), service.log)
        wait_until(lambda: "not a valid manifest" in service.log.read_text(), service.log)

        keys.write_text("")
        if backend != "axum" and workers > 1:  # one that is replaced reads what its neighbours have
            killed = min(workers_of(service))
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda: killed not in workers_of(service) and len(workers_of(service)) == 2, service.log)
            wait_until(lambda: opens_everywhere(service, NEW, shut=OLD), service.log)

        manifest.write_text(json.dumps({**json.loads(whole), "version": "second"}))
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: answer(service, NEW).json()["version"] == "second", service.log)
        assert "the API keys stay: SERVE_API_KEY_FILE" in service.log.read_text()
        assert opens_everywhere(service, NEW, shut=OLD)
