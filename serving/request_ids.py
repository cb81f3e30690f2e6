"""Request ids: the client's `X-Request-ID` if it can be used, or one made here; every answer and log line names it."""

import itertools
import os
import re
from typing import Any

HEADER = b"x-request-id"
KEY = "request_id"
"""Where a request's scope keeps its id, once it has been asked for."""

_USABLE = re.compile(rb"[!-~]{1,128}")
_PREFIX = os.urandom(10).hex().encode()
"""Tells the processes apart: workers import this module anew."""

_count = itertools.count()


def take_or_make(given: bytes | None) -> bytes:
    """The given id if it has 1 to 128 visible ASCII characters; 32 hexadecimal digits that nobody else has if not."""
    if given is not None and _USABLE.fullmatch(given):
        return given
    return b"%b%012x" % (_PREFIX, next(_count))


def request_id(scope: Any) -> bytes:  # noqa: ANN401 - ASGI's, with a field of our own
    """The id of a request, the same one however often it is asked for."""
    found: bytes | None = scope.get(KEY)
    if found is None:
        given = [value for name, value in scope["headers"] if name == HEADER]
        found = scope[KEY] = take_or_make(given[0] if len(given) == 1 else None)
    return found
