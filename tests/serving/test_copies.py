import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.manifest import read_manifest
from serving.process.copies import Copies, copy_bundle, load
from serving.process.private_folder import FOLDER
from serving.settings import Settings, read_settings

KIND = "onnx_packed"


@pytest.fixture
def copied(models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(models, tmp_path / "models", symlinks=True))


@pytest.fixture
def settings(copied: Path) -> Settings:
    return read_settings({"SERVE_MODEL_DIR": str(copied)}, default_port=0)


@pytest.fixture
def copies(tmp_path: Path) -> Copies:
    (tmp_path / "copies").mkdir()
    return Copies(tmp_path / "copies")


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def rename_artifact(models: Path, file: str) -> None:
    """Let the manifest name another file; it is not moved."""
    (path,) = models.glob("*.json")
    content = json.loads(path.read_bytes())
    content["artifacts"][KIND]["file"] = file
    path.write_text(json.dumps(content))


def test_a_copy_holds_the_manifest_and_the_one_artifact(copies, settings, manifest, copied):
    copy = copies.name_next()
    assert copy_bundle(settings, KIND, copy) == manifest.version
    assert files(copy) == {
        "manifest.json": (copied / f"{manifest.name}.json").read_bytes(),
        "artifact": (copied / manifest.artifacts[KIND].file).read_bytes(),
    }


def test_a_worker_loads_the_copy_that_is_current_by_then(copies, settings, manifest, copied, monkeypatch, tmp_path):
    content = (copied / manifest.artifacts[KIND].file).read_bytes()
    assert load(settings, KIND) == (manifest, content)
    copy = copies.name_next()
    copy_bundle(settings, KIND, copy)
    copies.adopt(copy)
    shutil.rmtree(copied)
    monkeypatch.setenv(FOLDER, str(tmp_path))
    of_worker = replace(settings, model_dir=tmp_path / "copies/current")
    assert load(of_worker, KIND) == (manifest, content)
    with pytest.raises(BundleError, match="lists no artifact 'other'"):
        load(of_worker, "other")


@pytest.mark.parametrize("file", ["manifest.json", "d/e/f/manifest.json", "links/artifact", "x" * 200])
def test_no_name_in_a_bundle_decides_where_a_copy_is_written(copies, settings, manifest, copied, file, tmp_path):
    """Not even where a link in the bundle leads elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (copied / "links").symlink_to(elsewhere)
    content = (copied / manifest.artifacts[KIND].file).read_bytes()
    path = copied / "unused" / file if file == "manifest.json" else copied / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    rename_artifact(copied, path.relative_to(copied).as_posix())
    before = files(elsewhere)
    copy = copies.name_next()
    copy_bundle(settings, KIND, copy)
    assert files(copy).keys() == {"manifest.json", "artifact"}
    assert (copy / "artifact").read_bytes() == content
    assert files(elsewhere) == before
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


@pytest.mark.parametrize("file", ["d/../../../../x", "/etc/hostname", "..", "a\\b"])
def test_a_path_that_leaves_the_bundle_is_refused(copies, settings, copied, file, tmp_path):
    (copied / "a/b/c/d/e").mkdir(parents=True)
    (copied / "d").symlink_to("a/b/c/d/e")
    rename_artifact(copied, file)
    before = files(tmp_path)
    with pytest.raises(BundleError, match=r"not a valid manifest: .* is not a relative path inside the bundle"):
        copy_bundle(settings, KIND, copies.name_next())
    assert files(tmp_path).keys() - before.keys() == {"copies/1/manifest.json"}


def test_a_bundle_that_is_not_whole_is_named_as_the_original(copies, settings, manifest, copied):
    (copied / manifest.artifacts[KIND].file).write_bytes(b"")
    with pytest.raises(BundleError, match=str(copied)):
        copy_bundle(settings, KIND, copies.name_next())
    (copied / f"{manifest.name}.json").write_text("{}")
    with pytest.raises(BundleError, match=str(copied / f"{manifest.name}.json")):
        copy_bundle(settings, KIND, copies.name_next())


def test_only_the_last_two_are_kept(copies, settings, manifest, tmp_path):
    for _ in range(5):
        copy = copies.name_next()
        copy_bundle(settings, KIND, copy)
        copies.adopt(copy)
    folders = [path for path in (tmp_path / "copies").iterdir() if not path.is_symlink()]
    assert sorted(folder.name for folder in folders) == ["4", "5"]
    assert (tmp_path / "copies/current").resolve().name == "5"
    assert read_manifest(tmp_path / "copies/current") == manifest


def test_a_full_disk_is_told_and_leaves_the_last_copy(copies, settings, manifest, monkeypatch, tmp_path):
    copy = copies.name_next()
    copy_bundle(settings, KIND, copy)
    copies.adopt(copy)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(BundleError, match="can't be copied for the workers: No space left on device"):
        copy_bundle(settings, KIND, copies.name_next())
    assert read_manifest(tmp_path / "copies/current") == manifest
