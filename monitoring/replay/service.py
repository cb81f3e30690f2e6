"""A running service, asked again over HTTP about recorded rows: one request at a time, several rows each."""

import http.client
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from threading import Timer
from typing import Any, Never

import msgspec
import numpy as np

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import Manifest
from load_testing.payloads import batch_body
from load_testing.responses import Answers
from load_testing.scenarios import parse_address
from monitoring.errors import ReplayError
from monitoring.record.reader import Line, Value
from monitoring.record.rows import Rows
from monitoring.replay.answered import Answered, FailedError, RefusedError, ask_apart
from training.export.predictions import Predictions

BATCH_ROWS = 100
PATIENCE = 10
"""So many requests in a row without a usable answer end the replay: asking a service that is down is pointless."""

_ROUTE = "/predict/batch"
_TIMEOUT_SECONDS = 30
"""How long to wait while nothing comes; a whole answer may take twice as long."""

_LONGEST_ANSWER = 64 << 20
"""Bytes, far more than metadata or the answers to a batch have."""

_REFUSALS = (400, 413, 422)


class RunningService:
    """The service at a URL. It needs no bundle here: `/metadata` says what the model takes and gives."""

    def __init__(self, url: str, api_key: str = "") -> None:
        """Raises ReplayError: nothing answers there, or it is not a service of this repository."""
        self._url = url
        self._connection = http.client.HTTPConnection(*parse_address(url), timeout=_TIMEOUT_SECONDS)
        self._headers = {"Content-Type": "application/json"} | (
            {"Authorization": f"Bearer {api_key}"} if api_key else {}
        )
        self._failures = 0
        self.manifest = self._read_manifest()
        self._responses = Answers(self.manifest)
        self._encode = msgspec.json.Encoder().encode
        self.ways: Mapping[str, Callable[[Rows], Answered]] = {url: self._answer}
        self.notes: Sequence[str] = ()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _read_manifest(self) -> Manifest:
        status, content = 0, b""
        try:
            with closing(self._connection):
                status, content = self._exchange("GET", "/metadata", None)
            if status != http.client.OK:
                said = content[:200].decode(errors="replace")
                raise ReplayError(f"HOST={self._url}: HTTP {status} for /metadata: {said}")
            public = {name: value for name, value in msgspec.json.decode(content).items() if value is not None}
            return msgspec.convert({**public, "artifacts": {}, "libraries": {}}, Manifest)
        except (OSError, http.client.HTTPException) as error:
            raise ReplayError(f"HOST={self._url}: no answer ({error or type(error).__name__})") from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError) as error:
            raise ReplayError(f"HOST={self._url}: its /metadata is not that of a model here: {error}") from error

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        self._connection.request(method, path, body, self._headers)
        watch = Timer(2 * _TIMEOUT_SECONDS, _break_off, [self._connection.sock])
        watch.daemon = True
        watch.start()
        try:
            response = self._connection.getresponse()
            content = response.read(_LONGEST_ANSWER)
            if len(content) == _LONGEST_ANSWER:
                raise http.client.HTTPException(f"an answer of {_LONGEST_ANSWER:,} bytes or more")
            if response.length:
                raise http.client.IncompleteRead(content, response.length)
            return response.status, content
        finally:
            watch.cancel()

    def _answer(self, rows: Rows) -> Answered:
        answered = Answered()
        bodies = [self._encode(self._row(line)) for line in rows.lines]

        def ask(places: Sequence[int]) -> Predictions:
            return self._ask([bodies[place] for place in places])

        for start in range(0, len(bodies), BATCH_ROWS):
            ask_apart(ask, list(range(start, min(start + BATCH_ROWS, len(bodies)))), answered)
        return answered

    def _row(self, line: Line) -> dict[str, Any]:
        """The row as a client would send it; the token of unseen categories is a string that is no category."""
        unseen = self.manifest.tokens.unseen
        return {
            f.name: unseen if f.name in line.unseen else _sendable(line.features[f.name])
            for f in self.manifest.features
        }

    def _ask(self, bodies: Sequence[bytes]) -> Predictions:
        try:
            status, content = self._exchange("POST", _ROUTE, batch_body(bodies))
            if status in _REFUSALS:
                self._failures = 0
                raise RefusedError(_reason(status, content))
            if status != http.client.OK:
                raise FailedError(f"HTTP {status}")
            answers = self._read(content, len(bodies))
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()  # http.client opens it again
            self._give_up_after(f"no answer ({type(error).__name__})", error)
        except FailedError as error:
            self._give_up_after(str(error), error)
        self._failures = 0
        return answers

    def _read(self, content: bytes, rows: int) -> Predictions:
        try:
            predictions = self._responses.decode(content, batch=True)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FailedError("an answer that can't be read") from error
        if len(predictions) != rows:
            raise FailedError("answers to another number of rows")
        labels = [self._responses.class_index(prediction) for prediction in predictions]
        numbers = [self._responses.numbers(prediction) for prediction in predictions]
        return Predictions(np.array(labels, dtype=np.int64), np.array(numbers, dtype=np.float32).reshape(rows, -1))

    def _give_up_after(self, reason: str, error: Exception) -> Never:
        """Raises FailedError, or ReplayError if it is one too many in a row."""
        self._failures += 1
        if self._failures >= PATIENCE:
            raise ReplayError(f"HOST={self._url}: {PATIENCE} requests in a row failed, the last: {reason}") from error
        raise FailedError(reason) from error


def _break_off(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended meanwhile
        connection.shutdown(socket.SHUT_RDWR)


def _sendable(value: Value) -> Value:
    """The shortest decimal of the largest float32 number is larger than that number, and would be refused."""
    if isinstance(value, int | float) and abs(value) > FLOAT32_MAX:
        return math.copysign(FLOAT32_MAX, value)
    return value


def _reason(status: int, content: bytes) -> str:
    """Why rows were refused: the field and the kind of fault, without the row's own values."""
    try:
        first = msgspec.json.decode(content)["detail"][0]
        field = [str(part) for part in first["loc"] if isinstance(part, str) and part != "body"]
        return f"HTTP {status}, {'.'.join(field) or 'body'}: {first['type']}"
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError, IndexError, TypeError):
        return f"HTTP {status}"
