"""A connection: its requests one after the other, each answered once and in order, within bounds.

uvicorn's server runs it in place of its own protocols. docs/connections.md states what it promises; the parts are the
bounds (connections.py), the reading of one request (request_parser.py) and its answer (exchange.py).
"""

import asyncio
import logging
import re
from time import perf_counter
from typing import Any, cast

from starlette.types import ASGIApp
from uvicorn import Config
from uvicorn.server import ServerState

from serving.errors import Overloaded, RequestError, RequestTimeout
from serving.process.connections import ARRIVING_SECONDS, LINGER_BYTES, LINGER_SECONDS, STATE_KEY, ConnectionLimits
from serving.process.exchange import ARRIVED, OVERLOADED, STATUS_LINES, TOGETHER, Exchange, Headers
from serving.process.request_parser import HEAD_END, RequestHead, RequestParser, check_unfinished, decode_path
from serving.request_ids import HEADER, request_id

NEVER = float("inf")
ASGI = {"version": "3.0", "spec_version": "2.3"}

TAIL_BYTES = len(HEAD_END) - 1
"""How many bytes of a chunked body are kept: the end of the body may have begun in them."""

EMPTY_LINES = re.compile(rb"[\r\n]*")
"""Allowed before a request."""

logger = logging.getLogger("serving")


