"""The master's side: which workers take part, what they have measured, and which of them were lost."""

import logging
import time
from functools import partial

import gevent  # type: ignore[import-untyped]
import msgspec
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner

from load_testing.distributed.acceptance import AcceptedDispatcher, AcceptedWorkers
from load_testing.distributed.messages import (
    BUNDLE,
    FINISH,
    PREPARE,
    PREPARED,
    REFUSED,
    RESULT,
    BundleIdentity,
    Introduction,
    Task,
    WorkerReport,
)
from load_testing.distributed.outcome import Outcome
from load_testing.distributed.result import State, WorkerResult

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.05
_LATE_SECONDS = 1.0  # Ctrl-C reaches master and workers of one terminal at about the same time
_EXTRA_SECONDS = 5.0


class Master:
    """Accepts workers that have its bundle, and merges what they report."""

    def __init__(self, environment: Environment, bundle: BundleIdentity, outcome: Outcome) -> None:
        self._environment = environment
        self._runner: MasterRunner = environment.runner
        self._bundle = bundle
        self._outcome = outcome
        self._accepted: set[str] = set()
        self._participants: list[str] = []
        self._reports: dict[str, WorkerReport] = {}
        self._finals: dict[str, float] = {}
        self._stopping = 0.0
        self._runner.clients = AcceptedWorkers(self._runner.clients, self._accepted)
        environment.dispatcher_class = partial(AcceptedDispatcher, self._accepted)
        self._runner.register_message(BUNDLE, self._introduced)
        self._runner.register_message(PREPARED, self._prepared)
        self._runner.register_message(RESULT, self._finished)
        environment.events.worker_report.add_listener(self._reported)
        environment.events.test_start.add_listener(self._start)
        environment.events.test_stopping.add_listener(self._collect)
        environment.events.test_stop.add_listener(self._publish)

    def name(self, worker: str) -> str:
        """The worker's host and Locust's number for it."""
        return f"{worker.rpartition('_')[0]}#{self._runner.get_worker_index(worker)}"

    def _introduced(self, msg: object, **_: object) -> None:
        worker: str = msg.node_id  # type: ignore[attr-defined]
        introduction = msgspec.msgpack.decode(msg.data, type=Introduction)  # type: ignore[attr-defined]
        if introduction.bundle != self._bundle:
            theirs = introduction.fault or f"it has the bundle {introduction.bundle}, the master {self._bundle}"
            self._refuse(worker, theirs)
            return
        scenarios = tuple(user_class.scenario for user_class in self._runner.user_classes)
        task = msgspec.msgpack.encode(Task(self._environment.host, scenarios))
        self._runner.send_message(PREPARE, task, client_id=worker)

    def _prepared(self, msg: object, **_: object) -> None:
        worker, fault = msg.node_id, msg.data  # type: ignore[attr-defined]
        if fault:
            self._refuse(worker, fault)
        else:
            self._accepted.add(worker)
            logger.info("worker %s has the same bundle, and is ready", self.name(worker))

    def _refuse(self, worker: str, reason: str) -> None:
        logger.error("error: worker %s is refused: %s", self.name(worker), reason)
        self._runner.send_message(REFUSED, reason, client_id=worker)
        self._runner.clients.pop(worker, None)

    def _start(self, **_: object) -> None:
        active = (*self._runner.clients.ready, *self._runner.clients.spawning, *self._runner.clients.running)
        self._participants = [node.id for node in active]
        self._reports.clear()
        self._finals.clear()

    def _reported(self, client_id: str, data: dict[str, object], **_: object) -> None:
        report = data.pop(RESULT, None)
        if report is not None and client_id not in self._finals:
            self._reports[client_id] = msgspec.msgpack.decode(report, type=WorkerReport)  # type: ignore[call-overload]

    def _finished(self, msg: object, **_: object) -> None:
        worker: str = msg.node_id  # type: ignore[attr-defined]
        self._reports[worker] = msgspec.msgpack.decode(msg.data, type=WorkerReport)  # type: ignore[attr-defined]
        self._finals[worker] = time.monotonic()

    def _collect(self, **_: object) -> None:
        """Have every worker finish and send the rest; wait for those alive, but not longer than requests may take."""
        self._stopping = time.monotonic()
        self._runner.send_message(FINISH)
        deadline = self._stopping + self._environment.stop_timeout + _EXTRA_SECONDS
        while self._awaited() and time.monotonic() < deadline:
            gevent.sleep(_POLL_SECONDS)

    def _awaited(self) -> list[str]:
        alive = {node.id for node in self._runner.clients.all if node.state != STATE_MISSING}
        return [worker for worker in self._participants if worker in alive and worker not in self._finals]

    def _publish(self, **_: object) -> None:
        workers = dict.fromkeys([*self._participants, *self._reports])
        self._outcome.publish(
            [
                WorkerResult(name=self.name(worker), state=self._state(worker), report=self._reports.get(worker))
                for worker in workers
            ]
        )

    def _state(self, worker: str) -> State:
        if worker not in self._finals:
            return "lost"
        return "left" if self._finals[worker] < self._stopping - _LATE_SECONDS else "complete"
