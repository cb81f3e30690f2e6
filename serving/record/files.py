"""Where the record is written to: one file after the other, each complete once it has its name."""

import contextlib

from serving.record.folder import Folder
from serving.record.part import Part
from serving.record.salvage import salvage

FILE_BYTES = 16 << 20
FILE_SECONDS = 60.0
"""A file is finished when it is this large, or has had something in it for this long."""

FILES_AT_LEAST = 8
"""A file has at most the limit for all divided by this, so that removing the oldest one doesn't remove everything."""


class Files:
    """The files of one process in a folder that may have `most_bytes`.

    All methods raise OSError where they can't write.
    """

    def __init__(self, folder: Folder, service: str, most_bytes: int) -> None:
        self._folder = folder
        self._service = service
        self._file_bytes = min(FILE_BYTES, most_bytes // FILES_AT_LEAST)
        self._part: Part | None = None

    def prepare(self) -> int:
        """Finish what killed processes have left, keep to the limit, and check that a file can be made.

        Returns:
            How many files were finished.
        """
        with self._folder.locked():
            pass  # which makes the folder
        found = salvage(self._folder)
        with self._folder.locked():
            self._folder.make_room(0)
        Part(self._folder, self._service).finish()
        return found

    def write(self, member: bytes) -> None:
        """Append a gzip member to the current file, or to the next one. If that fails, nothing of it is left."""
        if self._part is not None and not self._part.is_there():
            self._part.close()
            self._part = None
        if self._part is not None and self._part.size and self._part.size + len(member) > self._file_bytes:
            self.finish()
        with self._folder.locked():
            self._folder.make_room(len(member))
            if self._part is None:
                self._part = Part(self._folder, self._service)
            self._part.append(member)

    def seconds_left(self) -> float | None:
        """Seconds until the current file is to be finished, 0 if it is time; None if there is nothing in it."""
        if self._part is None or not self._part.size:
            return None
        return max(FILE_SECONDS - self._part.age(), 0.0)

    def finish(self) -> None:
        """Finish the current file, if there is one."""
        part, self._part = self._part, None
        if part is not None:
            with contextlib.suppress(FileNotFoundError):  # it has been removed
                part.finish()
