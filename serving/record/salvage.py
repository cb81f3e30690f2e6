"""Files that killed processes have left: they are finished here, cut after their last whole member."""

import fcntl
import os
import stat
import zlib

from serving.record.folder import Folder
from serving.record.names import UNFINISHED
from serving.record.part import closing, finish, is_at

_READ_BYTES = 16 << 10
"""Only this much at once, since it may be a thousand times as much when it is decompressed."""

_GZIP = 16 + zlib.MAX_WBITS
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def salvage(folder: Folder) -> int:
    """Finish the files in the folder that no process writes any more. Returns how many there were.

    Raises:
        OSError: the folder can't be read, or a file in it can't be finished.
    """
    names = sorted(path.name for path in folder.path.iterdir() if UNFINISHED.fullmatch(path.name))
    return sum(_salvage(folder, name) for name in names)


def _salvage(folder: Folder, name: str) -> bool:
    path = folder.path / name
    try:
        handle = os.open(path, _FLAGS)
    except OSError:  # it is gone, a link, or somebody else's
        return False
    with closing(handle):
        facts = os.fstat(handle)
        if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
            return False
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if not is_at(path, facts):
            return False
        finish(handle, folder, name.removeprefix(".").removesuffix(".part"), whole_bytes(handle))
    return True


def whole_bytes(handle: int) -> int:
    """The total size in bytes of the whole gzip members at the beginning of the file."""
    end = at = 0
    member = zlib.decompressobj(_GZIP)
    while data := os.pread(handle, _READ_BYTES, at):
        at += len(data)
        while data:
            try:
                member.decompress(data)
            except zlib.error:
                return end
            data = member.unused_data
            if member.eof:
                end = at - len(data)
                member = zlib.decompressobj(_GZIP)
    return end
