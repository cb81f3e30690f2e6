"""Files that hold tables: their columns and rows, a slice at a time.

The one place that knows how a CSV file is read, for training, packaging and scoring alike. Its fields stay text, so
that a bad one can be shown as it stands in the file, and an empty field is null, quoted or not: some writers quote
every field. Parquet has types, and nulls of its own.
"""

import contextlib
import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import polars as pl
import zstandard
from polars.exceptions import PolarsError

from training.data.compression import SUFFIXES, decompress
from training.data.csv_records import Block, split_records
from training.errors import TableError

SEPARATORS = {".csv": ",", ".tsv": "\t"}
PARQUET = (".parquet", ".pq")
KINDS = f"{', '.join(SEPARATORS)} (also {' and '.join(SUFFIXES)}) and {PARQUET[0]}"

MAX_NAMED = 30


class CsvOptions(NamedTuple):
    """`separator` is one ASCII character, or "" for what the file's name says. `empty_is_text`: `""` is an empty
    string, and only an empty field without quotes is missing.
    """

    separator: str = ""
    empty_is_text: bool = False


AS_NAMED = CsvOptions()


def is_parquet(path: Path) -> bool:
    """Whether the file's name, in any case, is that of a Parquet file."""
    return path.suffix.lower() in PARQUET


def is_table(path: Path) -> bool:
    """Whether the file's name, in any case, is that of a table."""
    return is_parquet(path) or _text_suffix(path) in SEPARATORS


def read_schema(path: Path, options: CsvOptions = AS_NAMED) -> pl.Schema:
    """Column names and types; every column of a CSV file is String.

    Raises:
        TableError: the file can't be read as what its name says, is empty, or two columns have the same name.
    """
    if is_parquet(path):
        try:
            return pl.scan_parquet(path, glob=False, hive_partitioning=False).collect_schema()
        except (PolarsError, OSError) as error:
            raise _unreadable(path, error) from error
    with _open(path) as stream:
        return pl.Schema(
            dict.fromkeys(_read_header(next(_blocks(stream, path, options), None), path, options)[0], pl.String)
        )


def count_rows(path: Path, options: CsvOptions = AS_NAMED) -> int:
    """The file's number of rows; a CSV file is checked against its rules on the way.

    Raises:
        TableError: as `read_schema`, or a line breaks the rules.
    """
    if is_parquet(path):
        try:
            return int(pl.scan_parquet(path, glob=False, hive_partitioning=False).select(pl.len()).collect().item())
        except (PolarsError, OSError) as error:
            raise _unreadable(path, error) from error
    read_schema(path, options)
    with _open(path) as stream:
        return sum(block.records for block in _blocks(stream, path, options)) - 1


def read_table(path: Path, options: CsvOptions = AS_NAMED) -> pl.DataFrame:
    """All rows.

    Raises:
        TableError: as `count_rows`.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error
    return parse_table(str(path), content, options)


def parse_table(name: str, content: bytes, options: CsvOptions = AS_NAMED) -> pl.DataFrame:
    """All rows of a file that was read already; `name` says what kind of file it is, and is named in errors.

    Raises:
        TableError: as `count_rows`.
    """
    path = Path(name)
    if is_parquet(path):
        try:
            return pl.read_parquet(io.BytesIO(content))
        except (PolarsError, OSError) as error:
            raise _unreadable(path, error) from error
    with decompress(io.BytesIO(content), path) as stream:
        return pl.concat(_csv_frames(stream, path, None, 0, options))


def read_slices(
    path: Path,
    columns: Sequence[str],
    offset: int,
    rows: int | None,
    slice_rows: int,
    options: CsvOptions = AS_NAMED,
) -> Iterator[pl.DataFrame]:
    """Rows [offset, offset + rows) of the columns, in order, `slice_rows` at a time (the last slice may have fewer).

    Raises:
        TableError: as `count_rows`.
    """
    if is_parquet(path):
        frames = pl.scan_parquet(path, glob=False, hive_partitioning=False).select(columns).slice(offset, rows)
        try:
            yield from frames.collect_batches(chunk_size=slice_rows)
        except (PolarsError, OSError) as error:
            raise _unreadable(path, error) from error
    else:
        with _open(path) as stream:
            yield from _regroup(_csv_frames(stream, path, columns, offset, options), rows, slice_rows)


def explain_missing(missing: Sequence[str], columns: Sequence[str]) -> str:
    """Which columns are missing, which ones are there, and the likely cause, as one sentence."""
    there = ", ".join(map(repr, columns[:MAX_NAMED])) + (" …" if len(columns) > MAX_NAMED else "")
    verb = "columns {} are" if len(missing) > 1 else "column {} is"
    return f"{verb.format(', '.join(map(repr, missing)))} missing; there are {there}{_likely_cause(missing, columns)}"


def _likely_cause(missing: Sequence[str], columns: Sequence[str]) -> str:
    wanted = {_letters(name) for name in missing}
    for separator in ";\t|,":
        pieces = {_letters(name) for column in columns for name in column.split(separator)}
        if any(separator in column for column in columns) and wanted & pieces:
            return f"; fields seem to be separated by {separator!r}: give SEPARATOR={separator!r}"
    near = [name for name in columns if _letters(name) in wanted - {""}]
    if near:
        return f"; spelt otherwise (spaces, case, punctuation or the form of accents): {', '.join(map(repr, near))}"
    if any(re.fullmatch(r"[+-]?\d+([.,]\d+)?", name) for name in columns):
        return "; is the line with the columns' names missing?"
    return ""


def _letters(name: str) -> str:
    """What is left of a name when spelling is disregarded."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", name).casefold())


