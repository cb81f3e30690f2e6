"""The hot path: from a request's bytes to a response's.

These are ASGI applications on the FastAPI router, not path functions: a path function costs a request a hundred
microseconds of signature solving, body modelling and response serialising, several times what the prediction takes.
"""

import asyncio
import logging
import os
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from starlette.types import Receive, Scope, Send

from serving.errors import EncodedBody, InternalError, Overloaded, RequestError, TooLarge
from serving.metrics import Metrics
from serving.predictor import Predictor
from serving.process.exchange import ARRIVED, OVERLOADED
from serving.request_ids import HEADER, KEY, new_ids, take_or_make
from serving.request_schema import Decode
from serving.response_schema import Assemble, Encode
from serving.watching import Steps, Watcher

THREAD_BYTES = 64 << 10
"""A larger body (some 200 rows, a millisecond of work) is worked on in a thread, so that it delays no small request."""

PART_BYTES = 256 << 10
"""How much of a long answer is handed on at once."""

BATCH_NICENESS = 10
"""That thread's niceness, so that the event loop's thread goes first when both want the same CPU."""

logger = logging.getLogger("serving")
Headers = Sequence[tuple[bytes, bytes]]
Answer = tuple[bytes, int, Sequence[str], Headers]
"""A response's body, the number of rows, the feature of every unseen category in them, and the response's headers."""

CONTENT_ENCODING = b"content-encoding"
NOTED = (HEADER, CONTENT_ENCODING)
"""The header fields that mean something here; most requests have none of them."""

JSON_HEADERS: Headers = ((b"content-type", b"application/json"),)


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


class Buffers:
    """The room that one process has for large bodies and their answers, in bytes."""

    def __init__(self, size: int) -> None:
        self.free = size


class Reservation:
    """What one request holds of the buffers, until it is released."""

    __slots__ = ("_buffers", "_held")

    def __init__(self, buffers: Buffers) -> None:
        self._buffers = buffers
        self._held = 0

    def add(self, size: int) -> None:
        """Hold `size` bytes more.

        Raises:
            Overloaded: fewer are free.
        """
        if size > self._buffers.free:
            raise Overloaded
        self._buffers.free -= size
        self._held += size

    def release(self) -> None:
        """Give all of it back."""
        self._buffers.free += self._held
        self._held = 0


@dataclass
class Worker:
    """What the endpoints of one process share. `max_wait` is in seconds, from a request's head to its turn.

    `watcher` sees every request; it may be set only before the first one arrives.
    """

    predictor: Predictor
    metrics: Metrics
    threads: ThreadPoolExecutor
    buffers: Buffers
    max_body_bytes: int
    max_wait: float
    watcher: Watcher | None = None


class Endpoint(ABC):
    """`POST` of rows, in any form: limits, errors, metrics. One instance per route, which works in the given steps."""

    def __init__(self, route: str, steps: Steps, worker: Worker) -> None:
        self.route = route
        self.steps = steps
        self._worker = worker

    @abstractmethod
    def work(self, scope: Scope, body: bytes, steps: Steps, /) -> Answer:
        """Answer the rows in the body, with these steps. Raises RequestError: they are refused."""

    async def answer_now(self, scope: Scope, body: bytes, steps: Steps) -> Answer:
        """Answer the rows in a small body, in the event loop's thread."""
        return self.work(scope, body, steps)

    def refusal(self, error: RequestError) -> bytes:
        """The body that says what is wrong."""
        return error.body()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        started = perf_counter()
        status, answered = 200, False
        headers = JSON_HEADERS
        request_id, encoding = read_noted(scope["headers"])
        scope[KEY] = request_id
        steps = self.steps
        watch = None
        if self._worker.watcher is not None:
            watch = self._worker.watcher.begin(scope, self.route)
            steps = steps if watch is None else watch.around(steps)
        reservation = Reservation(self._worker.buffers)
        try:
            try:
                waited = started - scope.get(ARRIVED, started)
                if waited > self._worker.max_wait or OVERLOADED in scope.get("extensions", ()):
                    raise Overloaded
                if encoding is not None:
                    raise EncodedBody(encoding.decode("latin-1"))
                content, headers = await self._answer(scope, receive, steps, reservation)
            except RequestError as error:
                status, headers, content = error.status, (*JSON_HEADERS, *error.headers), self.refusal(error)
            except ClientGone:
                return
            except Exception:
                logger.exception("%s failed, request %s", self.route, request_id.decode())
                status, content = InternalError.status, self.refusal(InternalError())
            await respond(send, status, content, (*headers, (HEADER, request_id)))
            answered = True
        finally:
            reservation.release()
            if watch is not None:
                watch.end(status if answered else None)
        self._worker.metrics.observe(self.route, status, perf_counter() - started)

    async def _answer(
        self, scope: Scope, receive: Receive, steps: Steps, reservation: Reservation
    ) -> tuple[bytes, Headers]:
        worker = self._worker
        body = await read_body(receive, worker.max_body_bytes, reservation)
        if len(body) <= THREAD_BYTES:
            content, rows, unseen, headers = await self.answer_now(scope, body, steps)
        else:
            loop = asyncio.get_running_loop()
            content, rows, unseen, headers = await loop.run_in_executor(worker.threads, self.work, scope, body, steps)
            reservation.release()  # the body is no longer needed
            reservation.add(len(content))
        worker.metrics.predicted(self.route, rows, unseen)
        return content, headers


