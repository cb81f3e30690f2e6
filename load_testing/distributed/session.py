"""Take part in a Locust process, whichever it is: the master, a worker, or the only one there is."""

import logging
import sys

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from bundle.errors import BundleError
from load_testing.distributed.master import Master
from load_testing.distributed.messages import BundleIdentity
from load_testing.distributed.node import LoadNode, Worker
from load_testing.distributed.outcome import Outcome
from load_testing.distributed.result import WorkerResult
from load_testing.distributed.service_check import WrongService, check_service
from load_testing.service_user import model_folder, prepare

logger = logging.getLogger(__name__)

_STOP_SECONDS = 60.0  # for the requests on their way when the time is up
_WORKERS_SECONDS = 60


def attach(environment: Environment) -> None:
    """Called once, when Locust has its runner and before it starts anything. Ends the process if there is no bundle, or
    if the service of a headless run serves another one.
    """
    if isinstance(environment.runner, WorkerRunner):
        Worker(environment)
        return
    options = environment.parsed_options
    environment.stop_timeout = environment.stop_timeout or _STOP_SECONDS
    options.expect_workers_max_wait = options.expect_workers_max_wait or _WORKERS_SECONDS
    try:
        bundle = BundleIdentity.of(model_folder())
        outcome = Outcome(environment, bundle)
        if isinstance(environment.runner, MasterRunner):
            Master(environment, bundle, outcome)  # before anything is waited for: workers' messages may come already
        if options.headless:
            check_service(environment.host, bundle.version)
            if not isinstance(environment.runner, MasterRunner):
                prepare(environment.host, [user_class.scenario for user_class in environment.user_classes])
    except (BundleError, WrongService) as error:
        logger.error("error: %s", error)
        environment.runner.quit()
        sys.exit(1)
    environment.events.test_start.add_listener(_ServiceGate(environment, bundle).check)
    if not isinstance(environment.runner, MasterRunner):
        Alone(environment, outcome)


class Alone:
    """The only process: it makes all the load, and reports it."""

    def __init__(self, environment: Environment, outcome: Outcome) -> None:
        self._environment = environment
        self._outcome = outcome
        self._node = LoadNode(environment)
        environment.events.test_start.add_listener(self._start)
        environment.events.test_stop.add_listener(self._stopped)

    def _start(self, **_: object) -> None:
        scenarios = [user_class.scenario for user_class in self._environment.runner.user_classes]
        self._node.start(self._environment.host, scenarios)

    def _stopped(self, **_: object) -> None:
        if self._node.running:
            report = self._node.report(final=True)
            self._node.running = False
            self._outcome.publish([WorkerResult(name=report.node.host, state="complete", report=report)])


class _ServiceGate:
    """Locust's web page asks for the service when the process runs already; nothing starts if it is the wrong one."""

    def __init__(self, environment: Environment, bundle: BundleIdentity) -> None:
        self._environment = environment
        self._bundle = bundle

    def check(self, **_: object) -> None:
        """A listener of `test_start`."""
        try:
            check_service(self._environment.host, self._bundle.version)
        except WrongService as error:
            logger.error("error: %s", error)
            self._environment.process_exit_code = 1
            raise gevent.GreenletExit from error  # the greenlet of runner.start: Locust would swallow any other error
