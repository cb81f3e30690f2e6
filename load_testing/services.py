"""Start and stop the services, each on a given CPU set, and see when they are ready."""

import http.client
import importlib.util
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO

from bundle.manifest import ArtifactKind, Manifest
from load_testing.cpus import on_cpus
from load_testing.environments import UnreachableError, python_of

ROOT = Path(__file__).resolve().parent.parent
AXUM = ROOT / "serving/axum/target/release/axum-service"
HOST = "127.0.0.1"
DEFAULT_WAIT = ("SERVE_MAX_WAIT_MS", "")
"""For a spec whose service refuses requests that wait too long, as in production."""
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
PATIENT_MS = 60_000
"""How long requests may wait, unless the spec says otherwise: a benchmark on a busy machine is slow, not failed."""
_POLL_SECONDS = 0.005
_LOG_TAIL = 20


class ServiceError(Exception):
    """A service couldn't be started or broke down. The message holds the end of its log."""


@dataclass(frozen=True)
class ServiceSpec:
    """A service that can be started: its command, run in the repository's root, and the artifact that it loads."""

    name: str
    command: tuple[str, ...]
    artifact: ArtifactKind
    environment: tuple[tuple[str, str], ...] = ()
    ready_path: str = "/health/ready"


@dataclass(frozen=True)
class Service:
    """A running service. `cold_start_seconds` is the time from the start of its process to the first "ready"."""

    spec: ServiceSpec
    url: str
    pid: int
    cold_start_seconds: float


def known_services(*, baselines: bool = False) -> dict[str, ServiceSpec]:
    """Name to service. The Rust service is there only if its release binary has been built."""
    specs = [
        module_service("pickle", "serving.pickle_service", "pickle"),
        module_service("onnx", "serving.onnx_service", "onnx_packed"),
    ]
    if AXUM.exists():
        specs.append(ServiceSpec("axum", (str(AXUM),), "onnx_packed", _onnxruntime_library()))
    if baselines:
        specs.append(module_service("tutorial-pickle", "load_testing.baselines.tutorial_pickle", "pickle"))
        typical = module_service("tutorial-onnx", "load_testing.baselines.tutorial_onnx", "onnx")
        # ONNX Runtime's default threads leave the CPU set that a service is given. The same service with one thread
        # keeps to it, so that its requests/s can be compared as they are.
        one_thread = replace(typical, name="tutorial-onnx-one-thread", environment=(("TUTORIAL_ONNX_THREADS", "1"),))
        specs += [typical, one_thread]
    return {spec.name: spec for spec in specs}


PEERS = {"bentoml": "/readyz", "litserve": "/health/ready", "mlserver": "/v2/health/ready"}
"""Name of a server in `load_testing/peers/` to the path that says when it is ready."""


def usable_services(
    manifest: Manifest, *, baselines: bool = False, peers: Iterable[str] = ()
) -> tuple[dict[str, ServiceSpec], tuple[str, ...]]:
    """The services that can serve the bundle, by name, and a sentence for each one that can't and why.

    Raises:
        OSError: the environment of a peer couldn't be made.
    """
    known = known_services(baselines=baselines)
    left_out = []
    for name in peers:
        try:
            known[name] = peer_service(name)
        except UnreachableError as reason:
            left_out.append(f"{name}: {reason}")
    usable = {name: spec for name, spec in known.items() if spec.artifact in manifest.artifacts}
    left_out += [f"{name}: the bundle has no {known[name].artifact} to serve" for name in known.keys() - usable.keys()]
    if "axum" not in known:
        left_out.append("axum: its release binary isn't built (make build-axum)")
    return usable, tuple(sorted(left_out))


def peer_service(name: str) -> ServiceSpec:
    """A server of `PEERS`, in its own environment, which is made if it isn't there.

    Raises:
        UnreachableError, OSError: the environment can't be made; see `environments.python_of`.
    """
    command = (str(python_of(name)), "-m", f"load_testing.peers.{name}_service")
    return ServiceSpec(name, command, "onnx", (("TUTORIAL_ONNX_THREADS", "1"),), PEERS[name])