class Protocol(asyncio.Protocol):
    """One connection. `_input` from `_at` on is what has arrived and is not parsed yet.

    Only one request is in hand at a time. Bytes that follow it are left as they are, and once there are any the socket
    isn't read any more, so that a client that sends without waiting for answers is slowed down, and costs no memory.
    Times are the event loop's.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        """Called by uvicorn's server, for each new connection."""
        self.loop = _loop or asyncio.get_running_loop()
        self.transport: asyncio.Transport = cast("asyncio.Transport", None)
        self.drained: asyncio.Future[None] | None = None
        self._app = cast("ASGIApp", config.loaded_app)
        self._idle_seconds = config.timeout_keep_alive
        self._server = server_state
        self._app_state = app_state
        self._limits: ConnectionLimits = app_state[STATE_KEY]
        self.last_turn = self._limits.turns.count
        self._parser = RequestParser()
        self._exchange: Exchange | None = None
        self._refusal: RequestError | None = None
        self._input: bytes | bytearray = b""
        self._at = self._held = self._discarded = 0
        self._paused = self._ending = self._stopping = self._ended_by_client = self._surplus = self._awaited = False
        self._deadline = self._sending_deadline = NEVER

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Called by the event loop with a new connection."""
        self.transport = cast("asyncio.Transport", transport)
        self._server.connections.add(cast("Any", self))
        self._client = transport.get_extra_info("peername")
        self._address = transport.get_extra_info("sockname")
        self._deadline = self.loop.time() + self._limits.seconds
        self._limits.held.add(self)
        # A surplus connection's first request gets a 503 and is its last; beyond twice the limit, it is closed unread.
        self._surplus = len(self._limits.held) > self._limits.connections
        if len(self._limits.held) > 2 * self._limits.connections:
            self.transport.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Called by the event loop when the connection has ended."""
        self._server.connections.discard(cast("Any", self))
        self._limits.held.discard(self)
        self._drop_input()
        self._ending = True
        if self._exchange is not None:
            self._leave(self._exchange)
        self.resume_writing()

    def eof_received(self) -> bool:
        """Called by the event loop when the client sends no more. Returns whether it is still owed an answer."""
        self._ended_by_client = True
        if self._exchange is None or self._ending:
            return False
        if not self._exchange.arrived:
            self._leave(self._exchange)  # it broke off in the middle of a body
        return self._exchange.arrived

    def data_received(self, data: bytes) -> None:
        """Called by the event loop with what the client sent."""
        if self._ending:
            self._discarded += len(data)
            if self._discarded > LINGER_BYTES:
                self.transport.abort()
            return
        if self._input:
            grown = self._input if isinstance(self._input, bytearray) else bytearray(self._input)
            del grown[: max(self._at - TAIL_BYTES, 0)]
            grown += data
            self._input, self._at = grown, min(self._at, TAIL_BYTES)
        else:
            self._input, self._at = data, 0
        self._advance()

    def pause_writing(self) -> None:
        """Called by the transport when the client leaves an answer unread."""
        self.drained = self.loop.create_future()
        self._sending_deadline = self.loop.time() + self._limits.seconds

    def resume_writing(self) -> None:
        """Called by the transport when the client has read more."""
        self._sending_deadline = NEVER
        if self.drained is not None:
            self.drained.set_result(None)
            self.drained = None

    def shutdown(self) -> None:
        """Called by the server when it stops: what has arrived is answered, then the connection ends.

        That includes bytes that are still unread in the kernel: closing then would reset the connection.
        """
        self._stopping = True
        # In two steps, because all sockets are read between them, however long the loop has been busy.
        later = self.loop.call_later
        later(ARRIVING_SECONDS / 2, later, ARRIVING_SECONDS / 2, self._end_if_idle)

    def _end_if_idle(self) -> None:
        if self._exchange is None:
            self.transport.close()

    def end_if_overdue(self, now: float) -> None:
        """End the connection if it has waited too long for its client."""
        if self._sending_deadline < now:
            self.transport.abort()
        elif self._deadline >= now:
            return
        elif self._ending:
            if not self.transport.get_write_buffer_size() or self._deadline + self._limits.seconds < now:
                self.transport.abort()
        elif self._exchange is None and not self._input:
            self._end()  # not a byte of a request, so there is nothing to answer
        else:
            self._refuse(RequestTimeout(self._limits.seconds))

    def default_headers(self) -> Headers:
        """The date, which uvicorn writes once a second."""
        return self._server.default_headers

    def last_answer(self) -> bool:
        """Whether the connection ends after the current answer, whatever its request says."""
        return self._surplus or (self._at == len(self._input) and (self._stopping or self._ended_by_client))

    def want_body(self) -> None:
        """The application has taken all that had arrived of the body."""
        self._resume_reading()

    def answered(self) -> None:
        """The current answer is complete."""
        exchange = cast("Exchange", self._exchange)
        self._limits.in_hand.discard(exchange)
        if not exchange.keep_alive:
            self._end()
        elif exchange.arrived:
            self._next()
        else:
            self._resume_reading()

    def begun(self) -> None:
        """The application has begun to work on a request."""
        self._limits.turns.close()

    def finished(self, exchange: Exchange) -> None:
        """The application is done with a request, or will not be called for it."""
        self._limits.in_hand.discard(exchange)
        self._server.tasks.discard(cast("asyncio.Task[None]", exchange.task))

    def _next(self) -> None:
        """The current request is finished; it is the next one's turn."""
        self._exchange = None
        self._deadline = self.loop.time() + self._idle_seconds
        if self._refusal is not None:
            self._refuse(self._refusal)
        elif self._at < len(self._input):
            self._advance()
        elif self._stopping or self._ended_by_client:
            self._end()
        else:
            self._resume_reading()

    def take_turn(self, together: int) -> bool:
        """Let the application begin the current request, one of `together`, if the client is still there."""
        exchange = cast("Exchange", self._exchange)
        if exchange.gone:
            return False
        exchange.scope[TOGETHER] = together
        exchange.task = self.loop.create_task(exchange.run(self._app))
        self._server.tasks.add(exchange.task)
        return True

    def _advance(self) -> None:
        """Parse as much of the input as possible; count the rest, and read no more while it waits for its turn."""
        try:
            while self._at < len(self._input) and not self._ending:
                if not (self._take_head() if self._exchange is None else self._take_body(self._exchange)):
                    break
        except RequestError as error:
            self._refuse(error)
        if self._ending:
            return
        exchange = self._exchange
        unread = len(self._input)
        if self._at == unread:
            unread = 0
            self._input = self._input[-TAIL_BYTES:] if exchange is not None and exchange.missing is None else b""
            self._at = len(self._input)
        if exchange is not None and (unread or exchange.is_full()):
            self._pause_reading()
        elif self._paused:
            self._resume_reading()
        if unread != self._held:
            if self._limits.hold(self._held, unread):
                self._held = unread
            else:
                self._drop_input()
                self._refuse(Overloaded())

    def _take_head(self) -> bool:
        """Begin the next request, if its head is complete."""
        if self._input[self._at] in b"\r\n":
            self._at = cast("re.Match[bytes]", EMPTY_LINES.match(self._input, self._at)).end()
            return True
        end = self._input.find(HEAD_END, self._at)
        if end < 0:
            check_unfinished(self._input[self._at :])
            if self._ended_by_client:
                self._end()
            self._wait_for_request()
            return False
        end += len(HEAD_END)
        head = self._parser.head(bytes(self._input[self._at : end]))
        self._at = end
        self._begin(head)
        return True

    def _wait_for_request(self) -> None:
        """The request's time runs from the first call, however many follow."""
        if not self._awaited:
            self._awaited = True
            self._deadline = self.loop.time() + self._limits.seconds

    def _begin(self, head: RequestHead) -> None:
        raw_path, _, query = head.target.partition(b"?")
        scope = {
            "type": "http",
            "asgi": ASGI,
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "server": self._address,
            "client": self._client,
            "root_path": "",
            "path": decode_path(raw_path),
            "raw_path": raw_path,
            "query_string": query,
            "headers": head.headers,
            "state": self._app_state.copy(),
        }
        exchange = Exchange(
            self,
            scope,
            keep_alive=head.keep_alive,
            missing=head.length,
            expects_continue=head.expects_continue,
        )
        self._exchange = exchange
        self._limits.in_hand.add(exchange)
        overloaded = self._surplus or len(self._limits.in_hand) > self._limits.requests
        if overloaded:
            scope["extensions"] = {OVERLOADED: {}}
        if exchange.arrived:
            self._stop_waiting()
        else:
            self._wait_for_request()
        if exchange.arrived or overloaded or not exchange.comes_whole():
            self._wait_for_turn(exchange)

    def _wait_for_turn(self, exchange: Exchange) -> None:
        exchange.queued = True
        exchange.scope[ARRIVED] = perf_counter()
        self._limits.turns.wait(self)

    def _take_body(self, exchange: Exchange) -> bool:
        """Give the request in hand what has arrived of its body; what follows that waits for its answer."""
        if exchange.arrived:
            return False
        end = len(self._input)
        if exchange.missing is not None:
            end = min(end, self._at + exchange.missing)
            exchange.missing -= end - self._at
        elif (found := self._input.find(HEAD_END, max(self._at - TAIL_BYTES, 0))) >= 0:
            end = found + len(HEAD_END)  # which is the end of the body, or in the middle of its content
        data = bytes(self._input[self._at : end])
        self._at = end
        content = self._parser.body(data)
        exchange.take(content, last=self._parser.complete)
        if exchange.arrived:
            self._stop_waiting()
            if not exchange.queued:
                self._wait_for_turn(exchange)
            elif exchange.answered:
                self._exchange = None
                self._deadline = self.loop.time() + self._idle_seconds
        return True

    def _stop_waiting(self) -> None:
        self._awaited = False
        self._deadline = NEVER

    def _refuse(self, error: RequestError) -> None:
        """Answer with the error in place of the application, when it is its turn, and end the connection."""
        exchange = self._exchange
        if exchange is not None and exchange.arrived:
            self._refusal = error
            return
        identified = () if exchange is None else ((HEADER, request_id(exchange.scope)),)
        logger.debug("refused: %s%s", error, "".join(f", request {value.decode()}" for _, value in identified))
        if exchange is None or not exchange.started:
            content = error.body()
            fields = (*self.default_headers(), *error.headers, *identified)
            lines = b"".join(b"%s: %s\r\n" % field for field in fields if field[0] != b"connection")
            head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(content)
            self.transport.write(STATUS_LINES[error.status] + lines + head + content)
        if exchange is not None:
            self._leave(exchange)
        self._end()

    def _leave(self, exchange: Exchange) -> None:
        exchange.leave()
        if exchange.task is None:
            self.finished(exchange)

    def _end(self) -> None:
        """Say that nothing more will be sent, and read on for a while: unread bytes would reset the connection.

        The reset could reach the client before the answer does.
        """
        if self._ending:
            return
        self._ending = True
        self._drop_input()
        self._server.connections.discard(cast("Any", self))
        self._deadline = self.loop.time() + LINGER_SECONDS
        if self._ended_by_client or self.transport.is_closing():
            self.transport.close()
        else:
            self.transport.write_eof()
            self._resume_reading()

    def _drop_input(self) -> None:
        self._limits.hold(self._held, 0)
        self._input, self._at, self._held = b"", 0, 0

    def _pause_reading(self) -> None:
        if not self._paused:
            self._paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._paused and not (self._ended_by_client or self.transport.is_closing()):
            self._paused = False
            self.transport.resume_reading()
