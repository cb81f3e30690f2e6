"""`make visualize` says where the graph is shown, shows it, and ends with Ctrl-C."""

import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import msgspec
import pytest

from bundle.errors import BundleError
from bundle.manifest import Manifest
from load_testing.services import reserved_port
from training.visualize import graph_file, main

pytest.importorskip("netron")


def without(manifest: Manifest, *kinds: str) -> Manifest:
    artifacts = {kind: one for kind, one in manifest.artifacts.items() if kind not in kinds}
    return msgspec.structs.replace(manifest, artifacts=artifacts)


def test_the_graph_with_named_inputs_is_shown_where_there_is_one(manifest: Manifest):
    models = Path("m")
    assert graph_file(models, manifest) == models / manifest.artifacts["onnx"].file
    assert graph_file(models, without(manifest, "onnx")) == models / manifest.artifacts["onnx_packed"].file
    with pytest.raises(BundleError, match="m: the bundle has no ONNX graph"):
        graph_file(models, without(manifest, "onnx", "onnx_packed"))


def test_a_folder_without_a_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--models", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"error: {tmp_path}: no model bundle here; `make train`")


def test_it_serves_until_it_is_interrupted(models: Path):
    with reserved_port() as port:
        command = [sys.executable, "-m", "training", "visualize", "--models", str(models), "--port", str(port)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert f"is shown at http://127.0.0.1:{port} until you press Ctrl-C" in line
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=10) as page:
                assert b"Netron" in page.read()
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 0
