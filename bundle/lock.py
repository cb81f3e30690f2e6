"""Locks on the files and folders that one process at a time may write to.

A lock is held on a file of its own, which is removed when the lock is released. The operating system releases the lock
when the process ends, however it ends, so that a killed run does not lock out later ones.
"""

import contextlib
import fcntl
import os
import re
import socket
import stat
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from bundle.machine import command_line

OWNER = ".in-use"
"""Name of the lock file in a folder that a command owns while it runs."""

_LONGEST_NOTE = 4096
_ATTEMPTS = 1000
"""At making a lock's folder; others can be in the way only for as long as they take to remove theirs."""


class InUseError(OSError):
    """Another process owns the file or folder that this one was about to write to. The message says which process, and
    since when.
    """


@contextmanager
def owning(lock: Path, what: str, remedy: str) -> Iterator[None]:
    """Own `what` until the block ends; `lock` is the lock's file. Its folder is made if it isn't there, and removed
    again if the block leaves it empty.

    Raises:
        InUseError: another process owns it. The message ends with `remedy`, which says what the user can do.
        OSError: the lock's file can't be written, or the file system has no locks.
    """
    lock = lock.absolute()
    made = [folder for folder in lock.parents if not folder.exists()]
    try:
        handle = _acquire(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InUseError(f"{what} is in use by {_holder(lock)}; {remedy}") from None
    try:
        os.write(handle, _note().encode(errors="replace"))
        yield
    finally:
        _release(lock, handle)
        with contextlib.suppress(OSError):  # it is not empty
            for folder in made:
                folder.rmdir()


def owning_reports(folder: Path) -> AbstractContextManager[None]:
    """Own a folder of reports as `owning` does: two measurements at once would spoil each other and mix their files."""
    return owning(folder / OWNER, str(folder), "wait for it, or name another folder with REPORTS=")


@contextmanager
def waiting_for(lock: Path) -> Iterator[None]:
    """Wait until others release the lock, and hold it until the block ends: for work of seconds, not of hours.

    Raises:
        OSError: the lock's file can't be written, or the file system has no locks.
    """
    handle = _acquire(lock, fcntl.LOCK_EX)
    try:
        yield
    finally:
        _release(lock, handle)


def _acquire(lock: Path, operation: int) -> int:
    """An open file with the lock on it. Its previous holder may have removed the file; a lock on it then excludes
    nobody, because the path leads to another file by now, or to none.
    """
    attempts = 0
    while True:
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        except (FileNotFoundError, FileExistsError):  # a previous holder is just removing folders that it had made
            attempts += 1
            if attempts == _ATTEMPTS:
                raise
            continue
        try:
            fcntl.flock(handle, operation)
            if _is_at(lock, handle):
                os.ftruncate(handle, 0)
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _is_at(lock: Path, handle: int) -> bool:
    try:
        found = lock.lstat()
    except FileNotFoundError:
        return False
    mine = os.fstat(handle)
    return stat.S_ISREG(mine.st_mode) and (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino)


def _release(lock: Path, handle: int) -> None:
    with contextlib.suppress(OSError):  # removed with its folder, or the folder is no longer writable
        if _is_at(lock, handle):
            lock.unlink()
    os.close(handle)


def _note() -> str:
    """Who holds a lock, as others see it in the error message. Passwords in URLs are masked."""
    command = re.sub(r"(://[^:/@\s]*:)[^@\s]*@", r"\1***@", command_line())
    since = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
    return f"process {os.getpid()} on {socket.gethostname()} since {since} ({command})"


def _holder(lock: Path) -> str:
    try:
        note = lock.read_bytes()[:_LONGEST_NOTE].decode(errors="replace")
    except OSError:
        note = ""
    return note if note.isprintable() and note else "another process"
