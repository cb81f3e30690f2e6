"""The scenarios as Locust user classes, for Locust's own command line and web page.

    locust -f load_testing/locustfile.py --host http://127.0.0.1:8001 --scenario single
    locust -f load_testing/locustfile.py --host ... --scenario single --headless --users 32 --run-time 10s --processes 4

Without `--scenario` (or a class by name), Locust spreads the users over all of them. Environment: `MODEL_DIR`,
`THINK_TIME`.
"""

from argparse import ArgumentParser
from typing import ClassVar

from locust import events
from locust.env import Environment
from locust.runners import WorkerRunner

from load_testing.locust_session import attach
from load_testing.scenarios import SCENARIOS
from load_testing.service_user import ServiceUser, Task, send_rows


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


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]  # Locust's types are not followed
def add_options(parser: ArgumentParser, **_: object) -> None:
    """The scenarios under the names that the rest of the package uses."""
    parser.add_argument(
        "--scenario",
        env_var="LOCUST_SCENARIO",
        choices=list(USER_CLASSES),
        include_in_web_ui=False,  # an option of Locust's own parser
        help="which requests to send (default: the user classes that are named, or all)",
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def take_part(environment: Environment, **_: object) -> None:
    """Fired when the runner exists and nothing has started. Workers run whatever class the master names."""
    scenario = environment.parsed_options.scenario
    if scenario and not isinstance(environment.runner, WorkerRunner):
        environment.user_classes = [USER_CLASSES[scenario]]
    attach(environment)