def _csv_frames(
    stream: IO[bytes], path: Path, columns: Sequence[str] | None, offset: int, options: CsvOptions
) -> Iterator[pl.DataFrame]:
    """The rows after the first `offset`, block by block; the first frame may have none. `columns` None: all."""
    names: list[str] = []
    for block in _blocks(stream, path, options):
        content, records = block.content, block.records
        if not names:
            names, content = _read_header(block, path, options)
            records -= 1
        skipped = min(offset, records)
        offset -= skipped
        if records and skipped == records:
            continue
        frame = _parse_records(content, records, names, path, options)
        frame = (frame if columns is None else frame.select(columns))[skipped:]
        if block.quoted and not options.empty_is_text:
            frame = frame.with_columns(pl.when(pl.all() != "").then(pl.all()))
        yield frame
    if not names:
        _read_header(None, path, options)


def _parse_records(content: bytes, records: int, names: list[str], path: Path, options: CsvOptions) -> pl.DataFrame:
    if not records:
        return pl.DataFrame(schema=dict.fromkeys(names, pl.String))
    separator = _separator(path, options)
    frame = pl.read_csv(content, has_header=False, new_columns=names, separator=separator, infer_schema=False)
    if frame.height != records:
        raise TableError(f"{path}: polars reads {frame.height} rows where there are {records}; is the quoting right?")
    return frame


def _regroup(frames: Iterator[pl.DataFrame], rows: int | None, slice_rows: int) -> Iterator[pl.DataFrame]:
    """The first `rows` rows in frames of `slice_rows`."""
    held: list[pl.DataFrame] = []
    height, left = 0, rows
    for given in frames:
        frame = given if left is None else given[:left]
        left = None if left is None else left - frame.height
        held.append(frame)
        height += frame.height
        while height >= slice_rows:
            joined = pl.concat(held)
            yield joined[:slice_rows]
            held, height = [joined[slice_rows:]], height - slice_rows
        if left == 0:
            break
    if height:
        yield pl.concat(held)


def _blocks(stream: IO[bytes], path: Path, options: CsvOptions) -> Iterator[Block]:
    try:
        yield from split_records(stream, path, _separator(path, options).encode())
    except (OSError, EOFError, zstandard.ZstdError) as error:
        raise _unreadable(path, error) from error


def _read_header(block: Block | None, path: Path, options: CsvOptions) -> tuple[list[str], bytes]:
    """The column names, and what follows the header in its block."""
    if block is None:
        raise TableError(f"{path}: is empty; its first line must name the columns")
    reader = csv.reader(io.StringIO(block.content.decode(), newline=""), delimiter=_separator(path, options))
    names = next(reader)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise TableError(f"{path}: two columns are named {', '.join(map(repr, twice))}")
    return names, block.content.split(b"\n", reader.line_num)[-1]


def _separator(path: Path, options: CsvOptions) -> str:
    separator = options.separator or SEPARATORS.get(_text_suffix(path), "")
    if not separator:
        raise TableError(
            f"{path}: its name doesn't say what kind of table it is ({KINDS}); if it is text, give SEPARATOR="
        )
    return separator


def _text_suffix(path: Path) -> str:
    """The suffix without that of a compression, in lower case."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in SUFFIXES:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


@contextlib.contextmanager
def _open(path: Path) -> Iterator[IO[bytes]]:
    """The file's content, decompressed."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise _unreadable(path, error) from error
    with file, decompress(file, path) as stream:
        yield stream


def _unreadable(path: Path, error: Exception) -> TableError:
    reason = getattr(error, "strerror", None) or (str(error) or type(error).__name__).splitlines()[0]
    return TableError(f"{path}: can't be read: {reason}")
