"""Fetch one raw file from the first source that gives exactly the expected bytes."""

import hashlib
import io
import os
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
import zlib
from http.client import HTTPException
from pathlib import Path

from training.dataset import RemoteFile
from training.errors import DownloadError

CHUNK_BYTES = 1 << 16
MAX_ARCHIVE_BYTES = 64 << 20

# What a source can do wrong. RuntimeError is zipfile's word for an encrypted member or an unknown compression.
_FAILURES = (OSError, ValueError, HTTPException, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


def download(file: RemoteFile, folder: Path, *, connect_seconds: float = 10, total_seconds: float = 120) -> Path:
    """Store the verified file in `folder` and return its path. Nothing partial is ever left there.

    `connect_seconds` bounds connecting and every read, `total_seconds` the whole transfer from one source.

    Raises:
        DownloadError: no source gave the file; the message says for each source why.
    """
    failures = []
    for source in file.sources:
        try:
            content = _fetch(source, file, connect_seconds, total_seconds)
        except _FAILURES as error:
            failures.append(f"{source}: {_reason(error)}")
            continue
        return _store(content, folder / file.name)
    raise DownloadError(f"{file.name} could not be downloaded:\n  " + "\n  ".join(failures))


def verify(file: RemoteFile, content: bytes) -> None:
    """Check size and digest.

    Raises:
        ValueError: the content is not the file that the data set names.
    """
    if len(content) < file.bytes:
        raise ValueError(f"truncated: {len(content):,} of {file.bytes:,} bytes")
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        raise ValueError(f"SHA-256 is {digest[:16]}…, expected {file.sha256[:16]}… ({len(content):,} bytes)")


def _fetch(source: str, file: RemoteFile, connect_seconds: float, total_seconds: float) -> bytes:
    url, _, member = source.partition("#")
    if not url.startswith(("https://", "http://")):
        raise ValueError("only http and https sources are read")
    limit = MAX_ARCHIVE_BYTES if member else file.bytes
    content = _read(url, limit, connect_seconds, time.monotonic() + total_seconds)
    if member:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(member).file_size > file.bytes:
                raise ValueError(f"{member} is larger than the expected {file.bytes:,} bytes")
            content = archive.read(member)
    verify(file, content)
    return content


def _read(url: str, limit: int, connect_seconds: float, deadline: float) -> bytes:
    content = bytearray()
    with urllib.request.urlopen(url, timeout=connect_seconds) as response:  # noqa: S310 - the scheme was checked
        while chunk := response.read1(CHUNK_BYTES):
            content += chunk
            if len(content) > limit:
                raise ValueError(f"larger than the expected {limit:,} bytes")
            if time.monotonic() > deadline:
                raise TimeoutError(f"too slow: {len(content):,} bytes by the deadline")
    return bytes(content)


def _store(content: bytes, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__
