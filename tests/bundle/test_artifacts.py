"""Artifacts: no byte of them is handed out that the manifest doesn't vouch for."""

import hashlib
import os
import pickle
import shutil
from pathlib import Path

import msgspec
import pytest

from bundle import artifacts
from bundle.artifacts import describe_artifact, read_artifact
from bundle.errors import BundleError
from bundle.manifest import Artifact, decode_manifest, encode_manifest, read_manifest

KINDS = ("onnx", "onnx_packed", "pickle", "reference")


@pytest.fixture
def copy(models, tmp_path):
    """A copy of the small bundle, to be damaged."""
    return Path(shutil.copytree(models, tmp_path / "models", symlinks=True))


def test_artifact_is_described_by_its_content():
    assert describe_artifact(b"content", "v1/model.pkl") == Artifact(
        file="v1/model.pkl",
        bytes=7,
        sha256="ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73",
    )


@pytest.mark.parametrize("kind", KINDS)
def test_content_is_that_of_the_described_file(manifest, models, kind):
    artifact = manifest.artifacts[kind]
    content = read_artifact(manifest, kind, models)
    assert content == (models / artifact.file).read_bytes()
    assert (len(content), hashlib.sha256(content).hexdigest()) == (artifact.bytes, artifact.sha256)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: bytes([content[0] ^ 1]) + content[1:],
        lambda content: content[:-1] + bytes([content[-1] ^ 128]),
        lambda _: b"",
    ],
    ids=["cut", "longer", "first bit", "last bit", "empty"],
)
def test_altered_artifact_is_refused_and_named(manifest, copy, kind, damage):
    path = copy / manifest.artifacts[kind].file
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError) as raised:
        read_artifact(manifest, kind, copy)
    message = str(raised.value)
    if path.stat().st_size > manifest.artifacts[kind].bytes:  # not read at all
        assert message.startswith(f"{path}: more than the manifest's {manifest.artifacts[kind].bytes:,} bytes")
    else:
        assert message.startswith(f"{path}: SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}…")
    assert manifest.artifacts[kind].sha256[:12] in message
    assert message.endswith("the file was altered; train again")
    for other in set(KINDS) - {kind}:
        read_artifact(manifest, other, copy)


@pytest.mark.parametrize("kind", KINDS)
def test_missing_artifact_is_named(manifest, copy, kind):
    path = copy / manifest.artifacts[kind].file
    path.unlink()
    with pytest.raises(BundleError, match=f"^{path}: No such file or directory, but the manifest lists it"):
        read_artifact(manifest, kind, copy)


def test_artifact_of_another_size_than_the_manifest_says_is_refused(manifest, copy):
    artifact = msgspec.structs.replace(manifest.artifacts["pickle"], bytes=1 << 40)
    other = msgspec.structs.replace(manifest, artifacts={"pickle": artifact})
    with pytest.raises(BundleError, match=r"bytes\) differs from the manifest's .* \(1099511627776 bytes\)"):
        read_artifact(other, "pickle", copy)


def test_artifact_that_is_a_folder_is_refused(manifest, copy):
    path = copy / manifest.artifacts["onnx"].file
    path.unlink()
    path.mkdir()
    with pytest.raises(BundleError, match="Is a directory"):
        read_artifact(manifest, "onnx", copy)


@pytest.mark.parametrize("make", ["pipe", "device", "sparse"])
def test_artifact_that_has_no_end_is_not_read(manifest, copy, make):
    path = copy / manifest.artifacts["onnx"].file
    path.unlink()
    if make == "pipe":
        os.mkfifo(path)
    elif make == "device":
        path.symlink_to("/dev/zero")
    else:
        with path.open("wb") as stream:
            stream.truncate(1 << 42)
    expected = "more than the manifest's" if make == "sparse" else "not a regular file, but the manifest lists it"
    with pytest.raises(BundleError, match=f"^{path}: {expected}"):
        read_artifact(manifest, "onnx", copy)


@pytest.mark.parametrize(
    "file", ["/etc/passwd", "../model.pkl", "a/../../model.pkl", "a\\model.pkl", "a\0b", "", "a//b", "./a", "a/", "a/."]
)
def test_path_that_could_leave_the_bundle_is_refused_where_the_manifest_is_read(manifest, file):
    content = encode_manifest(manifest).replace(
        msgspec.json.encode(manifest.artifacts["onnx"].file), msgspec.json.encode(file), 1
    )
    with pytest.raises(BundleError, match=r"^m\.json: not a valid manifest: .* is not a relative path inside"):
        decode_manifest(content, "m.json")


def test_artifact_that_the_manifest_does_not_list_is_an_error(manifest, models):
    without = {kind: artifact for kind, artifact in manifest.artifacts.items() if kind != "onnx_packed"}
    with pytest.raises(BundleError, match=r"lists no artifact 'onnx_packed'; train again"):
        read_artifact(msgspec.structs.replace(manifest, artifacts=without), "onnx_packed", models)
    graph = {kind: artifact for kind, artifact in manifest.artifacts.items() if kind != "pickle"}
    with pytest.raises(BundleError, match=r"lists no artifact 'pickle'; serve its graph"):
        read_artifact(msgspec.structs.replace(manifest, artifacts=graph), "pickle", models)


def test_bytes_that_were_checked_are_the_bytes_that_are_returned(manifest, copy, monkeypatch):
    """A file that is swapped right after it was read changes nothing: it is not read a second time."""
    path = copy / manifest.artifacts["pickle"].file
    original = path.read_bytes()
    read = artifacts.read_regular

    def read_and_swap(path, *, most):
        content = read(path, most=most)
        path.write_bytes(b"swapped")
        return content

    monkeypatch.setattr(artifacts, "read_regular", read_and_swap)
    assert read_artifact(manifest, "pickle", copy) == original
    assert path.read_bytes() == b"swapped"


class RunsCode:
    """What unpickling it does, a test would see."""

    def __init__(self, witness):
        self.witness = witness

    def __reduce__(self):
        return Path.touch, (self.witness,)


def test_pickle_that_would_run_code_is_refused_before_it_can(manifest, copy, tmp_path):
    witness = tmp_path / "code was run"
    (copy / manifest.artifacts["pickle"].file).write_bytes(pickle.dumps(RunsCode(witness)))
    with pytest.raises(BundleError, match="the file was altered"):
        pickle.loads(read_artifact(manifest, "pickle", copy))
    assert not witness.exists()


def test_bundle_can_be_moved_to_another_folder(manifest, copy):
    assert read_manifest(copy) == manifest
    for kind in KINDS:
        read_artifact(manifest, kind, copy)
