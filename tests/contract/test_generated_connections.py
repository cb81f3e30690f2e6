"""Every request on a connection is answered once and in order, whatever else is on it and however it is cut."""

import pytest
from hypothesis import HealthCheck, given, settings

from tests.contract.generated_connections import GOOD, LAST, Conversation, answers, conversations
from tests.services import TestedService

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


@pytest.mark.parametrize("asks", [GOOD[5], GOOD[7], GOOD[8]], ids=["websocket", "h2c", "with a body"])
@pytest.mark.parametrize("last", [LAST[0], LAST[2]], ids=["closed", "refused"])
def test_a_request_with_upgrade_does_not_cost_the_last_answer(service: TestedService, body: str, asks, last):
    """A server that waits for someone to take the connection over may forget to end it properly."""
    for cuts in ((), (0.3, 0.6, 0.9)):
        check(service, Conversation((asks, GOOD[0], last), bytes(range(256)) * 40, cuts), body.encode())


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
    check(service, conversation, body.encode())
