"""The hot path: from a request's bytes to a response's.

These are ASGI applications on the FastAPI router, not path functions: a path function costs a request a hundred
microseconds of signature solving, body modelling and response serialising, several times what the prediction takes.
"""

import asyncio
import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from time import perf_counter

from starlette.types import Receive, Scope, Send

from serving.errors import InternalError, Overloaded, RequestError, TooLarge
from serving.metrics import Metrics
from serving.predictor import Predictor
from serving.request_schema import Decode
from serving.response_schema import Assemble, Encode

THREAD_BYTES = 64 << 10
"""A larger body (some 200 rows, a millisecond of work) is worked on in a thread, so that it delays no small request."""

BATCH_NICENESS = 10
"""How far that thread steps back for the event loop's, where both want the same CPU."""

logger = logging.getLogger("serving")
Headers = Sequence[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client closed the connection before its request was complete."""


@dataclass
class Worker:
    """What the endpoints of one process share. `in_hand` counts the requests being worked on, on all routes."""

    predictor: Predictor
    metrics: Metrics
    threads: ThreadPoolExecutor
    max_body_bytes: int
    max_in_hand: int
    in_hand: int = 0


class PredictEndpoint:
    """`POST` of rows: decode, predict, encode, piece by piece. One instance a route, with the route's own schemas."""

    def __init__(self, route: str, decode: Decode, encode: Encode, assemble: Assemble, worker: Worker) -> None:
        self.route = route
        self._decode = decode
        self._encode = encode
        self._assemble = assemble
        self._worker = worker

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, whatever happens."""
        started = perf_counter()
        status = 200
        headers: Headers = ()
        try:
            content = await self._answer(receive)
        except RequestError as error:
            status, headers, content = error.status, error.headers, error.body()
        except ClientGone:
            return
        except Exception:
            logger.exception("%s failed", self.route)
            status, content = InternalError.status, InternalError().body()
        await respond(send, status, content, headers)
        self._worker.metrics.observe(self.route, status, perf_counter() - started)

    async def _answer(self, receive: Receive) -> bytes:
        worker = self._worker
        if worker.in_hand >= worker.max_in_hand:
            raise Overloaded
        worker.in_hand += 1
        try:
            body = await read_body(receive, worker.max_body_bytes)
            if len(body) <= THREAD_BYTES:
                content, rows, unseen = self._predict(body)
            else:
                loop = asyncio.get_running_loop()
                content, rows, unseen = await loop.run_in_executor(worker.threads, self._predict, body)
        finally:
            worker.in_hand -= 1
        worker.metrics.predicted(self.route, rows, unseen)
        return content

    def _predict(self, body: bytes) -> tuple[bytes, int, list[int]]:
        """The response, the number of rows, and the feature index of every unseen category in them."""
        content: list[bytes] = []
        unseen: list[int] = []
        rows = 0
        for piece in self._decode(body):
            predictions = self._worker.predictor.predict(piece.batch)
            content.append(self._encode(predictions))
            unseen += piece.unseen
            rows += len(predictions.labels)
        return self._assemble(content, rows), rows, unseen


def batch_threads() -> ThreadPoolExecutor:
    """The one thread of a process that large bodies are worked on in, one after the other."""
    return ThreadPoolExecutor(1, thread_name_prefix="batch", initializer=_step_back)


def _step_back() -> None:
    if sys.platform == "linux":  # where niceness is a thread's own
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BATCH_NICENESS)


async def read_body(receive: Receive, limit: int) -> bytes:
    """The whole request body.

    Raises:
        TooLarge: it has more than `limit` bytes; no more than one further chunk was read.
        ClientGone: the client left before the end.
    """
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        chunks = [body]
        size = len(body)
        while message.get("more_body", False):
            message = await receive()
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > limit:
                raise TooLarge("bytes", limit)
            chunks.append(chunk)
        body = b"".join(chunks)
    if message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > limit:
        raise TooLarge("bytes", limit)
    return body


async def respond(send: Send, status: int, content: bytes, headers: Headers = ()) -> None:
    """Send a JSON response."""
    length = b"%d" % len(content)
    start = [(b"content-type", b"application/json"), (b"content-length", length), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": content})
