"""The files to be scored: what `INPUT` names, how many rows each has, and how they are read without being loaded."""

import glob
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from scale.scoring.errors import InputError, ScoringError

SUFFIXES = (".parquet", ".csv")


class InputFile(msgspec.Struct, frozen=True):
    """A file as it was found; a changed file has another size or time of modification (ns since the epoch)."""

    path: str
    bytes: int
    modified_ns: int
    rows: int

    def is_unchanged(self) -> bool:
        """Whether the file is still the one that was found."""
        try:
            status = Path(self.path).stat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (self.bytes, self.modified_ns)


def find_files(given: str) -> list[Path]:
    """The Parquet and CSV files that `given` names (a file, a folder with all below it, or a glob), sorted.

    In folders and globs, names that start with a dot or an underscore are left out: by convention they are no data.

    Raises:
        ScoringError: there is no such file, or a file named directly is of another kind.
    """
    path = Path(given)
    if path.is_file():
        if path.suffix not in SUFFIXES:
            raise ScoringError(f"{path}: neither {' nor '.join(SUFFIXES)}")
        return [path]
    found = path.rglob("*") if path.is_dir() else map(Path, glob.glob(given, recursive=True))  # noqa: PTH207 - any glob
    files = sorted(p for p in found if p.suffix in SUFFIXES and p.name[0] not in "._" and p.is_file())
    if not files:
        raise ScoringError(f"INPUT={given!r}: no {' or '.join(SUFFIXES)} file there")
    return files


def scan(path: Path) -> pl.LazyFrame:
    """The file's rows, unread. CSV fields stay text (an empty one is null), so that a bad one can be shown as it is."""
    if path.suffix == ".parquet":
        return pl.scan_parquet(path, glob=False, hive_partitioning=False)
    return pl.scan_csv(path, glob=False, infer_schema=False)


def read_schema(path: Path) -> pl.Schema:
    """Column names and types.

    Raises:
        InputError: the file can't be read, or not as what its suffix says.
    """
    try:
        return scan(path).collect_schema()
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def describe_file(path: Path) -> InputFile:
    """Size, time and row count; of Parquet the footer is read, of CSV the lines are counted.

    Raises:
        InputError: as `read_schema`.
    """
    try:
        status = path.stat()
        rows = scan(path).select(pl.len()).collect().item()
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from error
    return InputFile(str(path), status.st_size, status.st_mtime_ns, rows)


def read_slices(path: Path, columns: list[str], offset: int, rows: int, slice_rows: int) -> Iterator[pl.DataFrame]:
    """Rows [offset, offset + rows) in order, `slice_rows` at a time (the last may have fewer).

    Raises:
        InputError: as `read_schema`, or a later line has more fields than the first.
    """
    try:
        yield from scan(path).select(columns).slice(offset, rows).collect_batches(chunk_size=slice_rows)
    except (PolarsError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> InputError:
    return InputError(f"{path}: can't be read: {str(error).splitlines()[0]}")
