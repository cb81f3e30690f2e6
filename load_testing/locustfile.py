"""The scenarios as Locust user classes, for Locust's own command line and web page.

    locust -f load_testing/locustfile.py --host http://127.0.0.1:8001 Single

Name the class: without one, Locust spreads the users over all of them. Environment: `MODEL_DIR`, `THINK_TIME`.
"""

from typing import ClassVar

from locust import events
from locust.env import Environment

from load_testing.scenarios import SCENARIOS
from load_testing.service_user import ServiceUser, Task, request_cycle, send_rows


def tasks_of(scenario: str) -> dict[Task, int]:
    """The scenario's requests as Locust tasks with their weights."""
    return {send_rows(rows): weight for rows, weight in SCENARIOS[scenario].items()}


class Single(ServiceUser):
    """One row in a request."""

    scenario = "single"
    tasks: ClassVar = tasks_of(scenario)


class Batch10(ServiceUser):
    """Ten rows in a request."""

    scenario = "batch10"
    tasks: ClassVar = tasks_of(scenario)


class Batch50(ServiceUser):
    """Fifty rows in a request."""

    scenario = "batch50"
    tasks: ClassVar = tasks_of(scenario)


class Batch100(ServiceUser):
    """A hundred rows in a request."""

    scenario = "batch100"
    tasks: ClassVar = tasks_of(scenario)


class Mixed(ServiceUser):
    """Mostly single rows, now and then a batch."""

    scenario = "mixed"
    tasks: ClassVar = tasks_of(scenario)


USER_CLASSES = {cls.scenario: cls for cls in (Single, Batch10, Batch50, Batch100, Mixed)}


@events.test_start.add_listener  # type: ignore[untyped-decorator]  # Locust's types are not followed
def prepare(environment: Environment, **_: object) -> None:
    """Render the requests before the first user sends one: it takes a second, in which no answer would be read."""
    for user_class in environment.user_classes:
        for rows in SCENARIOS[user_class.scenario]:
            request_cycle(environment.host, rows)
