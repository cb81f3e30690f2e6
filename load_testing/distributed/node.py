"""The side that makes the load: a worker of Locust's, or its only process."""

import logging
from collections.abc import Iterable

import msgspec
from locust.env import Environment
from locust.runners import WorkerRunner

from bundle.errors import BundleError
from load_testing.distributed.messages import (
    BUNDLE,
    FINISH,
    PREPARE,
    PREPARED,
    REFUSED,
    RESULT,
    BundleIdentity,
    Introduction,
    Node,
    Task,
    WorkerReport,
)
from load_testing.distributed.service_check import WrongService, check_service
from load_testing.recorder import Recorder
from load_testing.service_user import model_folder, prepare, shared_answers

logger = logging.getLogger(__name__)


class LoadNode:
    """Records this process' load, run after run."""

    def __init__(self, environment: Environment) -> None:
        self.running = False
        self._environment = environment
        self._node = Node.here()
        self._recorder: Recorder | None = None
        self._users = 0
        environment.events.test_stopping.add_listener(self._stopping)

    def start(self, url: str, scenarios: Iterable[str]) -> None:
        """Before the first user of a run is there."""
        prepare(url, scenarios)
        request = self._environment.events.request
        if self._recorder:
            request.remove_listener(self._recorder.record)
        self._recorder = Recorder(shared_answers())
        request.add_listener(self._recorder.record)
        self.running = True

    def report(self, *, final: bool) -> WorkerReport:
        """What was measured since the start of the run, of which there must have been one."""
        assert self._recorder is not None  # noqa: S101  the caller's contract
        users = self._environment.runner.user_count if self.running and not final else self._users
        return WorkerReport(node=self._node, users=users, load=self._recorder.result(), final=final)

    def _stopping(self, **_: object) -> None:
        if self.running and self._recorder:
            self._recorder.stop()
            self._users = self._environment.runner.user_count


class Worker:
    """A worker: introduces itself to the master, gets ready when told to, and sends what it measures."""

    def __init__(self, environment: Environment) -> None:
        self._environment = environment
        self._runner: WorkerRunner = environment.runner
        self._node = LoadNode(environment)
        self._task = Task(None, ())
        self._bundle: BundleIdentity | None = None
        self._answered = False
        self._runner.register_message(PREPARE, self._prepare, concurrent=True)
        self._runner.register_message(REFUSED, self._leave, concurrent=True)
        self._runner.register_message(FINISH, self._finish, concurrent=True)
        events = environment.events
        events.test_start.add_listener(self._start)
        events.test_stop.add_listener(self._stopped)
        events.report_to_master.add_listener(self._report)
        events.quitting.add_listener(self._quitting)
        events.heartbeat_received.add_listener(self._introduce)
        self._introduce()

    def _introduce(self, **_: object) -> None:
        """At the start, and at every heartbeat of the master's until it has answered."""
        if self._answered:
            return
        try:
            self._bundle = BundleIdentity.of(model_folder())
            introduction = Introduction(self._bundle)
        except BundleError as error:
            introduction = Introduction(None, str(error))
        self._runner.send_message(BUNDLE, msgspec.msgpack.encode(introduction))

    def _prepare(self, msg: object, **_: object) -> None:
        self._answered = True
        self._task = msgspec.msgpack.decode(msg.data, type=Task)  # type: ignore[attr-defined]
        fault = ""
        try:
            shared_answers()
            if self._task.url and self._bundle:
                check_service(self._task.url, self._bundle.version)
                prepare(self._task.url, self._task.scenarios)
        except (BundleError, WrongService) as error:
            fault = str(error)
        self._runner.send_message(PREPARED, fault)

    def _leave(self, msg: object, **_: object) -> None:
        self._answered = True
        logger.error("error: refused by the master: %s", msg.data)  # type: ignore[attr-defined]
        self._environment.process_exit_code = 1
        self._runner.quit()

    def _finish(self, **_: object) -> None:
        self._runner.stop()

    def _start(self, **_: object) -> None:
        self._node.start(self._environment.host, self._task.scenarios)

    def _stopped(self, **_: object) -> None:
        if self._node.running:
            report = self._node.report(final=True)
            self._node.running = False
            self._runner.send_message(RESULT, msgspec.msgpack.encode(report))

    def _report(self, data: dict[str, object], **_: object) -> None:
        if self._node.running:
            data[RESULT] = msgspec.msgpack.encode(self._node.report(final=False))

    def _quitting(self, **_: object) -> None:
        """Told to end, by a signal for example: what was measured is sent before Locust says good-bye."""
        self._runner.stop()
