"""The order in which requests that have arrived are begun: the connection whose last turn was longest ago comes first.

In a turn of the event loop, all readable sockets are read, and then everything that arrived is worked on. A client that
is answered asks again at once, so the next turn has the same connections, except for the one answered last: its request
arrives just too late, and is read in the turn after that, after all others, because the kernel lists it last. It would
wait for nearly two rounds. One of 32 connections always would, which shows in the p99.
"""

from operator import attrgetter
from typing import Protocol


class Waiting(Protocol):
    """A connection. `last_turn` is the number, among all requests, of its last one, or of the last one before it
    connected.
    """

    last_turn: int

    def take_turn(self, together: int) -> bool:
        """Begin its request, one of `together`. Returns whether the client is still there."""


_BY_LAST_TURN = attrgetter("last_turn")


class Turns:
    """The connections of a process whose requests have arrived and have not begun. `count` requests have been begun."""

    def __init__(self) -> None:
        self.count = 0
        self._queue: list[Waiting] = []
        self._open = False

    def wait(self, waiting: Waiting) -> None:
        """Begin the connection's request: at once if it is the first of a turn, otherwise when `close` is called."""
        if self._open:
            self._queue.append(waiting)
        else:
            self._open = self._begin(waiting, 1)

    def close(self) -> None:
        """The first request of the turn is under way, and so all sockets have been read: begin the others."""
        self._open = False
        if self._queue:
            queue, self._queue = self._queue, []
            queue.sort(key=_BY_LAST_TURN)
            for waiting in queue:
                self._begin(waiting, len(queue))

    def _begin(self, waiting: Waiting, together: int) -> bool:
        self.count += 1
        waiting.last_turn = self.count
        return waiting.take_turn(together)
