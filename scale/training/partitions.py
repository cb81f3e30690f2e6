"""Rows that don't fit in memory: a folder of Parquet files, read in batches, each row with a draw that splits them.

A row's draw is uniform in [0, 1) and depends on the seed, its file's place among the files and its place in the file
alone, so that every pass over the files splits them alike. Of many rows a random split is as good as a stratified one:
the share of a class differs between the parts by about one in the square root of its rows.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray
from polars.exceptions import PolarsError

from bundle.training_record import SourceFile
from training.data.checks import as_declared
from training.data.found_files import MAX_SHOWN, all_of, find_in_folder
from training.data.table_files import count_rows, explain_missing, is_parquet, read_schema
from training.dataset import Dataset, feature_names
from training.errors import DataError

PARQUET = "parquet"
"""The source that the manifest names, unless the files themselves name another (see `synthetic_parquet`)."""

SOURCE_KEY = "source"

BATCH_ROWS = 100_000

Shared = TypeVar("Shared")
Result = TypeVar("Result")


@dataclass(frozen=True)
class DrawRange:
    """The rows whose draw is in [low, high)."""

    low: float
    high: float

    def of(self, frame: pl.DataFrame, draw: NDArray[np.float64]) -> pl.DataFrame:
        """The rows of a batch that belong to the part."""
        return frame.filter(pl.Series((draw >= self.low) & (draw < self.high)))


@dataclass(frozen=True)
class Partition:
    """A file, the `number`-th of all. It must hold what `Dataset.parse` gives; integers may stand for numbers."""

    dataset: Dataset
    path: Path
    number: int
    rows: int

    def batches(self) -> Iterator[tuple[pl.DataFrame, NDArray[np.float64]]]:
        """All rows in the file's order: features and target, and each row's draw.

        Raises:
            DataError: the file can't be read, or lacks a column.
        """
        names = [*(feature.name for feature in self.dataset.features), self.dataset.target]
        generator = np.random.default_rng([self.dataset.split_seed, self.number])
        try:
            rows = pl.scan_parquet(self.path, glob=False, hive_partitioning=False).select(names)
            for frame in rows.collect_batches(chunk_size=BATCH_ROWS):
                yield as_declared(self.dataset, frame), generator.random(frame.height)
        except (PolarsError, OSError) as error:
            raise _unreadable(self.path, error) from error

    def read(self, part: DrawRange) -> Iterator[pl.DataFrame]:
        """The file's rows of a part, in order; no frame is empty."""
        for frame, draw in self.batches():
            if (chosen := part.of(frame, draw)).height:
                yield chosen


@dataclass(frozen=True)
class Partitions:
    """All files of a data set, in the order of their names; and a line with the reason for each other one there."""

    dataset: Dataset
    partitions: tuple[Partition, ...]
    files: tuple[SourceFile, ...]
    source: str
    left_out: tuple[str, ...] = ()

    @property
    def rows(self) -> int:
        """The rows of all files."""
        return sum(partition.rows for partition in self.partitions)


class ForEach(Protocol):
    """How a function is applied to every partition: here, one after the other, or on a cluster."""

    def __call__(
        self, function: Callable[[Shared, Partition], Result], shared: Shared, partitions: Sequence[Partition], /
    ) -> Iterator[Result]:
        """What `function(shared, partition)` returns, in the partitions' order; what it raises is raised."""
        ...


def one_by_one(
    function: Callable[[Shared, Partition], Result], shared: Shared, partitions: Sequence[Partition], /
) -> Iterator[Result]:
    """Apply the function in this process, to one partition after the other."""
    return (function(shared, partition) for partition in partitions)


def open_partitions(dataset: Dataset, folder: Path, *, skip: bool = False) -> Partitions:
    """Find the Parquet files below `folder`, and take their digests. With `skip`, files that may hold rows but can't be
    read are left out instead of refused.

    Raises:
        DataError: there are none, or all are empty; or some can't be read, or lack columns: the message names all.
    """
    found = find_in_folder(folder)
    paths = [path for path in found.tables if is_parquet(path)]
    if not paths:
        names = ", ".join(path.name for path in (*found.tables, *found.unreadable)[:MAX_SHOWN])
        there = f" (but {names})" if names else ""
        raise DataError(
            f"DATA_DIR={folder}: no .parquet file there{there}; ENGINE=external and dask train on such files"
        )
    problems = [f"{path}: is no Parquet file" for path in (*found.tables, *found.unreadable) if path not in paths]
    partitions: list[Partition] = []
    for path in paths:
        try:
            _check_columns(dataset, path)
            partitions.append(Partition(dataset, path, len(partitions), count_rows(path)))
        except DataError as error:
            problems.append(str(error))
    if problems and not (skip and partitions):
        raise DataError(all_of(problems, "read", "SKIP=1 reads the other files" if partitions else ""))
    if not any(partition.rows for partition in partitions):
        raise DataError(f"DATA_DIR={folder}: the .parquet files there have no rows")
    sources = {pl.read_parquet_metadata(partition.path).get(SOURCE_KEY, PARQUET) for partition in partitions}
    files = tuple(_describe(partition.path, folder) for partition in partitions)
    left_out = (*problems, *(f"{path}: no data, by its name" for path in found.no_data))
    return Partitions(
        dataset, tuple(partitions), files, sources.pop() if len(sources) == 1 else PARQUET, left_out=left_out
    )


def _check_columns(dataset: Dataset, path: Path) -> None:
    there = read_schema(path)
    wanted = (*feature_names(dataset.features), dataset.target)
    if missing := [name for name in wanted if name not in there]:
        raise DataError(f"{path}: {explain_missing(missing, list(there))}")


def _describe(path: Path, folder: Path) -> SourceFile:
    with path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(name=path.relative_to(folder).as_posix(), bytes=path.stat().st_size, sha256=digest)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(f"{path}: can't be read: {str(error).splitlines()[0]}")
