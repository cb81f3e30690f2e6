"""Every request on a connection is answered once and in order, whatever else is on it and however it is cut."""

import errno

import pytest
from hypothesis import HealthCheck, given, settings

from tests.contract.generated_connections import GOOD, LAST, Conversation, answers, conversations
from tests.services import TestedService

RESETS = {errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN}  # a reset, as recv, send and shutdown see it
SETTINGS = {
    "deadline": None,
    "database": None,
    "derandomize": True,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}


def check(service: TestedService, conversation: Conversation, row: bytes) -> None:
    methods = [request.sent.split()[0].decode("latin-1") for request in conversation.requests]
    got = answers(service.port, conversation.packets(row), methods)
    assert got == [request.status for request in conversation.requests]


@pytest.mark.parametrize("bad", LAST, ids=lambda request: request.sent[:60].decode("latin-1"))
def test_what_is_refused_is_refused_behind_the_answers_to_what_came_before(service: TestedService, body: str, bad):
    good = GOOD[6]
    for cuts in ((), (0.5,), (0.9, 0.95)):
        check(service, Conversation((good, bad), b"GET /health HTTP/1.1\r\n\r\n", cuts), body.encode())


@given(conversation=conversations())
@settings(max_examples=25, **SETTINGS)
def test_generated_connections_are_answered_in_order(service: TestedService, body: str, conversation: Conversation):
    check(service, conversation, body.encode())


@pytest.mark.slow
@given(conversation=conversations())
@settings(max_examples=1500, **SETTINGS)
def test_many_generated_connections_are_answered_in_order(
    service: TestedService, body: str, conversation: Conversation
):
    refused = bool(conversation.requests) and conversation.requests[-1].last
    try:
        check(service, conversation, body.encode())
    except OSError as error:
        # The Rust service closes a refused connection while its client may still be sending, and a reset may then
        # overtake the answer (docs/connections.md). No other connection may break, and none may be left without end.
        if service.backend != "axum" or not refused or error.errno not in RESETS:
            raise
