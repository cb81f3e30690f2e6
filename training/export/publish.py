"""Publish a bundle: all of it or nothing.

The artifacts of a version stand in a folder named after it. The manifest beside the folders names their files, so that
replacing the manifest, one atomic rename, is the moment in which the new bundle is published. A run that is killed
before it leaves the old bundle whole, and one killed after it the new one; at no time do the two mix.
"""

import contextlib
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from bundle.artifacts import describe_artifact, read_artifact
from bundle.errors import BundleError
from bundle.manifest import Artifact, ArtifactKind, Manifest, decode_manifest, encode_manifest

SUFFIXES: Mapping[ArtifactKind, str] = {
    "onnx": ".onnx",
    "onnx_packed": ".packed.onnx",
    "pickle": ".pkl",
    "reference": ".reference.parquet",
}
Describe = Callable[[str, dict[ArtifactKind, Artifact]], Manifest]
"""Makes the manifest of a version and its artifacts."""

_PENDING = ".pending-"


def publish(
    name: str,
    contents: Mapping[ArtifactKind, bytes],
    describe: Describe,
    models: Path,
) -> Manifest:
    """Write the artifacts and the manifest that `describe(version, artifacts)` makes of them.

    The version is derived from the artifacts' content: the same artifacts are the same version.

    Raises:
        BundleError: what was written can't be read back as it was meant.
        OSError: the disk is full or not writable. The previous bundle is untouched.
    """
    models.mkdir(parents=True, exist_ok=True)
    digests = "".join(hashlib.sha256(contents[kind]).hexdigest() for kind in sorted(contents))
    version = hashlib.sha256(digests.encode()).hexdigest()[:12]
    final = models / f"{name}-{version}"
    previous = _published(models, name)
    pending = Path(tempfile.mkdtemp(dir=models, prefix=_PENDING))
    try:
        folder = pending / final.name
        folder.mkdir()
        artifacts = {}
        for kind, content in contents.items():
            path = folder / f"{name}{SUFFIXES[kind]}"
            _write(path, content)
            artifacts[kind] = describe_artifact(content, path.relative_to(pending).as_posix())
        manifest = describe(version, artifacts)
        draft = pending / f"{name}.json"
        _write(draft, encode_manifest(manifest))
        _verify(draft, manifest, pending)
        _make_readable(pending)
        _place(folder, final)
        draft.replace(models / draft.name)
        _sync(models)
    finally:
        shutil.rmtree(pending, ignore_errors=True)
    _tidy(models, name, final, previous)
    return manifest


def check_vacant(name: str, models: Path) -> None:
    """A model folder holds one model: services ask it for "the" manifest.

    Raises:
        BundleError: the folder holds the bundle of another model.
    """
    others = [path.name for path in sorted(models.glob("*.json")) if path.name != f"{name}.json"]
    if others:
        raise BundleError(f"{models} holds the bundle of another model ({others[0]}); move it away, or give --models")


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _verify(draft: Path, manifest: Manifest, folder: Path) -> None:
    if decode_manifest(draft.read_bytes(), str(draft)) != manifest:
        raise BundleError(f"{draft.name}: the manifest does not read back as it was written")
    for kind in manifest.artifacts:
        read_artifact(manifest, kind, folder)


def _make_readable(pending: Path) -> None:
    # mkdtemp keeps others out, but services run as users of their own
    for path in (pending, *pending.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)


def _place(folder: Path, final: Path) -> None:
    """Put the version's folder in place; one with the same content may be there, and may have been damaged since."""
    if final.exists():
        for path in folder.iterdir():
            path.replace(final / path.name)
    else:
        folder.rename(final)
    _sync(final)
    _sync(final.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _published(models: Path, name: str) -> Path | None:
    """The folder of the version that the manifest in place names, if there is one and it can be read."""
    path = models / f"{name}.json"
    with contextlib.suppress(OSError, BundleError):
        return models / f"{name}-{decode_manifest(path.read_bytes(), str(path)).version}"
    return None


def _tidy(models: Path, name: str, current: Path, previous: Path | None) -> None:
    """Keep the version before (a service may be starting from it); remove older ones, and what killed runs left."""
    versions = [path for path in models.glob(f"{name}-*") if path.is_dir() and path != current]
    versions.sort(key=lambda path: (path == previous, path.stat().st_mtime))
    for path in [*versions[:-1], *models.glob(f"{_PENDING}*")]:
        shutil.rmtree(path, ignore_errors=True)
    for suffix in SUFFIXES.values():
        _link(models / f"{name}{suffix}", f"{current.name}/{name}{suffix}")


def _link(path: Path, target: str) -> None:
    """A link from the plain file name, for people and for other tools; services follow the manifest."""
    temporary = path.with_name(f".{path.name}.link")
    with contextlib.suppress(OSError):  # a convenience: some file systems have no links
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
