"""Request ids: the client's `X-Request-ID` if it can be used, or one made here.

The answers of the routes that predict, and the log lines about these requests, name it.
"""

import itertools
import os
import re
from collections.abc import Iterator
from typing import Any

HEADER = b"x-request-id"
KEY = "request_id"
"""Where a request's scope keeps its id, once it has been asked for."""

_USABLE = re.compile(rb"[!-~]{1,128}")
_PREFIX = os.urandom(10).hex().encode()
"""Distinguishes the processes: each worker imports this module anew."""

_ENDINGS = [b"%03x" % number for number in range(1 << 12)]


def _made() -> Iterator[bytes]:
    """Unique ids of 32 hexadecimal digits: the part that many of them share is made once for thousands."""
    beginnings = (b"%b%09x" % (_PREFIX, number) for number in itertools.count())
    return itertools.chain.from_iterable(map(beginning.__add__, _ENDINGS) for beginning in beginnings)


new_ids = _made()


def take_or_make(given: bytes | None) -> bytes:
    """The given id if it has 1 to 128 visible ASCII characters, otherwise a new one."""
    return given if given is not None and _USABLE.fullmatch(given) else next(new_ids)


def request_id(scope: Any) -> bytes:  # noqa: ANN401 - ASGI's, with a field of our own
    """The id of a request, the same one however often it is asked for."""
    found: bytes | None = scope.get(KEY)
    if found is None:
        given = [value for name, value in scope["headers"] if name == HEADER]
        found = scope[KEY] = take_or_make(given[0] if len(given) == 1 else None)
    return found
