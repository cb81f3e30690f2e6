"""The load scenarios, and their requests rendered once, before the load: sending one costs no more than a write."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import numpy as np

from load_testing.payloads import Reference, batch_body
from load_testing.responses import Answers, ExpectedAnswer

SEED = 0

Check = Callable[[bytes], str | None]

SCENARIOS: Mapping[str, Mapping[int, int]] = {
    "single": {1: 1},
    "batch10": {10: 1},
    "batch50": {50: 1},
    "batch100": {100: 1},
    "mixed": {1: 70, 10: 20, 50: 8, 100: 2},
}
"""Name to {rows in a request: weight}. A request of one row goes to `/predict`, any other to `/predict/batch`."""


class PreparedRequest(NamedTuple):
    """`message` is the whole HTTP request; `check` gives the fault of a response body, or None."""

    message: bytes
    check: Check


class Address(NamedTuple):
    """Where a service listens."""

    host: str
    port: int


def parse_address(url: str) -> Address:
    """Host and port of `http://host:port`.

    Raises:
        ValueError: not such a URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or parts.path.strip("/") or parts.query:
        raise ValueError(f"{url!r}: http://host:port is needed")
    return Address(parts.hostname, parts.port or 80)


def request_name(rows: int) -> str:
    """The name of a request of that many rows, as statistics show it."""
    return "/predict" if rows == 1 else f"/predict/batch [{rows}]"


def prepare_requests(
    reference: Reference, address: Address, rows: int, answers: Answers | None = None
) -> list[PreparedRequest]:
    """Requests of `rows` rows each that together send every reference row, shuffled, so that edge cases are
    spread over the load.

    The last one is filled up with rows of the first, so that all have the same size. `answers` checks them; pass it to
    find out the largest difference that it has seen.
    """
    answers = answers or Answers(reference.manifest)
    expected = list(
        map(ExpectedAnswer, reference.labels.tolist(), map(tuple, reference.numbers.tolist()), reference.cases)
    )
    shuffled = np.random.default_rng(SEED).permutation(len(expected))
    count = math.ceil(len(expected) / rows)
    prepared = []
    for indices in np.resize(shuffled, (count, rows)).tolist():
        bodies = [reference.bodies[i] for i in indices]
        check = partial(answers.check, expected=[expected[i] for i in indices], batch=rows > 1)
        if rows == 1:
            message = render(address, "/predict", bodies[0])
        else:
            message = render(address, "/predict/batch", batch_body(bodies))
        prepared.append(PreparedRequest(message, check))
    return prepared


def render(address: Address, path: str, body: bytes) -> bytes:
    """An HTTP/1.1 POST of a JSON body on a connection that is kept open."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {address.host}:{address.port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
