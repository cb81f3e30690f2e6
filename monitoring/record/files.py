"""The files of a record folder, and their lines in pieces of bounded size."""

import gzip
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

from monitoring.errors import RecordError

WHOLE = re.compile(r"record-(?P<start>\d{8}T\d{6}\.\d{6}Z)-(?:onnx|pickle|axum)-\d+-\d+\.jsonl\.gz")
"""Names of finished files."""

UNFINISHED = re.compile(rf"\.{WHOLE.pattern}\.part")

PIECE_BYTES = 4 << 20
LONGEST_LINE = 16 << 20
"""A longer line is damage: reading it whole could take any amount of memory."""

_SLACK = timedelta(days=1)  # a file is finished a minute after its first row; clocks may have been set in between


class DamagedFileError(Exception):
    """A file can't be read to its end. The message says why."""


@dataclass(frozen=True)
class Folder:
    """What is in a record folder: finished files by name, how many are `unfinished`, and names of `other` things."""

    files: tuple[Path, ...]
    unfinished: int
    others: tuple[str, ...]


def list_folder(folder: Path, since: datetime | None = None) -> Folder:
    """The files of the folder; those that were finished long before `since` are left out. What has a file's name,
    but is a folder, a pipe or the like, is not a file of the record.

    Raises:
        RecordError: there is no such folder, or no finished file in it.
    """
    if not folder.is_dir():
        raise RecordError(f"RECORD={folder}: no such folder; services write to SERVE_RECORD_DIR")
    files, others, unfinished = [], [], 0
    for path in sorted(folder.iterdir()):
        if (found := WHOLE.fullmatch(path.name)) and not _is_something_else(path):
            if since is None or since - _start(found["start"]) <= _SLACK:
                files.append(path)
        elif UNFINISHED.fullmatch(path.name):
            unfinished += 1
        elif not path.name.startswith("."):
            others.append(readable(path.name))
    if not files:
        late = f" of {since:%Y-%m-%d %H:%M} UTC or later" if since else ""
        waiting = f"; {unfinished} still being written: wait a minute, or stop the service" if unfinished else ""
        raise RecordError(f"RECORD={folder}: no finished file{late}{waiting}")
    return Folder(tuple(files), unfinished, tuple(others))


def readable(name: str) -> str:
    """A file's name; bytes of it that are not valid text are escaped, since they could not be written anywhere."""
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")


def _is_something_else(path: Path) -> bool:
    return path.exists() and not path.is_file()  # one that was removed meanwhile was a file


def read_pieces(path: Path) -> Iterator[list[bytes]]:
    """The lines of a file, a few megabytes of them at a time.

    Raises:
        DamagedFileError: it is not gzip, is truncated, or has a line that doesn't end. What came before was yielded.
        FileNotFoundError: the service has removed it meanwhile, to keep to its limit.
    """
    with gzip.open(path) as stream:
        rest = b""
        while chunk := _read(cast("BinaryIO", stream)):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                raise DamagedFileError(f"a line of more than {LONGEST_LINE >> 20} MiB")
            yield lines
    if rest:
        yield [rest]
        raise DamagedFileError("its last line doesn't end: it was cut")


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(PIECE_BYTES)
    except (EOFError, OSError, zlib.error) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DamagedFileError(f"not whole gzip: {reason[0].lower()}{reason[1:]}") from error


def _start(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%S.%fZ").replace(tzinfo=UTC)
    except ValueError:  # digits that are not a date: the rows' own times count
        return datetime.max.replace(tzinfo=UTC)
