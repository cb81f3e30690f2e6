"""Publish a bundle: all of it or nothing.

The artifacts of a version are in a folder named after it. The manifest beside the folders names their files, so that
replacing the manifest, one atomic rename, publishes the new bundle. A run that is killed before that leaves the old
bundle whole, and one that is killed after it the new one; the two never mix. Processes that publish into the same
folder do so one after the other, whatever they publish.
"""

import contextlib
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bundle.artifacts import describe_artifact, read_artifact
from bundle.errors import BundleError
from bundle.lock import waiting_for
from bundle.manifest import Artifact, ArtifactKind, Manifest, decode_manifest, encode_manifest, read_manifest

SUFFIXES: Mapping[ArtifactKind, str] = {
    "onnx": ".onnx",
    "onnx_packed": ".packed.onnx",
    "pickle": ".pkl",
    "reference": ".reference.parquet",
}

_LOCK = ".publishing"
_PENDING = ".pending-"


@dataclass(frozen=True)
class StagedArtifacts:
    """The artifacts of a bundle yet to be written: what its manifest will say about them, and their contents."""

    version: str
    artifacts: dict[ArtifactKind, Artifact]
    contents: Mapping[ArtifactKind, bytes]


def stage(name: str, contents: Mapping[ArtifactKind, bytes]) -> StagedArtifacts:
    """Name the files of the artifacts, and derive the version from their content: the same artifacts have the same
    version.
    """
    digests = "".join(hashlib.sha256(contents[kind]).hexdigest() for kind in sorted(contents))
    version = hashlib.sha256(digests.encode()).hexdigest()[:12]
    artifacts = {
        kind: describe_artifact(content, f"{name}-{version}/{name}{SUFFIXES[kind]}")
        for kind, content in contents.items()
    }
    return StagedArtifacts(version, artifacts, contents)


def publish(manifest: Manifest, staged: StagedArtifacts, models: Path) -> None:
    """Write the artifacts and their manifest. Waits for other processes that publish into the folder.

    Raises:
        BundleError: what was written can't be read back as it was meant, or the folder holds another model's bundle.
        OSError: the disk is full or not writable. The previous bundle is untouched.
    """
    with waiting_for(models / _LOCK):
        check_vacant(manifest.name, models)
        previous = _published(models)
        for path in models.glob(f"{_PENDING}*"):  # of runs that were killed: running ones wait for the lock
            shutil.rmtree(path, ignore_errors=True)
        pending = Path(tempfile.mkdtemp(dir=models, prefix=_PENDING))
        try:
            _write_all(manifest, staged, pending)
            _place(pending / _folder(manifest), models / _folder(manifest))
            draft = pending / f"{manifest.name}.json"
            draft.replace(models / draft.name)
            _sync(models)
        finally:
            shutil.rmtree(pending, ignore_errors=True)
        _tidy(models, manifest, previous)


def check_vacant(name: str, models: Path) -> None:
    """Check that the folder holds no other model: services expect one manifest there.

    Raises:
        BundleError: the folder holds the bundle of another model.
    """
    others = [path.name for path in sorted(models.glob("*.json")) if path.name != f"{name}.json"]
    if others:
        raise BundleError(f"{models} holds the bundle of another model ({others[0]}); name another folder with MODELS=")


def _folder(manifest: Manifest) -> str:
    return f"{manifest.name}-{manifest.version}"


def _write_all(manifest: Manifest, staged: StagedArtifacts, pending: Path) -> None:
    """Write the version's folder and a draft of the manifest beside it, read both back, and compare."""
    (pending / _folder(manifest)).mkdir()
    for kind, content in staged.contents.items():
        _write(pending / staged.artifacts[kind].file, content)
    draft = pending / f"{manifest.name}.json"
    _write(draft, encode_manifest(manifest))
    if decode_manifest(draft.read_bytes(), str(draft)) != manifest or manifest.artifacts != staged.artifacts:
        raise BundleError(f"{draft.name}: the manifest does not read back as it was written")
    for kind in manifest.artifacts:
        read_artifact(manifest, kind, pending)
    for path in (pending, *pending.rglob("*")):  # mkdtemp keeps others out, but services run as users of their own
        path.chmod(0o755 if path.is_dir() else 0o644)


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


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


def _published(models: Path) -> str | None:
    """Name of the folder of the version that is published, if there is one and its manifest can be read."""
    with contextlib.suppress(BundleError):
        return _folder(read_manifest(models))
    return None


def _tidy(models: Path, manifest: Manifest, previous: str | None) -> None:
    """Keep the previous version (a service may be starting from it), and remove older ones, but no other folder."""
    current = _folder(manifest)
    pattern = re.compile(re.escape(manifest.name) + "-[0-9a-f]{12}")
    versions = [path for path in models.iterdir() if pattern.fullmatch(path.name) and path.name != current]
    versions.sort(key=lambda path: (path.name == previous, path.lstat().st_mtime))
    for path in versions[:-1]:
        shutil.rmtree(path, ignore_errors=True)
    for suffix in SUFFIXES.values():
        _link(models / f"{manifest.name}{suffix}", f"{current}/{manifest.name}{suffix}")


def _link(path: Path, target: str) -> None:
    """A link from the plain file name, for people and for other tools; services follow the manifest."""
    temporary = path.with_name(f".{path.name}.link")
    with contextlib.suppress(OSError):  # a convenience: some file systems have no links
        temporary.unlink(missing_ok=True)
        temporary.symlink_to(target)
        temporary.replace(path)
