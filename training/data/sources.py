"""Where the rows come from: local files, a verified download, or the embedded synthetic data, in this order."""

import hashlib
import io
import sys
import time
import traceback
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException
from itertools import starmap
from pathlib import Path
from typing import Any

import polars as pl

from bundle.files import replacing
from bundle.training_record import SourceFile
from training.data.synthetic import synthesize
from training.dataset import Dataset, RemoteFile
from training.errors import DataError, DownloadError, TrainingError

AUTO = "auto"
SYNTHETIC = "synthetic"

CHUNK_BYTES = 1 << 16
MAX_ARCHIVE_BYTES = 64 << 20

# What can go wrong with a source. zipfile raises RuntimeError for an encrypted member or an unknown compression.
_FAILURES = (OSError, ValueError, HTTPException, EOFError, KeyError, RuntimeError, zipfile.BadZipFile, zlib.error)


@dataclass(frozen=True)
class RawRows:
    """All labelled rows, and where they came from (`source` and `files` go into the manifest)."""

    frame: pl.DataFrame
    source: str
    files: tuple[SourceFile, ...] = ()


def load_rows(dataset: Dataset, data: str, folder: Path, *, seed: int = 42) -> RawRows:
    """The data set's rows; `data` is `auto`, the data set's own source name, or `synthetic`.

    `auto` falls back to synthetic rows, with a warning that can't be missed, only if the real files are unavailable;
    files that are there but wrong are an error.

    Raises:
        DataError: unknown choice, a local file isn't what the data set names, or a row breaks the schema.
        DownloadError: `data` is the data set's own source, and no source gave a file.
    """
    if data not in (AUTO, SYNTHETIC, dataset.source):
        raise DataError(f"DATA={data!r}: choose {AUTO}, {dataset.source} or {SYNTHETIC}")
    if data == SYNTHETIC:
        return _synthetic(dataset, seed)
    try:
        files = read_files(dataset, folder)
    except DownloadError as error:
        if data != AUTO or dataset.synthetic_statistics is None:
            raise
        _warn(dataset, error)
        return _synthetic(dataset, seed)
    return RawRows(parse_files(dataset, files), dataset.source, tuple(starmap(_describe, files.items())))


def _describe(name: str, content: bytes) -> SourceFile:
    return SourceFile(name=name, bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


def parse_files(dataset: Dataset, files: Mapping[str, bytes]) -> pl.DataFrame:
    """What the data set's own `parse` makes of its files; a LazyFrame is collected, a pandas frame converted.

    Raises:
        DataError: `parse` raised something, or returned no frame.
    """
    try:
        frame: Any = dataset.parse(files)
        if isinstance(frame, pl.LazyFrame):
            frame = frame.collect()
    except TrainingError:
        raise
    except Exception as error:  # the data set's own code, which may raise anything
        raise DataError(f"{dataset.name}: its parse raised {type(error).__name__}: {error}{_where(error)}") from error
    if type(frame).__module__.partition(".")[0] == "pandas" and hasattr(frame, "columns"):
        columns = {str(name): frame[name].astype(object).where(frame[name].notna(), None) for name in frame.columns}
        frame = pl.DataFrame({name: pl.Series(name, values.tolist()) for name, values in columns.items()})
    if not isinstance(frame, pl.DataFrame):
        raise DataError(f"{dataset.name}: its parse must return a polars DataFrame, not {type(frame).__name__}")
    return frame


def _where(error: Exception) -> str:
    """File and line of the outermost code that isn't this project's or a library's: the line in `parse`."""
    frames = traceback.extract_tb(error.__traceback__)[1:]  # the first is the call above
    return f" ({frames[0].filename}, line {frames[0].lineno})" if frames else ""


def read_files(dataset: Dataset, folder: Path) -> Mapping[str, bytes]:
    """Name to verified content of every raw file; what is not in `folder` yet is downloaded into it.

    Raises:
        DataError: a file in `folder` can't be read or is not the one that the data set names, or a file is missing and
            has no source.
        DownloadError: a file is missing and no source gave it.
    """
    contents = {}
    for file in dataset.files:
        path = folder / file.name
        if not path.exists():
            if not file.sources:
                raise DataError(f"{path} is missing; put the file there, or name its folder with DATA_DIR=")
            size = f" ({file.bytes:,} bytes)" if file.bytes is not None else ""
            print(f"downloading {file.name}{size} into {folder}", flush=True)
            download(file, folder)
        try:
            contents[file.name] = path.read_bytes()
        except OSError as error:
            raise DataError(f"{path}: {error.strerror}") from error
        _check_digest(file, contents[file.name], path)
    return contents


def _check_digest(file: RemoteFile, content: bytes, path: Path) -> None:
    digest = hashlib.sha256(content).hexdigest()
    if not file.sha256 or digest == file.sha256:
        return
    again = "; or move it away, so that it is downloaded again" if file.sources else ""
    raise DataError(
        f"{path} is not the file that the data set names: its SHA-256 is {digest} ({len(content):,} bytes), expected "
        f"{file.sha256}. If it is the right one, write its digest and size into RemoteFile(name={file.name!r}, …) in "
        f"the module that DATASET names{again}"
    )


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
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(folder / file.name) as temporary:
            temporary.write_bytes(content)
        return folder / file.name
    raise DownloadError(f"{file.name} could not be downloaded:\n  " + "\n  ".join(failures))


def verify(file: RemoteFile, content: bytes) -> None:
    """Check size and digest.

    Raises:
        ValueError: the content is not the file that the data set names.
    """
    if file.bytes is not None and len(content) < file.bytes:
        raise ValueError(f"truncated: {len(content):,} of {file.bytes:,} bytes")
    digest = hashlib.sha256(content).hexdigest()
    if file.sha256 and digest != file.sha256:
        raise ValueError(f"SHA-256 is {digest[:16]}…, expected {file.sha256[:16]}… ({len(content):,} bytes)")


def _fetch(source: str, file: RemoteFile, connect_seconds: float, total_seconds: float) -> bytes:
    url, _, member = source.partition("#")
    if not url.startswith(("https://", "http://")):
        raise ValueError("only http and https sources are read")
    expected = MAX_ARCHIVE_BYTES if file.bytes is None else file.bytes
    limit = MAX_ARCHIVE_BYTES if member else expected
    content = _read(url, limit, connect_seconds, time.monotonic() + total_seconds)
    if member:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            if archive.getinfo(member).file_size > expected:
                raise ValueError(f"{member} is larger than the expected {expected:,} bytes")
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


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"HTTP {error.code} {error.reason}"
    if isinstance(error, urllib.error.URLError):
        return str(error.reason)
    return str(error) or type(error).__name__


def _synthetic(dataset: Dataset, seed: int) -> RawRows:
    if dataset.synthetic_statistics is None:
        raise DataError(f"{dataset.name} has no synthetic rows; use DATA={dataset.source}")
    return RawRows(synthesize(dataset, dataset.synthetic_rows, seed), SYNTHETIC)


def _warn(dataset: Dataset, error: DownloadError) -> None:
    lines = (
        f"THE REAL DATA ({dataset.source}) IS NOT AVAILABLE: TRAINING ON SYNTHETIC ROWS",
        "Good for trying the code; the scores are not those of the real data, and the manifest says so.",
        f"To train on the real data, put {', '.join(file.name for file in dataset.files)} into DATA_DIR.",
    )
    rule = "!" * max(map(len, lines))
    print(rule, *lines, rule, str(error), sep="\n", file=sys.stderr, flush=True)
