"""Start real services for tests: a process, a free port, and a client."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent
AXUM = ROOT / "serving/axum/target/release/axum-service"
START_SECONDS = 30


@dataclass
class Service:
    backend: str
    process: subprocess.Popen[bytes]
    client: httpx.Client
    port: int
    log: Path


def command(backend: str) -> list[str]:
    """How the backend's service is started; skips the test if it has not been built."""
    if backend != "axum":
        return [sys.executable, "-m", f"serving.{backend}_service"]
    if not AXUM.exists():
        pytest.skip("the Rust service is not built: `make build-axum` (needs cargo)")
    return [str(AXUM)]


def environment(models: Path, **settings: object) -> dict[str, str]:
    """The test's environment with nothing of SERVE_ in it but the given settings."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SERVE_")}
    given = {f"SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    return {**inherited, "ORT_DYLIB_PATH": onnxruntime_library(), "SERVE_MODEL_DIR": str(models), **given}


def onnxruntime_library() -> str:
    """The shared library in the installed onnxruntime wheel, for the Rust service."""
    import onnxruntime  # noqa: PLC0415 - only when a service is started

    return str(next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(backend: str, models: Path, folder: Path, **settings: object) -> Iterator[Service]:
    """A service that is ready; it is ended with SIGTERM, and must then exit with status 0."""
    port = free_port()
    log = folder / f"{backend}-{port}.log"
    given = {"workers": 1, **settings, "port": port}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command(backend), cwd=ROOT, env=environment(models, **given), stdout=stream, stderr=stream
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait_until_ready(process, client, log)
            yield Service(backend, process, client, port, log)
        if process.poll() is None:
            process.terminate()
        assert process.wait(20) == 0, log.read_text()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def wait_until_ready(process: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, f"the service ended: {log.read_text()}"
        with contextlib.suppress(httpx.TransportError):
            if client.get("/health/ready").status_code == 200:
                return
        time.sleep(0.02)
    raise AssertionError(f"not ready after {START_SECONDS} s: {log.read_text()}")
