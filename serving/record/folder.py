"""The folder of the record: how much is in it, and room for more.

All processes that record into a folder keep to `most_bytes` together: a writer holds a lock on the folder, counts what
is there, and removes the oldest whole files if needed. A whole file doesn't change, so it is looked at only once.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from serving.record.names import UNFINISHED, WHOLE, age

LOCK_SECONDS = 2.0
"""How long to wait for the lock. It is held for milliseconds; a process that holds it longer hangs, and must not stop
others."""

_LOCK_POLL_SECONDS = 0.005


_SETTLED_NS = 100_000_000
"""How old the time of a folder's last change must be for a further change to have a different time for certain."""


class NoRoom(OSError):
    """The record may not grow by that much."""


class Folder:
    """The folder, which is made when it is first needed. All methods raise OSError where it can't be used.

    `removed` is called with the number of whole files that were removed.
    """

    def __init__(self, path: Path, most_bytes: int, removed: Callable[[int], None]) -> None:
        self.path = path
        self._most_bytes = most_bytes
        self._removed = removed
        self._whole: dict[str, int] = {}
        self._unfinished: list[str] = []
        self._total = 0
        self._counted: tuple[int, ...] | None = None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the other processes from writing until the block ends, if that is possible within LOCK_SECONDS."""
        self.path.mkdir(mode=0o750, parents=True, exist_ok=True)
        handle = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            deadline = time.monotonic() + LOCK_SECONDS
            while time.monotonic() < deadline:
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                time.sleep(_LOCK_POLL_SECONDS)
            yield
        finally:
            os.close(handle)

    def make_room(self, size: int) -> None:
        """Remove the oldest whole files until there is room for `size` bytes more. Call it with the lock held.

        Raises:
            NoRoom: there is not enough to remove.
        """
        self._count()
        unfinished = sum(_size(self.path / name) or 0 for name in self._unfinished)
        free = self._most_bytes - unfinished - self._total
        if free < size <= self._most_bytes - unfinished:
            free += self._remove(size - free)
        if free < size:
            raise NoRoom(errno.ENOSPC, f"the record may have {self._most_bytes:,} bytes, and no older files can go")

    def _remove(self, size: int) -> int:
        """Remove the oldest whole files until `size` bytes are freed. Returns how many were."""
        freed = removed = 0
        for name in sorted(self._whole, key=age):
            if freed >= size:
                break
            with contextlib.suppress(FileNotFoundError, PermissionError):
                (self.path / name).unlink()
                removed += 1
                freed += self._whole[name]
        self._counted = None
        self._removed(removed)
        return freed

    def _count(self) -> None:
        """Take note of the whole files that are new and of those that have gone, if the folder has changed."""
        facts = self.path.stat()
        state = (facts.st_dev, facts.st_ino, facts.st_mtime_ns)
        if state == self._counted:
            return
        settled = time.time_ns() - facts.st_mtime_ns > _SETTLED_NS
        with os.scandir(self.path) as entries:
            present = [entry.name for entry in entries]
        known, self._whole, self._unfinished = self._whole, {}, []
        for name in present:
            if (size := known.get(name)) is not None:
                self._whole[name] = size
            elif WHOLE.fullmatch(name):
                if (size := _size(self.path / name)) is not None:
                    self._whole[name] = size
            elif UNFINISHED.fullmatch(name):
                self._unfinished.append(name)
        self._total = sum(self._whole.values())
        self._counted = state if settled else None


def _size(path: Path) -> int | None:
    """The size of a regular file; None of anything else, or of nothing."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return None
    return facts.st_size if stat.S_ISREG(facts.st_mode) else None
