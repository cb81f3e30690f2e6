"""Private copies of the served bundle, which the workers of a service are started from.

A worker that ends is replaced by one with the same bundle, whatever is in the bundle's folder by then: a newer bundle,
which the other workers don't serve yet, or a damaged one, which would end the service.
"""

import shutil
from pathlib import Path

import msgspec

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.files import read_regular
from bundle.manifest import MAX_MANIFEST_BYTES, ArtifactKind, Manifest, find_manifest, read_manifest
from serving.process.private_folder import of_parent
from serving.settings import Settings

MANIFEST_FILE, ARTIFACT_FILE = "manifest.json", "artifact"
"""Names in a copy. They are fixed, so that nothing in a bundle decides where a file is written."""


def load(settings: Settings, kind: ArtifactKind) -> tuple[Manifest, bytes]:
    """The manifest and the artifact's content, checked against it; from the private copy if there is one.

    Raises:
        BundleError: there is no bundle, it is not whole, or not the pinned one.
    """
    if of_parent() is None:
        manifest = read_manifest(settings.model_dir, pin=settings.manifest_sha256)
        return manifest, read_artifact(manifest, kind, settings.model_dir)
    copy = settings.model_dir.resolve()  # both files come from one copy, even if another becomes the current one
    manifest = read_manifest(copy, pin=settings.manifest_sha256)
    return manifest, read_artifact(_with_own_name(manifest, kind), kind, copy)


def copy_bundle(settings: Settings, kind: ArtifactKind, copy: Path) -> str:
    """Copy the settings' bundle into the new folder `copy`, as far as a service needs it. Returns the model's version.

    Raises:
        BundleError: the bundle is not whole, not the pinned one, or can't be copied.
    """
    manifest_file = find_manifest(settings.model_dir)
    try:
        copy.mkdir(mode=0o700)
        (copy / MANIFEST_FILE).write_bytes(read_regular(manifest_file, most=MAX_MANIFEST_BYTES))
        manifest = read_manifest(copy, pin=settings.manifest_sha256)
        (copy / ARTIFACT_FILE).write_bytes(read_artifact(manifest, kind, settings.model_dir))
    except BundleError as error:  # reported as an error of the original
        raise BundleError(str(error).replace(str(copy / MANIFEST_FILE), str(manifest_file))) from error
    except OSError as error:
        raise BundleError(f"{settings.model_dir}: can't be copied for the workers: {error.strerror}") from error
    return manifest.version


def _with_own_name(manifest: Manifest, kind: ArtifactKind) -> Manifest:
    if (artifact := manifest.artifacts.get(kind)) is None:
        return manifest
    return msgspec.structs.replace(manifest, artifacts={kind: msgspec.structs.replace(artifact, file=ARTIFACT_FILE)})


class Copies:
    """Copies in `folder`, which must exist; its link `current` points to the one that workers start from."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0
        self._adopted: list[Path] = []

    def name_next(self) -> Path:
        """A path for another copy."""
        self._count += 1
        return self._folder / str(self._count)

    def adopt(self, copy: Path) -> None:
        """Make this copy the current one. The one before it is kept, as a worker may just be reading it.

        Raises:
            OSError: that failed; the previous one stays current.
        """
        link = self._folder / "next"
        link.unlink(missing_ok=True)
        link.symlink_to(copy, target_is_directory=True)
        link.replace(self._folder / "current")
        self._adopted.append(copy)
        for old in self._adopted[:-2]:
            self.discard(old)
        del self._adopted[:-2]

    @staticmethod
    def discard(copy: Path) -> None:
        """Remove a copy that nobody needs."""
        shutil.rmtree(copy, ignore_errors=True)
