"""One attempt of a client that tries again after a 503, or after its connection broke."""

import gevent  # type: ignore[import-untyped]

from load_testing.http_client import ClientConnection, HttpError
from load_testing.scenarios import PreparedRequest

CUT_OFF, SHED = "cut off", "shed"


def attempt(connection: ClientConnection, request: PreparedRequest, pause_seconds: float) -> str | None:
    """Send the request once. Returns None for a right answer; `CUT_OFF` (the connection broke) or `SHED` (a 503) after
    the pause; otherwise a text that says what was wrong with the answer.
    """
    try:
        status, body = connection.exchange(request.message)
    except HttpError:
        gevent.sleep(pause_seconds)
        return CUT_OFF
    if status == 503:
        gevent.sleep(pause_seconds)
        return SHED
    return request.check(body) if status == 200 else f"status {status}"