def module_service(name: str, module: str, artifact: ArtifactKind) -> ServiceSpec:
    """A service that is started as a Python module."""
    return ServiceSpec(name, (sys.executable, "-m", module), artifact)


def _onnxruntime_library() -> tuple[tuple[str, str], ...]:
    """The Rust service loads ONNX Runtime at start: the library of the installed wheel, unless the caller names one."""
    wheel = importlib.util.find_spec("onnxruntime")
    if "ORT_DYLIB_PATH" in os.environ or wheel is None or wheel.origin is None:
        return ()
    libraries = sorted(Path(wheel.origin).parent.glob("capi/libonnxruntime*"))
    return (("ORT_DYLIB_PATH", str(libraries[0])),) if libraries else ()


@contextmanager
def running(spec: ServiceSpec, models: Path, cpus: frozenset[int], workers: int) -> Iterator[Service]:
    """Start a service on a free port, wait until it is ready, and stop it (and all its processes) at the end.

    Raises:
        ServiceError: it ended, or wasn't ready within 60 s.
    """
    with reserved_port() as port, tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        process = _spawn(spec.command, _environment(spec, models, port, workers), cpus, log)
        try:
            _await_ready(spec, process, port, log)
            cold_start = time.perf_counter() - started
            try:
                yield Service(spec, f"http://{HOST}:{port}", process.pid, cold_start)
            finally:
                if process.poll() is not None:  # this is the cause of any error in the block
                    raise ServiceError(_breakdown(spec, f"ended by itself with status {process.returncode}", log))
        finally:
            _stop(process)


def _environment(spec: ServiceSpec, models: Path, port: int, workers: int) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SERVE_")}
    return (
        inherited
        | {"SERVE_MAX_WAIT_MS": str(PATIENT_MS)}
        | dict(spec.environment)
        | {
            "SERVE_MODEL_DIR": str(models.resolve()),
            "SERVE_HOST": HOST,
            "SERVE_PORT": str(port),
            "SERVE_WORKERS": str(workers),
            "SERVE_LOG_LEVEL": "warning",
        }
    )


def _spawn(
    command: Sequence[str], environment: dict[str, str], cpus: frozenset[int], log: IO[bytes]
) -> subprocess.Popen[bytes]:
    with on_cpus(cpus):
        try:
            return subprocess.Popen(  # noqa: S603  the command is one of `known_services`
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # a process group of its own, so that no process of it is left behind
            )
        except OSError as error:
            raise ServiceError(f"{command[0]}: {error.strerror}") from error


def _await_ready(spec: ServiceSpec, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while not _is_ready(port, spec.ready_path):
        if process.poll() is not None:
            raise ServiceError(_breakdown(spec, f"ended with status {process.returncode} before it was ready", log))
        if time.monotonic() > deadline:
            raise ServiceError(_breakdown(spec, f"was not ready within {READY_SECONDS:g} s", log))
        time.sleep(_POLL_SECONDS)


def _is_ready(port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask it to stop, then kill whatever is left of its process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _breakdown(spec: ServiceSpec, what: str, log: IO[bytes]) -> str:
    log.seek(0)
    lines = log.read().decode(errors="replace").splitlines()[-_LOG_TAIL:]
    tail = "\n".join(f"  {line}" for line in lines) or "  (empty)"
    return f"the {spec.name} service {what}. The end of its log:\n{tail}"


@contextmanager
def reserved_port() -> Iterator[int]:
    """A port for a service to listen on, which the system gives to no other process before the block ends.

    It is bound here, without listening. A service can bind it as well, since servers set SO_REUSEADDR; until then,
    connections are refused.
    """
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((HOST, 0))
        yield int(holder.getsockname()[1])
