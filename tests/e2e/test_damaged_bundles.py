"""Whatever a bundle holds: a start with it ends in one line, and a reload of it changes nothing but the log."""

import contextlib
import hashlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import psutil
import pytest
from onnx import TensorProto, helper

from tests.services import ROOT, TestedService, command, environment, running, wait_until

pytestmark = pytest.mark.slow

INT64, BOOL, FLOAT, STRING = TensorProto.INT64, TensorProto.BOOL, TensorProto.FLOAT, TensorProto.STRING
AXUM = pytest.param("axum", marks=pytest.mark.cargo)
KINDS = {"onnx": "onnx_packed", "axum": "onnx_packed", "pickle": "pickle"}


class Bundle:
    """A copy of a bundle, to be damaged and mended again."""

    def __init__(self, models: Path, folder: Path, backend: str) -> None:
        self.folder = Path(shutil.copytree(models, folder / "models", symlinks=True))
        (self.manifest,) = self.folder.glob("*.json")
        self.kind = KINDS[backend]
        self._whole = self.manifest.read_bytes()
        self.artifact = self.folder / json.loads(self._whole)["artifacts"][self.kind]["file"]
        self._content = self.artifact.read_bytes()

    def repair(self, **changes: object) -> None:
        for path, content in ((self.artifact, self._content), (self.manifest, self._whole)):
            path.unlink(missing_ok=True)
            path.write_bytes(content)
        self.change(lambda content: content.update(changes))

    def change(self, change: Callable[[dict], object]) -> None:
        content = json.loads(self.manifest.read_bytes())
        change(content)
        self.manifest.write_text(json.dumps(content))

    def describe(self, **values: object) -> None:
        """What the manifest says of the artifact."""
        self.change(lambda content: content["artifacts"][self.kind].update(values))

    def replace_artifact(self, content: bytes) -> None:
        """By one that the manifest vouches for."""
        self.artifact.write_bytes(content)
        self.describe(bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


class Call:
    """A pickle that calls a function when it is loaded."""

    def __init__(self, function: Callable, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def brackets(bundle: Bundle) -> None:
    bundle.manifest.write_bytes(b'{"format_version":' + b"[" * 2000 + b"]" * 2000 + b"}")


def long_manifest(bundle: Bundle) -> None:
    with bundle.manifest.open("ab") as stream:
        stream.truncate(1 << 40)


def pipe_as_manifest(bundle: Bundle) -> None:
    bundle.manifest.unlink()
    os.mkfifo(bundle.manifest)


def pipe_as_artifact(bundle: Bundle) -> None:
    bundle.artifact.unlink()
    os.mkfifo(bundle.artifact)


def device_as_artifact(bundle: Bundle) -> None:
    bundle.artifact.unlink()
    bundle.artifact.symlink_to("/dev/zero")


def endless_artifact(bundle: Bundle) -> None:
    with bundle.artifact.open("ab") as stream:
        stream.truncate(6 << 30)


def other_size(bundle: Bundle) -> None:
    bundle.describe(bytes=bundle.artifact.stat().st_size + 1)


def no_artifact_at_all(bundle: Bundle) -> None:
    bundle.change(lambda content: content.update(artifacts={}))


def nothing_a_model_is(bundle: Bundle) -> None:
    bundle.replace_artifact(b"not a model")


def empty_artifact(bundle: Bundle) -> None:
    bundle.replace_artifact(b"")


DAMAGES = [
    brackets,
    long_manifest,
    pipe_as_manifest,
    pipe_as_artifact,
    device_as_artifact,
    endless_artifact,
    other_size,
    no_artifact_at_all,
    nothing_a_model_is,
    empty_artifact,
    *(lambda bundle, file=file: bundle.describe(file=file) for file in ("a\0b", "/dev/zero", "a/../../x", "a\\b", "")),
]
PICKLES = [
    *(
        lambda bundle, call=call: bundle.replace_artifact(pickle.dumps(Call(*call)))
        for call in (
            (sys.exit, 0),
            (os._exit, 0),
            (os.abort,),
            (exec, "def f(): f()\nf()"),
            (exec, "raise MemoryError"),
            (exec, "raise KeyboardInterrupt"),
        )
    ),
]


def damages(backend: str) -> list[Callable[[Bundle], None]]:
    """Files are read by the same code in both Python services."""
    return [nothing_a_model_is, pipe_as_artifact, *PICKLES] if backend == "pickle" else DAMAGES


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", ["onnx", "pickle", AXUM])
def test_a_start_with_it_ends_in_one_line(backend: str, workers: int, models: Path, tmp_path: Path):
    bundle = Bundle(models, tmp_path, backend)
    for number, damage in enumerate(damages(backend)):
        bundle.repair()
        damage(bundle)
        ended = subprocess.run(
            command(backend), cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
            env=environment(bundle.folder, workers=workers, port=0, log_level="error"),
        )  # fmt: skip
        crashes = workers == 1 and damage in PICKLES  # without workers it is the service's own process
        assert crashes or ended.returncode == 2, (number, ended)
        assert crashes or ended.stderr.startswith("error: "), (number, ended)
        assert ended.stderr.count("\n") <= 1, (number, ended)


def workers_of(service: TestedService) -> set[int]:
    found = set()
    for child in psutil.Process(service.process.pid).children():
        with contextlib.suppress(psutil.NoSuchProcess):
            if any("spawn_main" in part for part in child.cmdline()):
                found.add(child.pid)
    return found


def get(service: TestedService, path: str) -> httpx.Response:
    """On a connection of its own, so that any worker may answer."""
    return httpx.get(f"{service.client.base_url}{path}", timeout=30)


@pytest.mark.parametrize("backend", ["onnx", "pickle", AXUM])
def test_a_reload_of_it_changes_nothing(backend: str, models: Path, manifest, tmp_path: Path):
    bundle = Bundle(models, tmp_path, backend)
    with running(backend, bundle.folder, tmp_path, workers=2) as service:
        for number, damage in enumerate(damages(backend), start=1):
            damage(bundle)
            service.process.send_signal(signal.SIGHUP)
            wait_until(lambda count=number: service.log.read_text().count("not reloaded") >= count, service.log)
            assert get(service, "/metadata").json()["version"] == manifest.version
            assert get(service, "/metrics").status_code == 200
            if backend != "axum" and number in (1, len(damages(backend))):
                replace_a_worker(service)
            assert service.process.poll() is None
            bundle.repair()
        assert "Traceback" not in service.log.read_text()
        bundle.repair(version="second")
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: get(service, "/metadata").json()["version"] == "second", service.log)


KEYS = ("the-key-until-now", "the-key-from-now-on")


def opens(service: TestedService, key: str) -> list[bool]:
    """Whether the key opens the service, of several requests that any worker may answer."""
    headers = {"authorization": f"Bearer {key}"}
    answers = [httpx.get(f"{service.client.base_url}/metadata", headers=headers, timeout=30) for _ in range(8)]
    return sorted({answer.status_code == 200 for answer in answers})


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("backend", ["onnx", "pickle", AXUM])
def test_a_model_that_does_not_end_keeps_neither_keys_from_changing_nor_the_service_from_stopping(
    backend: str, workers: int, models: Path, tmp_path: Path
):
    bundle = Bundle(models, tmp_path, backend)
    keys = tmp_path / "keys"
    keys.write_text(KEYS[0])
    with running(backend, bundle.folder, tmp_path, workers=workers, api_key_file=keys) as service:
        endless = pickle.dumps(Call(exec, "while True: pass")) if backend == "pickle" else endless_graph()
        bundle.replace_artifact(endless)
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: is_at_work(service), service.log)
        keys.write_text(KEYS[1])
        service.process.send_signal(signal.SIGHUP)
        wait_until(lambda: [opens(service, key) for key in KEYS] == [[False], [True]], service.log)
        assert "reloaded" not in service.log.read_text()


