"""The thread that writes the record of a process, so that no request waits for it."""

import gzip
import logging
import threading
import time

from serving.metrics import RecordCounters
from serving.record.backlog import Backlog
from serving.record.files import Files
from serving.record.lines import CHUNK_ROWS, Answered

FLUSH_BYTES = 64 << 10
"""Text of this length is written, however much more there is to write."""

BREATH_SECONDS = 0.0005
"""How long the writer rests after every CHUNK_ROWS rows: the threads that answer requests need the interpreter."""

CLOSE_SECONDS = 10.0
"""How long the end of a process waits for the rest to be written: it takes longer only if the disk hangs."""

LEVEL = 3
"""Of compression: files are a tenth larger than at the highest level, in a tenth of the time."""

logger = logging.getLogger("serving")


class Writer(threading.Thread):
    """Writes what is in the backlog, and counts what it has written and what it could not write."""

    def __init__(self, backlog: Backlog, files: Files, counters: RecordCounters) -> None:
        super().__init__(name="record", daemon=True)
        self._backlog = backlog
        self._files = files
        self._counters = counters
        self._text: list[bytes] = []
        self._bytes = self._rows = self._unbroken = 0
        self._failing = False

    def run(self) -> None:
        """Write until the backlog is closed and empty."""
        self._prepare()
        while True:
            closed = self._backlog.closed
            for answered in self._backlog.take(self._files.seconds_left()):
                self._add(answered)
            if self._rows:
                self._flush()
            if closed or self._files.seconds_left() == 0:
                self._finish()
            if closed:
                return

    def close(self) -> None:
        """Write the rest, finish the file, and end."""
        self._backlog.close()
        self.join(CLOSE_SECONDS)
        if self.is_alive():
            logger.error("the record's last rows are lost: they could not be written within %g seconds", CLOSE_SECONDS)

    def _prepare(self) -> None:
        try:
            if found := self._files.prepare():
                logger.info("the record has %d more files, which killed services had left", found)
        except OSError as error:
            self._fail(error)

    def _add(self, answered: Answered) -> None:
        added = 0
        try:
            for text, rows in answered.lines.encode(answered):
                self._text.append(text)
                self._bytes += len(text)
                self._rows += rows
                added += rows
                if self._bytes >= FLUSH_BYTES:
                    self._flush()
                self._breathe(rows)
        except Exception:
            logger.exception("rows of request %s can't be recorded", answered.request_id.decode())
            self._counters.unwritten.inc(answered.rows - added)

    def _breathe(self, rows: int) -> None:
        """Let the other threads run, after every CHUNK_ROWS rows."""
        self._unbroken += rows
        if self._unbroken >= CHUNK_ROWS and not self._backlog.closed:
            self._unbroken = 0
            time.sleep(BREATH_SECONDS)

    def _flush(self) -> None:
        rows, text = self._rows, b"".join(self._text)
        self._text, self._bytes, self._rows = [], 0, 0
        try:
            self._files.write(gzip.compress(text, LEVEL, mtime=0))
        except OSError as error:
            self._counters.unwritten.inc(rows)
            self._fail(error)
            return
        self._counters.written.inc(rows)
        if self._failing:
            self._failing = False
            logger.info("the record is written again")

    def _finish(self) -> None:
        try:
            self._files.finish()
        except OSError as error:
            self._fail(error)

    def _fail(self, error: OSError) -> None:
        """Say so, once."""
        if not self._failing:
            self._failing = True
            logger.error("the record can't be written, its rows are lost until it can: %s", error)
