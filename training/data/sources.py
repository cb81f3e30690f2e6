"""Where the rows come from: local files, a verified download, or the embedded synthetic data, in this order."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bundle.manifest import SourceFile
from training.data.download import download, verify
from training.data.synthetic import synthesize
from training.dataset import Dataset
from training.errors import DataError, DownloadError

AUTO = "auto"
SYNTHETIC = "synthetic"


@dataclass(frozen=True)
class Rows:
    """All labelled rows, and where they came from (`source` and `files` go into the manifest)."""

    frame: pl.DataFrame
    source: str
    files: tuple[SourceFile, ...] = ()


def load_rows(dataset: Dataset, data: str, folder: Path, *, seed: int = 42) -> Rows:
    """The data set's rows by the choice `data`: `auto`, the data set's own source name, or `synthetic`.

    `auto` falls back to synthetic rows, with a warning nobody can miss, only where the real files can't be had; files
    that are there and wrong are an error.

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
    described = tuple(SourceFile(name=file.name, bytes=file.bytes, sha256=file.sha256) for file in dataset.files)
    return Rows(dataset.parse(files), dataset.source, described)


def read_files(dataset: Dataset, folder: Path) -> Mapping[str, bytes]:
    """Name to verified content of every raw file; what is not in `folder` yet is downloaded into it.

    Raises:
        DataError: a file in `folder` is not the file that the data set names.
        DownloadError: a file is missing and no source gave it.
    """
    contents = {}
    for file in dataset.files:
        path = folder / file.name
        if not path.exists():
            print(f"downloading {file.name} ({file.bytes:,} bytes) into {folder}", flush=True)
            download(file, folder)
        try:
            contents[file.name] = path.read_bytes()
            verify(file, contents[file.name])
        except (OSError, ValueError) as error:
            raise DataError(f"{path}: {error}; delete it to download it anew, or mend DATA_DIR") from error
    return contents


def _synthetic(dataset: Dataset, seed: int) -> Rows:
    if dataset.synthetic_statistics is None:
        raise DataError(f"{dataset.name} has no synthetic rows; use DATA={dataset.source}")
    return Rows(synthesize(dataset, dataset.synthetic_rows, seed), SYNTHETIC)


def _warn(dataset: Dataset, error: DownloadError) -> None:
    lines = (
        f"THE REAL DATA ({dataset.source}) IS NOT AVAILABLE: TRAINING ON SYNTHETIC ROWS",
        "Good for trying the code; the scores are not those of the real data, and the manifest says so.",
        f"To train on the real data put {', '.join(file.name for file in dataset.files)} into DATA_DIR.",
    )
    rule = "!" * max(map(len, lines))
    print(rule, *lines, rule, str(error), sep="\n", file=sys.stderr, flush=True)
