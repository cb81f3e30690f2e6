"""One request and its answer, as ASGI has them."""

import asyncio
import logging
from collections.abc import Sequence
from http import HTTPStatus
from typing import Protocol

from starlette.types import ASGIApp, Message, Scope

from serving.errors import InternalError
from serving.request_ids import HEADER, request_id

OVERLOADED = "overloaded"
"""The extension in the scope of a request that arrived when the worker had as many as it accepts."""

ARRIVED = "arrived"
"""The key in a request's scope for the time, by `perf_counter`, since when it has waited for its turn."""

TOGETHER = "together"
"""The key in a request's scope for the number of requests that are begun together, itself included."""

READ_AHEAD_BYTES = 64 << 10
"""How much of a body is read before the application asks for it."""

SHORT_REST_BYTES = 64 << 10
"""The longest remainder of a body that is read after its answer to keep the connection."""

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
WITHOUT_BODY = (204, 304)

logger = logging.getLogger("serving")
Headers = Sequence[tuple[bytes, bytes]]


class Channel(Protocol):
    """What an exchange asks of its connection."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    drained: asyncio.Future[None] | None
    """Done when the client has read enough for more to be sent; None while it keeps up."""

    def default_headers(self) -> Headers:
        """Header fields that every answer has."""

    def last_answer(self) -> bool:
        """Whether the connection ends after this answer whatever the request says."""

    def want_body(self) -> None:
        """More of the body can be read."""

    def answered(self) -> None:
        """The answer is complete."""

    def begun(self) -> None:
        """The application has begun to work on the request."""

    def finished(self, exchange: "Exchange") -> None:
        """The application is done with the request, answered or not."""


class Exchange:
    """A request in hand. Its connection gives it the body, part by part, and has no other request meanwhile.

    `keep_alive`: whether the connection goes on after it. `missing`: how much of the body hasn't arrived, None if
    unknown. `queued`: whether it waits for its turn, or has had it. `task`: the application's work on it.
    """

    __slots__ = (
        "_channel", "_continue", "_given", "_head", "_length", "_parts", "_size", "_waiter", "answered", "arrived",
        "gone", "keep_alive", "missing", "queued", "scope", "started", "task",
    )  # fmt: skip

    def __init__(
        self, channel: Channel, scope: Scope, *, keep_alive: bool, missing: int | None, expects_continue: bool
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.missing = missing
        self.arrived = missing == 0
        self.queued = self.started = self.answered = self.gone = False
        self.task: asyncio.Task[None] | None = None
        self._channel = channel
        self._continue = expects_continue and not self.arrived
        self._given = False
        self._head: bytes | None = None
        self._length: int | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None

    def take(self, part: bytes, *, last: bool) -> None:
        """Take a part of the body."""
        self.arrived = last
        if part and not self.answered:
            self._parts.append(part)
            self._size += len(part)
        self._wake()

    def comes_whole(self) -> bool:
        """Whether the application is called only when all of the body is there: it is short, and sent without being
        asked for.
        """
        return self.missing is not None and self.missing <= READ_AHEAD_BYTES and not self._continue

    def is_full(self) -> bool:
        """Whether the application has to read before more of the body is received."""
        return self._size > READ_AHEAD_BYTES

    def leave(self) -> None:
        """The client has gone, or has been answered by the connection itself."""
        self.gone = True
        self._parts.clear()
        self._size = 0
        self._wake()

    async def run(self, app: ASGIApp) -> None:
        """Let the application answer; if it fails to, the answer is a 500, whose cause is only in the log."""
        try:
            self._channel.begun()
            await app(self.scope, self.receive, self.send)
        except Exception:
            logger.exception("the application failed, request %s", request_id(self.scope).decode())
        finally:
            if not (self.answered or self.gone):
                await self._fail()
            self._channel.finished(self)

    async def _fail(self) -> None:
        if self.started and self._head is None:
            self._channel.transport.abort()  # part of another answer has been sent
            return
        self.started, self.keep_alive, content = False, False, InternalError().body()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", b"%d" % len(content)),
            (HEADER, request_id(self.scope)),
        ]
        await self.send({"type": "http.response.start", "status": InternalError.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": content})

    async def receive(self) -> Message:
        """ASGI's: the body as far as it has arrived, then the message that the client has gone."""
        if self._continue and not self.started:
            self._continue = False
            self._channel.transport.write(CONTINUE)
        while not (self._given or self._parts or self.arrived or self.gone):
            await self._woken()
        if not (self._given or self.gone):
            parts, self._parts = self._parts, []
            self._size = 0
            self._given = self.arrived
            if not self._given:
                self._channel.want_body()
            body = parts[0] if len(parts) == 1 else b"".join(parts)
            return {"type": "http.request", "body": body, "more_body": not self._given}
        while not (self.gone or self.answered):
            await self._woken()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's. Head and first part of an answer are one write, which a client gets as one packet."""
        if self._channel.drained is not None and not self.gone:
            await asyncio.shield(self._channel.drained)
        if self.gone:
            return
        if message["type"] == "http.response.start" and not self.started:
            self.started = True
            self._head = self._render(message["status"], message.get("headers", ()))
        elif message["type"] == "http.response.body" and self.started and not self.answered:
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"{message['type']} is out of place")

    def _render(self, status: int, headers: Headers) -> bytes:
        lines = [STATUS_LINES[status]]
        closes = False
        for name, value in (*self._channel.default_headers(), *headers):
            if name == b"content-length":
                self._length = int(value)
            elif name == b"connection":
                closes = True
                self.keep_alive = self.keep_alive and value != b"close"
            lines += (name, b": ", value, b"\r\n")
        if status in WITHOUT_BODY or self.scope["method"] == "HEAD":
            self._length = 0
        self.keep_alive = self.keep_alive and self._can_go_on()
        if not (self.keep_alive or closes):
            lines.append(b"connection: close\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _can_go_on(self) -> bool:
        """Whether it is clear to both sides where this answer and the rest of the request end."""
        if self._length is None or self._channel.last_answer():
            return False
        return self.arrived or (self.missing is not None and self.missing <= SHORT_REST_BYTES and not self._continue)

    def _send_body(self, body: bytes, *, more: bool) -> None:
        if self.scope["method"] == "HEAD":
            body = b""
        if self._length is not None:
            self._length -= len(body)
            if self._length < 0 or (self._length and not more):
                self._channel.transport.abort()
                raise RuntimeError("the answer is not as long as its content-length says")
        if self._head is not None:
            body, self._head = self._head + body, None
        if body:
            self._channel.transport.write(body)
        if not more:
            self.answered = True
            self._parts.clear()
            self._size = 0
            self._wake()
            self._channel.answered()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _woken(self) -> None:
        self._waiter = self._channel.loop.create_future()
        await self._waiter
        self._waiter = None
