"""Replicas of the ONNX service behind HAProxy: one is killed under load, one is stopped, and nobody notices."""

import contextlib
import sys
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml

from bundle.manifest import Manifest
from tests.docker.engine import ROOT, docker, inspect, run, succeeds, wait_until, wait_until_healthy

pytestmark = pytest.mark.docker

KEY = "k" * 32
PROXY_IMAGE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["proxy"]["image"]

CONFIGURATION = f"{ROOT}/docker/haproxy.cfg:/usr/local/etc/haproxy/haproxy.cfg"


@dataclass
class Replicas:
    url: str
    proxy: str
    containers: list[str]


@pytest.fixture(autouse=True)
def proxy_image() -> None:
    if not succeeds("docker", "image", "inspect", PROXY_IMAGE):
        pytest.skip(f"the image {PROXY_IMAGE} is not here: docker pull {PROXY_IMAGE}")


@contextlib.contextmanager
def behind_proxy(image: str, models: Path, count: int, *options: str) -> Iterator[Replicas]:
    """Replicas that the proxy finds by name, as in compose's network."""
    network = f"train-to-serve-{uuid.uuid4().hex[:8]}"
    started: list[str] = []

    def start(*arguments: str) -> str:
        restrictions = ("--read-only", "--tmpfs=/tmp", "--cap-drop=ALL", "--security-opt=no-new-privileges:true")
        started.append(docker("run", "--detach", f"--network={network}", *restrictions, *arguments))
        return started[-1]

    docker("network", "create", network)
    try:
        service = ("--init", "--network-alias=onnx", f"--volume={models}:/app/models:ro", "--cpus=1", *options, image)
        containers = [start(*service) for _ in range(count)]
        for container in containers:
            wait_until_healthy(container)
        proxy = start(f"--volume={CONFIGURATION}:ro", PROXY_IMAGE)
        url = f"http://{inspect(proxy)['NetworkSettings']['Networks'][network]['IPAddress']}:8080"
        wait_until(lambda: ready(url), "the proxy has found a replica", 30)
        yield Replicas(url, proxy, containers)
    finally:
        for container in started:
            docker("rm", "--force", "--volumes", container)
        docker("network", "rm", network)


def ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health/ready").status_code == 200
    except httpx.TransportError:
        return False


def load(replicas: Replicas, models: Path, reports: Path, *command: str) -> str:
    """The load's report; it fails if a request did, or was answered wrongly. The Docker command comes in the middle."""
    options = ("--scenarios=single", "--users=16", "--duration=10", f"--models={models}", f"--reports={reports}")
    meanwhile = threading.Timer(9, docker, command)  # the generator has started by then, and the load goes on
    meanwhile.start()
    said = run(sys.executable, "-m", "load_testing", "container-bench", f"--hosts={replicas.url}", *options, cwd=ROOT)
    meanwhile.join()
    return said


def test_the_proxy_takes_its_configuration():
    command = ("haproxy", "-c", "-f", CONFIGURATION.rpartition(":")[2])
    docker("run", "--rm", "--network=none", f"--volume={CONFIGURATION}:ro", PROXY_IMAGE, *command)


def test_no_client_notices_that_replicas_end(images: dict[str, str], models: Path, tmp_path: Path):
    """One is killed, another one is told to stop: every request has its answer, and every answer is right."""
    with behind_proxy(images["onnx"], models, 3) as replicas:
        killed, stopped, _ = replicas.containers
        assert "Every answer under load was right." in load(replicas, models, tmp_path, "kill", killed)
        assert not inspect(killed)["State"]["Running"]
        assert "Every answer under load was right." in load(replicas, models, tmp_path, "stop", stopped)
        assert inspect(stopped)["State"]["ExitCode"] == 0


def test_the_key_is_asked_for_behind_the_proxy_and_health_is_open(
    images: dict[str, str], models: Path, manifest: Manifest
):
    row = {feature.name: feature.example for feature in manifest.features}
    with behind_proxy(images["onnx"], models, 1, f"--env=SERVE_API_KEY={KEY}") as replicas:
        assert httpx.post(f"{replicas.url}/predict", json=row).status_code == 401
        headers = {"Authorization": f"Bearer {KEY}"}
        assert httpx.post(f"{replicas.url}/predict", json=row, headers=headers).status_code == 200
        assert httpx.get(f"{replicas.url}/metrics", headers=headers).status_code == 404
