"""What a service says and does when it can't start: one clear line, a non-zero exit status, nothing loaded."""

import hashlib
import json
import pickle
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from load_testing.services import reserved_port
from tests.services import ROOT, command, environment, running


class Malicious:
    """A pickle of this creates a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def start(backend: str, models: Path, **settings: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(backend),
        cwd=ROOT, env=environment(models, **settings), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models, tmp_path / "models", symlinks=True))


def artifact(models: Path, kind: str) -> Path:
    (manifest,) = models.glob("*.json")
    return models / json.loads(manifest.read_bytes())["artifacts"][kind]["file"]


def refused(result: subprocess.CompletedProcess[str], *words: str) -> bool:
    (line,) = result.stderr.strip().splitlines()
    return result.returncode == 2 and line.startswith("error: ") and all(word in line for word in words)


@pytest.mark.parametrize("backend", ["onnx", "pickle"])
def test_without_a_bundle_it_says_how_to_get_one(backend: str, tmp_path: Path):
    assert refused(start(backend, tmp_path), str(tmp_path), "make train")


def test_a_pickle_with_a_wrong_digest_is_never_unpickled(copied: Path, tmp_path: Path):
    trap = tmp_path / "code-was-run"
    artifact(copied, "pickle").write_bytes(pickle.dumps(Malicious(trap)))
    assert refused(start("pickle", copied), "adult_income_model.pkl", "SHA-256", "altered")
    assert not trap.exists()


def test_the_trap_would_have_worked(tmp_path: Path):
    trap = tmp_path / "code-was-run"
    pickle.loads(pickle.dumps(Malicious(trap)))
    assert trap.exists()


def test_an_altered_graph_is_refused(copied: Path):
    path = artifact(copied, "onnx_packed")
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert refused(start("onnx", copied), path.name, "altered")


def test_a_missing_artifact_is_named(copied: Path):
    path = artifact(copied, "onnx_packed")
    path.unlink()
    assert refused(start("onnx", copied), path.name)


def test_a_manifest_that_is_not_one_is_named(copied: Path):
    (manifest,) = copied.glob("*.json")
    manifest.write_text("{")
    assert refused(start("onnx", copied), manifest.name, "not a valid manifest")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["onnx", "pickle", pytest.param("axum", marks=pytest.mark.cargo)])
def test_a_bundle_that_is_not_the_pinned_one_is_refused(backend: str, copied: Path, tmp_path: Path):
    (manifest,) = copied.glob("*.json")
    pin = hashlib.sha256(manifest.read_bytes()).hexdigest()
    with running(backend, copied, tmp_path, manifest_sha256=pin.upper()):
        pass  # it is ready, and ends well
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    assert refused(start(backend, copied, manifest_sha256=pin), manifest.name, pin[:12], "not the bundle meant")


def test_whoever_writes_a_pickle_and_its_digest_can_not_pass_the_pin(copied: Path, tmp_path: Path):
    trap = tmp_path / "code-was-run"
    content = pickle.dumps(Malicious(trap))
    artifact(copied, "pickle").write_bytes(content)
    (manifest,) = copied.glob("*.json")
    pin = hashlib.sha256(manifest.read_bytes()).hexdigest()
    altered = json.loads(manifest.read_bytes())
    altered["artifacts"]["pickle"] |= {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest.write_text(json.dumps(altered))
    assert refused(start("pickle", copied, manifest_sha256=pin), manifest.name, pin[:12])
    assert not trap.exists()
    start("pickle", copied, workers=1)  # without the pin only the digest and the size are asked for, and they fit
    assert trap.exists()


def test_a_wrong_setting_is_named(models: Path):
    assert refused(start("onnx", models, port="http"), "SERVE_PORT='http'")


def test_a_good_digest_of_a_bad_graph_is_refused(copied: Path):
    path = artifact(copied, "onnx_packed")
    graph = b"not a graph"
    path.write_bytes(graph)
    (manifest,) = copied.glob("*.json")
    content = json.loads(manifest.read_bytes())
    content["artifacts"]["onnx_packed"] |= {"sha256": hashlib.sha256(graph).hexdigest(), "bytes": len(graph)}
    manifest.write_text(json.dumps(content))
    assert refused(start("onnx", copied, workers=1), "the onnx model of adult_income_model", "does not work here")


@pytest.mark.parametrize(
    ("backend", "workers"),
    [("onnx", 1), ("onnx", 2), ("pickle", 1), pytest.param("pickle", 2, marks=pytest.mark.slow)],
)
def test_a_model_that_answers_otherwise_than_expected_is_refused(backend: str, workers: int, copied: Path):
    """With several workers as well: those that can't start are not started again and again."""
    (manifest,) = copied.glob("*.json")
    content = json.loads(manifest.read_bytes())
    first, second = content["expected"]["probabilities"]
    content["expected"]["probabilities"] = [first - 0.125, second + 0.125]
    content["libraries"]["xgboost"] = "0.72"
    manifest.write_text(json.dumps(content))
    answers = f"({first:.9f}"[:7], f"({first - 0.125:.9f}"[:7]  # cut, not rounded: both are shown in full
    result = start(backend, copied, workers=workers)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
    for words in (f"the {backend} model of adult_income_model", *answers, "xgboost 0.72", "running on python"):
        assert words in line


def test_a_taken_port_ends_the_start(models: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert start("onnx", models, workers=1, port=taken.getsockname()[1]).returncode != 0


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_of_two_services_that_are_started_at_once_one_gets_the_port(workers: int, models: Path):
    with reserved_port() as port:
        given = environment(models, workers=2, port=port)
        with subprocess.Popen(
            command("onnx"), cwd=ROOT, env=given, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as first:
            try:
                assert first.stderr is not None
                while "Uvicorn running on" not in first.stderr.readline():  # it is bound, and nobody listens yet
                    assert first.poll() is None
                assert refused(start("onnx", models, workers=workers, port=port), f"PORT={port}", "in use")
            finally:
                first.terminate()
                first.communicate()


@pytest.mark.slow
def test_a_service_whose_workers_can_not_listen_ends(models: Path):
    with reserved_port() as port, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with subprocess.Popen(
            command("onnx"), cwd=ROOT, env=environment(models, workers=2, port=port), stderr=subprocess.PIPE, text=True
        ) as service:
            try:
                assert service.stderr is not None
                while "Uvicorn running on" not in service.stderr.readline():
                    assert service.poll() is None
                other.bind(("127.0.0.1", port))
                other.listen()
                told = service.communicate(timeout=120)[1]
            finally:
                service.kill()
        assert service.returncode == 2
        assert told.splitlines()[-1] == f"error: 127.0.0.1 port {port} can't be listened at: Address already in use"
        assert "Traceback" not in told
