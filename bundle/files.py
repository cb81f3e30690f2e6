"""Reading files that others may have written, and writing files that are there whole or not at all."""

import errno
import os
import stat
import tempfile
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from bundle.lock import waiting_for


def read_regular(path: Path, *, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes. Opening never waits, as it would for a pipe.

    Raises:
        OSError: it can't be read, is not a regular file (a pipe or a device may have no end), or is larger.
    """
    with open(path, "rb", opener=_open_without_waiting) as stream:
        facts = os.fstat(stream.fileno())
        if not stat.S_ISREG(facts.st_mode):
            raise OSError(errno.EINVAL, "not a regular file")
        content = stream.read(facts.st_size + 1) if facts.st_size <= most else b""
    if (size := max(facts.st_size, len(content))) > most:  # it may have grown in between
        raise OSError(errno.EFBIG, f"{size:,} bytes, but at most {most:,} are read")
    return content


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOCTTY)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path next to `path` to write to; the file replaces `path` if the block succeeds, and is removed if it fails.

    A file left by a killed run starts with a dot; its name is unique, so that runs on several machines don't collide.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_files(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write the files of a report, each whole or not at all, replacing earlier ones. Returns their paths.

    Processes that write to the folder take turns, so that the files of a report belong together.

    Raises:
        OSError: they can't be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with waiting_for(folder / ".writing"), tempfile.TemporaryDirectory(dir=folder, prefix=".pending-") as pending:
        for name, content in contents.items():
            (Path(pending) / name).write_bytes(content)
        for name in contents:
            (Path(pending) / name).replace(folder / name)
    return [folder / name for name in contents]


def encode_result(result: msgspec.Struct) -> bytes:
    """A result as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(result)) + b"\n"
