"""Start real services for tests: a process, a port of its own, and a client."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from load_testing.services import reserved_port

ROOT = Path(__file__).resolve().parent.parent
AXUM = ROOT / "serving/axum/target/release/axum-service"
PATIENCE_SECONDS = 120
"""How long anything may take before it counts as hanging. No test depends on how fast the machine is."""
POLL_SECONDS = 0.02


@dataclass
class TestedService:
    __test__ = False  # pytest collects what is called Test...

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
    """The test's environment with nothing of SERVE_ in it but the given settings, and a free port for want of one: that
    of a service may be taken by whoever runs the tests. No request is refused because the machine is busy otherwise.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SERVE_")}
    given = {f"SERVE_{name.upper()}": str(value) for name, value in settings.items()}
    given = {"SERVE_PORT": "0", "SERVE_MAX_WAIT_MS": "60000", **given}
    return {**inherited, "ORT_DYLIB_PATH": onnxruntime_library(), "SERVE_MODEL_DIR": str(models), **given}


def onnxruntime_library() -> str:
    """The shared library in the installed onnxruntime wheel, for the Rust service."""
    import onnxruntime  # noqa: PLC0415 - only when a service is started

    return str(next(Path(onnxruntime.__file__).parent.glob("capi/libonnxruntime.so.*")))


@contextlib.contextmanager
def running(backend: str, models: Path, folder: Path, **settings: object) -> Iterator[TestedService]:
    """A service that is ready; it is ended with SIGTERM, and must then exit with status 0.

    Whatever happens, none of its processes is left: the workers of a killed service would go on without it.
    """
    with reserved_port() as port:
        log = folder / f"{backend}-{port}.log"
        given = {"workers": 1, **settings, "port": port}
        with log.open("wb") as stream:
            process = subprocess.Popen(
                command(backend),
                cwd=ROOT,
                env=environment(models, **given),
                stdout=stream,
                stderr=stream,
                start_new_session=True,
            )
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE_SECONDS) as client:
                wait_until(lambda: is_ready(process, client, log), log)
                yield TestedService(backend, process, client, port, log)
            if process.poll() is None:
                process.terminate()
            status = process.wait(PATIENCE_SECONDS)
            assert status == 0, f"exit status {status}: {log.read_text()}"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_ready(process: subprocess.Popen[bytes], client: httpx.Client, log: Path) -> bool:
    assert process.poll() is None, f"the service ended: {log.read_text()}"
    with contextlib.suppress(httpx.TransportError):
        return client.get("/health/ready").status_code == 200
    return False


def connected(service: TestedService, status: str) -> Counter[int]:
    """How many sockets of each worker at the service's port are in this state."""
    return Counter(
        worker.pid
        for worker in psutil.Process(service.process.pid).children()
        for connection in worker.net_connections("tcp")
        if connection.laddr.port == service.port and connection.status == status
    )


def wait_until(condition: Callable[[], object], log: Path | None = None) -> None:
    """Ask until the condition holds. A test that hangs fails in the end, with the service's log."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, log.read_text() if log else "it never came true"
        time.sleep(POLL_SECONDS)