def is_at_work(service: TestedService) -> bool:
    """Whether a process of the service, or the one that tries a bundle, takes a CPU."""
    processes = [psutil.Process(service.process.pid), *psutil.Process(service.process.pid).children()]
    with contextlib.suppress(psutil.NoSuchProcess):
        return max(process.cpu_percent(0.2) for process in processes) > 30
    return False


def endless_graph() -> bytes:
    """It counts on and on, whatever it is asked."""
    carried = (("i", INT64, []), ("go", BOOL, []), ("x", FLOAT, [2]))
    state = [helper.make_tensor_value_info(*each) for each in carried]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["x"], ["y"])], "body", state,
        [helper.make_tensor_value_info("on", BOOL, []), helper.make_tensor_value_info("y", FLOAT, [2])],
    )  # fmt: skip
    nodes = [
        helper.make_node("Loop", ["", "ever", "start"], ["end"], body=body),
        helper.make_node("Reshape", ["end", "shape"], ["probabilities"]),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = [
        helper.make_tensor("ever", BOOL, [], [True]),
        helper.make_tensor("start", FLOAT, [2], [0, 0]),
        helper.make_tensor("shape", INT64, [2], [1, 2]),
    ]
    inputs = {"categorical": (STRING, ["N", "C"]), "numeric": (FLOAT, ["N", "M"])}
    outputs = {"label": (INT64, ["N"]), "probabilities": (FLOAT, ["N", "K"])}
    described = [
        [helper.make_tensor_value_info(name, *kind) for name, kind in tensors.items()] for tensors in (inputs, outputs)
    ]
    graph = helper.make_graph(nodes, "endless", *described, constants)
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()


def replace_a_worker(service: TestedService) -> None:
    killed = min(workers_of(service))
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: killed not in workers_of(service) and len(workers_of(service)) == 2, service.log)
    wait_until(lambda: answered(service), service.log)


def answered(service: TestedService) -> bool:
    try:
        return all(get(service, "/health/ready").status_code == 200 for _ in range(10))
    except httpx.TransportError:  # a connection that the killed worker had accepted
        return False
