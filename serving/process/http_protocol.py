"""uvicorn's HTTP protocol, held to limits, and with the head and the body of a response in one system call.

uvicorn waits for a slow client without end, takes request heads of any length, and holds any number of connections and
requests. Here each of these has a limit, and every limit its answer.

uvicorn hands head and body of a response to the transport separately, and uvloop writes each at once: two system calls,
two wake-ups of the client. For answers of a hundred bytes that is a tenth of the whole request.
"""

import asyncio
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Literal, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.errors import BadRequestHead, HeadTooLarge, RequestError, RequestTimeout
from serving.process.event_loop import EventLoop

HEAD_BYTES = 64 << 10
"""The longest request line and headers, give or take one read of the socket."""

COALESCED_BYTES = 64 << 10
"""What is longer is handed on at once, so that the transport can say when a client doesn't keep up."""

SWEEP_SECONDS = 0.5
"""How often the connections' times are looked at: so much later than its limit a connection may end."""

BEHIND_SECONDS = 0.01
"""How late the event loop must be with that for the connections that wait to be accepted to be accepted all at once."""

STATE_KEY = "connection_limits"
"""Where an application puts its ConnectionLimits in its lifespan state."""

OVERLOADED = "overloaded"
"""The extension in the scope of a request that came when the worker had as many as it takes."""

ARRIVED = "arrived"
"""Where in its scope a request has the time, of `perf_counter`, at which its head was complete."""


@dataclass(frozen=True)
class ConnectionLimits:
    """What the clients of one worker process may take of it, and its connections, which are held to that.

    `seconds` is how long a request may take to arrive, from its first byte or from the connection's start, and how long
    a client may leave an answer unread.
    """

    connections: int
    requests: int
    seconds: float
    held: set["Protocol"] = field(default_factory=set)

    async def enforce(self) -> None:
        """End the connections whose time is up, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            expected = perf_counter() + SWEEP_SECONDS
            await asyncio.sleep(SWEEP_SECONDS)
            if perf_counter() - expected > BEHIND_SECONDS and isinstance(loop, EventLoop):
                loop.accept_waiting(2 * self.connections - len(self.held))
            overdue = loop.time() - self.seconds
            for connection in tuple(self.held):
                connection.end_if_waiting_since(overdue)


class CoalescingTransport:
    """A transport that sends what is written within one turn of the event loop together, at the turn's end."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._pending: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Send `data` soon."""
        self._pending.append(data)
        if len(data) > COALESCED_BYTES:
            self.flush()
        elif len(self._pending) == 1:
            self._call_soon(self.flush)

    def flush(self) -> None:
        """Send what is pending."""
        if self._pending:
            data = b"".join(self._pending) if len(self._pending) > 1 else self._pending[0]
            self._pending.clear()
            self._transport.write(data)

    def close(self) -> None:
        """Send what is pending, then close."""
        self.flush()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the transport has
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """HttpToolsProtocol on a CoalescingTransport, held to the application's ConnectionLimits.

    Times are the event loop's, and 0 while the connection waits for nothing that is the client's to do.
    """

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop with a new connection."""
        coalescing = CoalescingTransport(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", coalescing))
        self._limits: ConnectionLimits = self.app_state[STATE_KEY]
        self._limits.held.add(self)
        self._receiving_since = self.loop.time()
        self._sending_since = 0.0
        self._arriving: Literal["head", "body"] | None = None
        self._head_bytes = 0
        # A surplus connection's first request is answered, with a 503, and its last; twice too many are not heard.
        self._surplus = len(self._limits.held) > self._limits.connections
        if len(self._limits.held) > 2 * self._limits.connections:
            self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection has ended."""
        super().connection_lost(exc)
        self._limits.held.discard(self)

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with what the client sent."""
        super().data_received(data)
        if self._arriving == "head":
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self._refuse(HeadTooLarge(HEAD_BYTES))

    def on_message_begin(self) -> None:
        """Called by the parser at a request's first byte."""
        super().on_message_begin()
        self._receiving_since = self.loop.time()
        self._arriving = "head"
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Called by the parser at the end of a request's head."""
        self._arriving = "body"
        super().on_headers_complete()
        self.scope[ARRIVED] = perf_counter()  # type: ignore[literal-required]  # a server's scope may have more
        if self._surplus or len(self.tasks) > self._limits.requests:
            self.scope["extensions"] = {OVERLOADED: {}}
            self.cycle.keep_alive = self.cycle.keep_alive and not self._surplus

    def on_message_complete(self) -> None:
        """Called by the parser at a request's last byte."""
        super().on_message_complete()
        self._arriving = None
        self._receiving_since = 0.0

    def pause_writing(self) -> None:
        """Called by the transport when the client leaves an answer unread."""
        super().pause_writing()
        self._sending_since = self.loop.time()

    def resume_writing(self) -> None:
        """Called by the transport when the client has read on."""
        super().resume_writing()
        self._sending_since = 0.0

    def send_400_response(self, _: str) -> None:
        """Called by the superclass for what isn't HTTP."""
        self._refuse(BadRequestHead())

    def end_if_waiting_since(self, overdue: float) -> None:
        """End the connection if it has waited for its client since before `overdue`."""
        if self.transport.is_closing():
            return
        if 0 < self._sending_since < overdue:
            self.transport.abort()
        elif 0 < self._receiving_since < overdue:
            if self.scope is None:  # not a byte of a request, so there is nothing to answer
                self.transport.close()
            else:
                self._refuse(RequestTimeout(self._limits.seconds))

    def _refuse(self, error: RequestError) -> None:
        """Answer what the application can't, and close. An answer that is under way, or was given, is left alone."""
        cycle = self.cycle
        if self._arriving == "body":
            unanswered = not cycle.response_started
        else:
            unanswered = cycle is None or cycle.response_complete
        if unanswered and not self.pipeline:
            content = error.body()
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
            self.transport.write(STATUS_LINE[error.status] + head + content)
        self.transport.close()
