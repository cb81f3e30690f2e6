"""What the clients of one worker process may use of it: the bounds of every connection, and the task that enforces the
times.

docs/connections.md states what they add up to.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Protocol

from serving.process.event_loop import EventLoop
from serving.process.turns import Turns

HEAD_BYTES = 64 << 10
"""The longest request line and header fields together."""

MAX_FIELDS = 100
"""The most header fields of a request."""

FRAMING_BYTES = 64 << 10
"""How much longer than its content the rest of a chunked body may be: the parser keeps a trailer until it ends, and
works on each chunk, however small.
"""

UNPARSED_BYTES = 64 << 20
"""How much all connections of a process may hold of unfinished heads and of requests whose turn has not come."""

OWN_BYTES = 4 << 10
"""How much of them a connection may hold in any case, so that full buffers do not shut out ordinary clients."""

LINGER_SECONDS = 5.0
"""How long a connection that is ending reads on: unread bytes would reset it, perhaps before the answer is read."""

LINGER_BYTES = 32 << 20
"""How much it reads in that time."""

ARRIVING_SECONDS = 0.05
"""How long a service that stops waits for requests that are on their way on its connections."""

SWEEP_SECONDS = 0.5
"""How often the connections' times are checked: a connection may end this much later than its limit."""

BEHIND_SECONDS = 0.01
"""If the event loop is this late with the check, all connections that wait to be accepted are accepted at once."""

STATE_KEY = "connection_limits"
"""Where an application puts its ConnectionLimits in its lifespan state."""


class Connection(Protocol):
    """What the limits ask of a connection."""

    def end_if_overdue(self, now: float) -> None:
        """End it if it has waited too long for its client."""


@dataclass
class ConnectionLimits:
    """The limits of one worker process, and its connections and requests in hand, to which they apply.

    `seconds` is how long a request may take to arrive, from its first byte or from the connection's start, and how long
    a client may leave an answer unread. `unparsed` is what the connections hold beyond their own bytes.
    """

    connections: int
    requests: int
    seconds: float
    held: set[Connection] = field(default_factory=set)
    in_hand: set[object] = field(default_factory=set)
    unparsed: int = 0
    turns: Turns = field(default_factory=Turns)

    def hold(self, before: int, now: int) -> bool:
        """Count a connection's unparsed bytes, which were `before`; returns whether there is room for them.

        If there is none, the connection holds what it held before.
        """
        change = max(now - OWN_BYTES, 0) - max(before - OWN_BYTES, 0)
        if change > 0 and self.unparsed + change > UNPARSED_BYTES:
            return False
        self.unparsed += change
        return True

    async def enforce(self) -> None:
        """End the connections whose time is up, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            expected = perf_counter() + SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)
            if perf_counter() - expected > BEHIND_SECONDS and isinstance(loop, EventLoop):
                loop.accept_waiting(2 * self.connections - len(self.held))
            now = loop.time()
            for connection in tuple(self.held):
                connection.end_if_overdue(now)
