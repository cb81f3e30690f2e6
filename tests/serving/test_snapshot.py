import shutil
from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.manifest import read_manifest
from serving.process.snapshot import Snapshot
from serving.settings import Settings, read_settings


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models, tmp_path / "models", symlinks=True))


@pytest.fixture
def settings(copied: Path) -> Settings:
    return read_settings({"SERVE_MODEL_DIR": str(copied)}, default_port=0)


@pytest.fixture
def snapshot(tmp_path: Path) -> Snapshot:
    (tmp_path / "snapshot").mkdir()
    return Snapshot(tmp_path / "snapshot", "onnx_packed")


def test_a_snapshot_holds_the_manifest_and_the_one_artifact(snapshot, settings, manifest):
    assert snapshot.take(settings) == manifest.version
    assert read_manifest(snapshot.current) == manifest
    files = [path.name for path in snapshot.current.resolve().rglob("*") if path.is_file()]
    assert sorted(files) == [f"{manifest.name}.json", f"{manifest.name}.packed.onnx"]


def test_a_bundle_that_is_not_whole_leaves_the_last_snapshot(snapshot, settings, manifest, copied):
    snapshot.take(settings)
    (copied / manifest.artifacts["onnx_packed"].file).write_bytes(b"")
    with pytest.raises(BundleError, match=str(copied)):
        snapshot.take(settings)
    (copied / f"{manifest.name}.json").write_text("{}")
    with pytest.raises(BundleError, match=str(copied / f"{manifest.name}.json")):
        snapshot.take(settings)
    assert read_manifest(snapshot.current) == manifest


def test_only_the_last_two_are_kept(snapshot, settings):
    for _ in range(5):
        snapshot.take(settings)
    folders = [path for path in snapshot.current.parent.iterdir() if not path.is_symlink()]
    assert sorted(folder.name for folder in folders) == ["3", "4"]
    assert snapshot.current.resolve().name == "4"


def test_a_full_disk_is_told_and_leaves_the_last_snapshot(snapshot, settings, manifest, monkeypatch):
    snapshot.take(settings)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(BundleError, match="No space left on device"):
        snapshot.take(settings)
    assert read_manifest(snapshot.current) == manifest
