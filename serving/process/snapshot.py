"""A private copy of the served bundle, which the workers of a service are started from.

A worker that ends is started anew, whatever stands in the bundle's folder by then: a newer bundle, which the other
workers don't serve yet, or a damaged one, which would end the service.
"""

import shutil
from pathlib import Path

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import ArtifactKind, find_manifest, read_manifest
from serving.settings import Settings


class Snapshot:
    """Copies in `folder`, which must exist; `current` is the path of the last one, the same for all of them."""

    def __init__(self, folder: Path, artifact: ArtifactKind) -> None:
        self.current = folder / "current"
        self._folder = folder
        self._artifact = artifact
        self._taken: list[Path] = []

    def take(self, settings: Settings) -> str:
        """Copy the bundle of the settings, checked as at a start. Returns the model's version.

        The copy before it is kept, as a worker may just be reading it.

        Raises:
            BundleError: it is not whole, not the pinned one, or can't be copied; the last copy stays current.
        """
        copy = self._folder / str(len(self._taken))
        try:
            version = self._copy(settings, copy)
            link = self._folder / "next"
            link.symlink_to(copy, target_is_directory=True)
            link.replace(self.current)
        except OSError as error:
            shutil.rmtree(copy, ignore_errors=True)
            raise BundleError(f"{settings.model_dir}: can't be copied for the workers: {error.strerror}") from error
        except BundleError:
            shutil.rmtree(copy, ignore_errors=True)
            raise
        self._taken.append(copy)
        for old in self._taken[:-2]:
            shutil.rmtree(old, ignore_errors=True)
        return version

    def _copy(self, settings: Settings, copy: Path) -> str:
        manifest_file = find_manifest(settings.model_dir)
        copy.mkdir(mode=0o700)
        shutil.copyfile(manifest_file, copy / manifest_file.name)
        try:
            manifest = read_manifest(copy, pin=settings.manifest_sha256)
        except BundleError as error:  # of the original, as far as anybody is concerned
            raise BundleError(str(error).replace(str(copy), str(settings.model_dir))) from error
        content = read_artifact(manifest, self._artifact, settings.model_dir)
        path = copy / manifest.artifacts[self._artifact].file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return manifest.version
