"""Artifacts on disk, and the digests that bind them to the manifest."""

import errno
import hashlib
from pathlib import Path

from bundle.errors import BundleError
from bundle.files import read_regular
from bundle.manifest import Artifact, ArtifactKind, Manifest


def describe_artifact(content: bytes, file: str) -> Artifact:
    """Size and digest of the content of `file`, a path relative to the manifest."""
    return Artifact(file=file, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def read_artifact(manifest: Manifest, kind: ArtifactKind, folder: Path) -> bytes:
    """The content of an artifact, checked against the manifest before anything parses or unpickles it.

    The bytes that were checked are the bytes that are returned, so that a file swapped after the check changes nothing.

    Raises:
        BundleError: the manifest lists no such artifact, or its file is missing, not a regular one, or differs from the
            manifest; a larger one is not read.
    """
    artifact = manifest.artifacts.get(kind)
    if artifact is None:
        remedy = "serve its graph" if kind == "pickle" and "onnx" in manifest.artifacts else "train again"
        raise BundleError(f"{folder}: the manifest lists no artifact {kind!r}; {remedy}")
    path = folder / artifact.file
    try:
        content = read_regular(path, most=artifact.bytes)
    except OSError as error:
        if error.errno == errno.EFBIG:
            raise BundleError(
                f"{path}: more than the manifest's {artifact.bytes:,} bytes (SHA-256 {artifact.sha256[:12]}…): "
                "the file was altered; train again"
            ) from error
        raise BundleError(f"{path}: {error.strerror}, but the manifest lists it; train again") from error
    digest = hashlib.sha256(content).hexdigest()
    if len(content) != artifact.bytes or digest != artifact.sha256:
        raise BundleError(
            f"{path}: SHA-256 {digest[:12]}… ({len(content)} bytes) differs from the manifest's "
            f"{artifact.sha256[:12]}… ({artifact.bytes} bytes): the file was altered; train again"
        )
    return content