class PredictEndpoint(Endpoint):
    """`POST` of rows as JSON: decode, predict, encode, piece by piece, with the route's own schemas."""

    def __init__(self, route: str, decode: Decode, encode: Encode, assemble: Assemble, worker: Worker) -> None:
        super().__init__(route, Steps(decode, worker.predictor.predict, encode), worker)
        self._assemble = assemble

    def work(self, _: Scope, body: bytes, steps: Steps) -> Answer:
        """Answer the rows in the body."""
        content: list[bytes] = []
        unseen: list[str] = []
        rows = 0
        for piece in steps.decode(body):
            predictions = steps.predict(piece.batch)
            content.append(steps.encode(predictions))
            unseen += piece.unseen
            rows += len(predictions[0])
        return self._assemble(content, rows), rows, unseen, JSON_HEADERS


def batch_threads() -> ThreadPoolExecutor:
    """The one thread of a process, in which large bodies are processed one after the other."""
    return ThreadPoolExecutor(1, thread_name_prefix="batch", initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":  # where each thread has its own niceness
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BATCH_NICENESS)


def read_noted(headers: Headers) -> tuple[bytes, bytes | None]:
    """The request's id, and the encoding of its body, if it has one."""
    for name, _ in headers:
        if name in NOTED:
            break
    else:
        return next(new_ids), None
    ids = [value for name, value in headers if name == HEADER]
    encodings = [value for name, value in headers if name == CONTENT_ENCODING and value.lower() != b"identity"]
    return take_or_make(ids[0] if len(ids) == 1 else None), encodings[0] if encodings else None


async def read_body(receive: Receive, limit: int, reservation: Reservation) -> bytes:
    """The whole request body; one that is large, or comes in parts, is added to the reservation.

    Raises:
        TooLarge: it has more than `limit` bytes; at most one chunk beyond them was read.
        Overloaded: there is no room for it.
        ClientGone: the client left before the end.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    size = len(body)
    if size > THREAD_BYTES or message.get("more_body", False):
        chunks = [body]
        reservation.add(size)
        while size <= limit and message.get("more_body", False):
            message = await receive()
            chunk = message.get("body", b"")
            reservation.add(len(chunk))
            size += len(chunk)
            chunks.append(chunk)
        if size > limit:
            raise TooLarge("bytes", limit)
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise ClientGone
    if size > limit:
        raise TooLarge("bytes", limit)
    return body


async def respond(send: Send, status: int, content: bytes, headers: Headers = JSON_HEADERS) -> None:
    """Send a response, as JSON unless the headers say otherwise.

    A long one is sent in parts, so that only as much of it as the client reads is copied for sending.
    """
    start = [*headers, (b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": status, "headers": start})
    for end in range(PART_BYTES, len(content), PART_BYTES):
        await send({"type": "http.response.body", "body": content[end - PART_BYTES : end], "more_body": True})
    last = (len(content) - 1) // PART_BYTES * PART_BYTES
    await send({"type": "http.response.body", "body": content[last:] if last > 0 else content})
