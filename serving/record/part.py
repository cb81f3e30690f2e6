"""An unfinished file of the record: whole gzip members, one after the other, locked by the process that writes it.

However the process ends, what was written until then can be read once an incomplete last member has been cut off.
"""

import contextlib
import fcntl
import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.record.folder import Folder
from serving.record.names import Clock, unfinished

_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_clock = Clock()
_number = itertools.count()


class Part:
    """The file, which is `size` bytes long. All methods raise OSError where something can't be done."""

    def __init__(self, folder: Folder, service: str) -> None:
        """Make an empty one, under a name that no other file has."""
        self._folder = folder
        self.size = 0
        self._begun = 0.0
        while True:
            self._name = f"record-{_clock.now()}-{service}-{os.getpid()}-{next(_number)}.jsonl.gz"
            with contextlib.suppress(FileExistsError):
                self._handle = os.open(self.path, _FLAGS, 0o640)
                if self._is_own():
                    break
                os.close(self._handle)

    def _is_own(self) -> bool:
        """Lock the new file. If another process took it for a leftover before that, it is not ours."""
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        if self.is_there() and os.path.lexists(self._folder.path / self._name):
            self.path.unlink()
        return self.is_there()

    @property
    def path(self) -> Path:
        """Where it is while it is written."""
        return self._folder.path / unfinished(self._name)

    def age(self) -> float:
        """How long there has been something in it, in seconds."""
        return time.monotonic() - self._begun if self.size else 0.0

    def is_there(self) -> bool:
        """Whether it is still in its folder: it may have been removed, and so may the folder."""
        return is_at(self.path, os.fstat(self._handle))

    def append(self, member: bytes) -> None:
        """Write a member; if that fails, nothing of it is left."""
        try:
            done = 0
            while done < len(member):
                done += os.pwrite(self._handle, member[done:], self.size + done)
        except OSError:
            os.ftruncate(self._handle, self.size)
            raise
        self._begun = self._begun if self.size else time.monotonic()
        self.size += len(member)

    def finish(self) -> None:
        """Give it its name, or remove it if it is empty. It is closed in any case."""
        with closing(self._handle):
            finish(self._handle, self._folder, self._name, self.size)

    def close(self) -> None:
        """Close the file without finishing it: it has been removed."""
        os.close(self._handle)


@contextmanager
def closing(handle: int) -> Iterator[None]:
    """Close the file at the end of the block."""
    try:
        yield
    finally:
        os.close(handle)


def is_at(path: Path, facts: os.stat_result) -> bool:
    """Whether the file that has these `facts` is at the path."""
    try:
        found = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return False
    return (found.st_dev, found.st_ino) == (facts.st_dev, facts.st_ino)


def finish(handle: int, folder: Folder, name: str, size: int) -> None:
    """Cut an unfinished file to `size` bytes and give it its name, with another number if it is taken.

    If nothing is left of it, it is removed. The caller must hold the file's lock.
    """
    path = folder.path / unfinished(name)
    if not size:
        path.unlink()
        return
    os.ftruncate(handle, size)
    os.fsync(handle)
    with folder.locked():
        while os.path.lexists(folder.path / name):
            before, _, rest = name.rpartition("-")
            name = f"{before}-{int(rest.partition('.')[0]) + 1}.jsonl.gz"
        path.rename(folder.path / name)
    parent = os.open(folder.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    with closing(parent):
        os.fsync(parent)
