"""What was answered and is not written yet: bounded, so that a writer that can't keep up costs records, not memory."""

import threading
from collections import deque

from serving.record.lines import Answered

MOST_ROWS = 10_000
MOST_ENTRIES = 10_000
MOST_BYTES = 32 << 20
"""Of request bodies; their rows take that much or less."""

GATHER_SECONDS = 1.0
"""How long the writer lets requests gather, so that it is not woken for each of them: waking up and filling the caches
costs more than several tens of rows.
"""


class Backlog:
    """Takes requests from the event loop, and gives them to one writer. `put` never waits for the writer."""

    def __init__(self) -> None:
        self._entries: deque[Answered] = deque()
        self._rows = self._bytes = 0
        self._lock = threading.Lock()
        self._filled, self._hurry = threading.Event(), threading.Event()
        self.closed = False

    def put(self, answered: Answered) -> bool:
        """Add the request; returns whether there was room. There always is for one alone, however many rows it has."""
        with self._lock:
            rows, size = self._rows + answered.rows, self._bytes + answered.size
            over = rows > MOST_ROWS or size > MOST_BYTES or len(self._entries) >= MOST_ENTRIES
            if self.closed or (over and self._entries):
                return False
            self._entries.append(answered)
            self._rows, self._bytes = rows, size
        if not self._filled.is_set():
            self._filled.set()
        if 2 * rows > MOST_ROWS or 2 * size > MOST_BYTES:
            self._hurry.set()
        return True

    def take(self, seconds: float | None) -> deque[Answered]:
        """All entries, after waiting at most `seconds` for the first; None waits as long as it takes."""
        if self._filled.wait(seconds):
            self._hurry.wait(GATHER_SECONDS)
        with self._lock:
            entries, self._entries = self._entries, deque()
            self._rows = self._bytes = 0
            if not self.closed:
                self._filled.clear()
                self._hurry.clear()
        return entries

    def close(self) -> None:
        """Accept no more, and end all waiting."""
        with self._lock:
            self.closed = True
            self._filled.set()
            self._hurry.set()
