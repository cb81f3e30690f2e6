"""The Locust user: sends prepared requests in a closed loop, and counts every wrong answer as a failed request."""

import gc
import itertools
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from time import perf_counter
from typing import ClassVar

import gevent  # type: ignore[import-untyped]
from locust import User, constant

from load_testing.http_client import ClientConnection, HttpError
from load_testing.payloads import Reference, read_reference
from load_testing.responses import Answers
from load_testing.scenarios import SCENARIOS, PreparedRequest, parse_address, prepare_requests, request_name

TIMEOUT_SECONDS = 30.0
_PAUSE_SECONDS = 0.1  # after a broken connection, so that a service that is down isn't hammered in a busy loop

# Connections outlive their users, so that a run after a warm-up does not measure connecting: uvloop accepts one per
# turn of its loop, which is a long wait behind the inference for clients that are already connected.
_idle_connections: defaultdict[str, list[ClientConnection]] = defaultdict(list)

Task = Callable[["ServiceUser"], None]


class WrongAnswer(Exception):
    """An answer that differs from the reference."""


class ServiceUser(User):  # type: ignore[misc]  # Locust's types are not followed
    """One client with one kept-open connection.

    The model folder is `MODEL_DIR` (default `models`). There is no pause between requests unless `THINK_TIME` (seconds)
    asks for one.
    """

    abstract = True
    scenario: ClassVar[str]
    wait_time = constant(float(os.environ.get("THINK_TIME", "0")))

    def on_start(self) -> None:
        """Called by Locust when the user starts."""
        idle = _idle_connections[self.host]
        self._connection = idle.pop() if idle else ClientConnection(parse_address(self.host), TIMEOUT_SECONDS)

    def on_stop(self) -> None:
        """Called by Locust when the user stops."""
        _idle_connections[self.host].append(self._connection)

    def send(self, rows: int) -> None:
        """Send the next request of that many rows, check the answer, and report it to Locust."""
        request = next(request_cycle(self.host, rows))
        length = 0
        fault: Exception | None = None
        started = perf_counter()
        try:
            status, body = self._connection.exchange(request.message)
        except HttpError as error:
            elapsed = perf_counter() - started
            fault = error
            gevent.sleep(_PAUSE_SECONDS)
        else:
            elapsed = perf_counter() - started
            length = len(body)
            if status != 200:
                fault = HttpError(f"HTTP {status}")
            elif reason := request.check(body):
                fault = WrongAnswer(reason)
        self.environment.events.request.fire(
            request_type="POST",
            name=request_name(rows),
            response_time=elapsed * 1000,
            response_length=length,
            exception=fault,
            context={},
        )


def send_rows(rows: int) -> Task:
    """A Locust task that sends one request of that many rows."""

    def task(user: ServiceUser) -> None:
        user.send(rows)

    return task


def prepare(url: str, scenarios: Iterable[str]) -> None:
    """Render the requests before the first user sends one: it takes a second, in which no answer would be read.

    Raises:
        BundleError: there is no usable bundle.
        ValueError: the URL is not `http://host:port`.
    """
    known = request_cycle.cache_info().currsize
    for rows in {rows for scenario in scenarios for rows in SCENARIOS[scenario]}:
        request_cycle(url, rows)
    if request_cycle.cache_info().currsize > known:
        gc.collect()
        gc.freeze()  # tens of thousands of prepared requests needn't be searched for garbage while the load is on


@cache
def request_cycle(url: str, rows: int) -> Iterator[PreparedRequest]:
    """The endless sequence of requests that all users of this process draw from, so that every row gets its turn."""
    return itertools.cycle(prepare_requests(_reference(), parse_address(url), rows, shared_answers()))


@cache
def shared_answers() -> Answers:
    """The checker of all answers of this process."""
    return Answers(_reference().manifest)


def model_folder() -> Path:
    """The folder of the bundle: `MODEL_DIR`, or `models`."""
    return Path(os.environ.get("MODEL_DIR", "models"))


@cache
def _reference() -> Reference:
    return read_reference(model_folder())
