"""This suite's additions to a run of Locust's own master and workers, or of its single process.

Distribution of users, statistics, reports (`--html`) and the exit status are Locust's own: the status is 1 if
a request failed, and a wrong answer is a failed request (`service_user.py`). Added here: a worker whose bundle is not
the master's is refused, since it would judge by other answers; the master waits for what workers counted last, where
Locust waits for half a second; a run without a request, or with a lost worker, fails.
"""

import hashlib
import logging
import sys
import time
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from locust.env import Environment
from locust.runners import STATE_INIT, MasterRunner, WorkerRunner

from bundle.errors import BundleError
from bundle.manifest import find_manifest, read_manifest
from load_testing.scenarios import SCENARIOS
from load_testing.service_user import model_folder, prepare

BUNDLE = "bundle"
"""Worker to master: which bundle it has."""

REFUSED = "refused"
"""Master to worker: leave, for this reason."""

FINISH = "finish"
"""Master to worker: let the requests on their way end, and send the last statistics."""

FINISHED = "finished"
"""Worker to master: all counts have been sent."""

_EXTRA_SECONDS = 5.0
_POLL_SECONDS = 0.05

logger = logging.getLogger(__name__)


def attach(environment: Environment) -> None:
    """Called once, when Locust has its runner, before anything starts. Ends the process if there is no bundle."""
    runner = environment.runner
    try:
        bundle = describe_bundle(model_folder())
    except BundleError as error:
        logger.error("error: %s", error)
        runner.quit()
        sys.exit(1)
    if environment.parsed_options.headless and not isinstance(runner, WorkerRunner):
        environment.events.quitting.add_listener(_judge)
    if isinstance(runner, MasterRunner):
        _lead(environment, bundle)
        return
    environment.events.test_start.add_listener(_prepare_requests)
    if isinstance(runner, WorkerRunner):
        _follow(environment, bundle)


def describe_bundle(folder: Path) -> str:
    """The model's version, and the SHA-256 of the manifest, which holds the digests of everything else.

    Raises:
        BundleError: there is no usable bundle.
    """
    version = read_manifest(folder).version
    return f"{version} (manifest SHA-256 {hashlib.sha256(find_manifest(folder).read_bytes()).hexdigest()[:16]})"


def _lead(environment: Environment, bundle: str) -> None:
    runner: MasterRunner = environment.runner
    finished: set[str] = set()

    def introduced(msg: object, **_: object) -> None:
        worker, theirs = msg.node_id, msg.data  # type: ignore[attr-defined]
        if theirs != bundle:
            reason = f"it has the bundle {theirs}, the master has {bundle}"
            logger.error("error: worker %s is refused: %s", worker, reason)
            environment.process_exit_code = 1  # it may have had users already
            runner.send_message(REFUSED, reason, client_id=worker)
            if runner.state == STATE_INIT:
                # If the last worker leaves, Locust's master stops listening, although it may still wait for the others
                # to come; one that is forgotten before doesn't count.
                runner.clients.pop(worker, None)

    def collect(**_: object) -> None:
        finished.clear()
        runner.send_message(FINISH)
        deadline = time.monotonic() + environment.stop_timeout + _EXTRA_SECONDS
        while {node.id for node in runner.clients.all} - {node.id for node in runner.clients.missing} - finished:
            if time.monotonic() > deadline:
                break
            gevent.sleep(_POLL_SECONDS)

    runner.register_message(BUNDLE, introduced)
    runner.register_message(FINISHED, lambda msg, **_: finished.add(msg.node_id))
    environment.events.test_stopping.add_listener(collect)


def _follow(environment: Environment, bundle: str) -> None:
    runner: WorkerRunner = environment.runner

    def leave(msg: object, **_: object) -> None:
        logger.error("error: refused by the master: %s", msg.data)  # type: ignore[attr-defined]
        environment.process_exit_code = 1
        runner.quit()

    def finish(**_: object) -> None:
        runner.stop()
        statistics: dict[str, object] = {}
        environment.events.report_to_master.fire(client_id=runner.client_id, data=statistics)
        runner.send_message("stats", statistics)
        runner.send_message(FINISHED)

    runner.register_message(REFUSED, leave, concurrent=True)
    runner.register_message(FINISH, finish, concurrent=True)
    runner.send_message(BUNDLE, bundle)


def _prepare_requests(environment: Environment, **_: object) -> None:
    """Called before the first user starts. A worker on another machine doesn't know the scenario: it prepares all."""
    scenario = environment.parsed_options.scenario
    prepare(environment.host, [scenario] if scenario else SCENARIOS)


def _judge(environment: Environment, **_: object) -> None:
    runner = environment.runner
    if not runner.stats.total.num_requests:
        logger.error("error: no request was answered")
        environment.process_exit_code = 1
    if isinstance(runner, MasterRunner) and (lost := runner.clients.missing):
        logger.error("error: lost: %s; what they did last is not in the figures", ", ".join(node.id for node in lost))
        environment.process_exit_code = 1
