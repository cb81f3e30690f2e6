"""Locust's own master and workers, as processes. All runs of this module go on side by side: they mostly wait."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest

from load_testing.cpus import available_cpus
from load_testing.services import ROOT, ServiceSpec, reserved_port, running
from tests.load_testing.conftest import STUB

pytestmark = pytest.mark.slow

LOCUST = (sys.executable, "-m", "locust", "-f", "load_testing/locustfile.py")
SECONDS = 90


class Started:
    """A Locust process; its output goes to a file."""

    def __init__(self, stack: ExitStack, folder: Path, models: Path, *arguments: str) -> None:
        self.reports = folder / "reports"
        self.log_file = folder / f"{len(list(folder.glob('*.log')))}.log"
        environment = os.environ | {"MODEL_DIR": str(models)}
        with self.log_file.open("wb") as output:
            self.process = subprocess.Popen(
                [*LOCUST, *arguments, *self.written(arguments)], cwd=ROOT, env=environment, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            )  # fmt: skip
        stack.callback(self.end)

    def end(self) -> None:
        """With the processes that it has forked."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def status(self) -> int:
        return self.process.wait(SECONDS)

    def written(self, arguments: tuple[str, ...]) -> tuple[str, ...]:
        """A master writes Locust's report."""
        return () if "--worker" in arguments else ("--html", str(self.reports / "load.html"))

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.02)


LOAD = ("--scenario", "batch10", "--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "2s")
END = ("--stop-timeout", "10", "--only-summary")


def arguments(url: str, port: str) -> tuple[str, ...]:
    """A master and two workers, two clients each."""
    own = ("--processes", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port)
    return ("--host", url, *LOAD, *own, *END)


@pytest.fixture(scope="module")
def other_bundle(model_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("other") / "models"
    shutil.copytree(model_folder, folder)
    manifest = folder / "m.json"
    manifest.write_text(manifest.read_text().replace('"decision_threshold": 0.5', '"decision_threshold": 0.6'))
    return folder


@pytest.fixture(scope="module")
def runs(model_folder: Path, other_bundle: Path, tmp_path_factory: pytest.TempPathFactory):
    """The Locust processes by what is peculiar to them."""
    with ExitStack() as stack:
        urls = {}
        for behaviour in ("honest", "lying"):
            spec = ServiceSpec(behaviour, (sys.executable, str(STUB), behaviour), "pickle")
            urls[behaviour] = stack.enter_context(running(spec, model_folder, available_cpus(), workers=1)).url

        def start(models: Path, *arguments: str) -> Started:
            return Started(stack, tmp_path_factory.mktemp("run"), models, *arguments)

        def port() -> str:
            return str(stack.enter_context(reserved_port()))

        shared = port()
        lone = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", port(), "--headless")
        found = {
            "stranger": start(other_bundle, "--worker", "--master-port", shared),  # its master is the next one
            "visited": start(model_folder, *arguments(urls["honest"], shared)),
            "honest": start(model_folder, *arguments(urls["honest"], port())),
            "robbed": start(model_folder, *arguments(urls["honest"], port())),
            "lying": start(model_folder, *arguments(urls["lying"], port())),
            "lonely": start(model_folder, "--host", urls["honest"], *lone, "--expect-workers-max-wait", "1"),
            "unequipped": start(tmp_path_factory.mktemp("none"), "--host", urls["honest"], "--headless"),
        }
        early = port()
        bind = ("--master", "--expect-workers", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", early)
        found["patient"] = start(model_folder, "--host", urls["honest"], *LOAD, *bind, *END)
        assert start(other_bundle, "--worker", "--master-port", early).status == 1  # it has come and gone
        for _ in range(2):
            start(model_folder, "--worker", "--master-port", early)
        found["robbed"].wait_for("Sending spawn jobs")
        psutil.Process(found["robbed"].process.pid).children()[0].kill()
        yield found


def test_right_answers_of_all_workers_are_one_report(runs):
    run = runs["honest"]
    assert run.status == 0, run.log
    requests, failures = re.search(r"Aggregated +(\d+) +(\d+)\(", run.log).groups()
    assert int(requests) > 0 == int(failures)
    assert "/predict/batch [10]" in (run.reports / "load.html").read_text()


def test_a_wrong_answer_that_a_worker_finds_fails_the_run(runs):
    run = runs["lying"]
    assert run.status == 1, run.log
    assert "WrongAnswer('wrong class (held_out)')" in run.log.partition("# occurrences")[2]


def test_a_worker_with_another_bundle_is_refused_and_the_run_fails(runs):
    master, worker = runs["visited"], runs["stranger"]
    assert worker.status == 1, worker.log
    assert master.status == 1, master.log
    assert "error: refused by the master: it has the bundle abc123 (manifest SHA-256 " in worker.log
    assert " is refused: it has the bundle abc123 (manifest SHA-256 " in master.log
    assert "Traceback" not in worker.log + master.log, worker.log + master.log


def test_a_master_waits_on_for_its_workers_if_a_refused_one_came_first(runs):
    run = runs["patient"]
    assert run.status == 1, run.log
    assert " is refused: it has the bundle abc123" in run.log.partition("Sending spawn jobs")[0]
    assert int(re.search(r"Aggregated +(\d+) ", run.log)[1]) > 0, run.log


def test_a_worker_that_is_killed_fails_the_run(runs):
    run = runs["robbed"]
    assert run.status == 1, run.log
    assert "error: lost: " in run.log, run.log


def test_workers_that_do_not_come_are_not_waited_for_without_end(runs):
    run = runs["lonely"]
    assert run.status == 1, run.log
    assert "Gave up waiting for workers to connect" in run.log


def test_without_a_bundle_nothing_starts(runs):
    run = runs["unequipped"]
    assert run.status == 1, run.log
    assert "error: " in run.log
    assert "no model bundle here" in run.log
