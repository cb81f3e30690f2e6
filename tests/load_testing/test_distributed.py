"""Locust's own master and workers, as processes. All runs of this module go on side by side: they mostly wait."""

import json
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
from load_testing.distributed.service_check import WrongService, check_service
from load_testing.services import ROOT, ServiceSpec, running
from tests.load_testing.conftest import STUB
from tests.services import free_port

LOCUST = (sys.executable, "-m", "locust", "-f", "load_testing/locustfile.py")
SECONDS = 40


class Started:
    """A Locust process; its output goes to a file."""

    def __init__(self, stack: ExitStack, folder: Path, models: Path, *arguments: str) -> None:
        self.reports = folder / "reports"
        self.log_file = folder / f"{len(list(folder.glob('*.log')))}.log"
        environment = os.environ | {"MODEL_DIR": str(models), "REPORT_DIR": str(self.reports)}
        with self.log_file.open("wb") as output:
            self.process = subprocess.Popen(
                [*LOCUST, *arguments], cwd=ROOT, env=environment, start_new_session=True,
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

    @property
    def report(self) -> dict:
        return json.loads((self.reports / "load.json").read_text())

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + SECONDS
        while text not in self.log:
            assert time.monotonic() < deadline, self.log
            assert self.process.poll() is None, self.log
            time.sleep(0.02)


def arguments(url: str, port: str) -> tuple[str, ...]:
    """A master and two workers, two clients each, for two seconds."""
    load = ("--scenario", "batch10", "--headless", "--users", "4", "--spawn-rate", "4", "--run-time", "2s")
    own = ("--processes", "2", "--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port)
    return ("--host", url, *load, *own, "--only-summary")


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

        port = str(free_port())
        found = {
            "stranger": start(other_bundle, "--worker", "--master-port", port),  # waits for the master of the next one
            "honest": start(model_folder, *arguments(urls["honest"], port)),
            "robbed": start(model_folder, *arguments(urls["honest"], str(free_port()))),
            "lying": start(model_folder, *arguments(urls["lying"], str(free_port()))),
        }
        lonely = ("--master", "--master-bind-host", "127.0.0.1", "--master-bind-port", str(free_port()))
        found["lonely"] = start(
            model_folder, "--host", urls["honest"], *lonely, "--headless", "--expect-workers-max-wait", "1"
        )
        found["robbed"].wait_for("Sending spawn jobs")
        psutil.Process(found["robbed"].process.pid).children()[0].kill()
        yield found


def test_workers_reports_are_merged_into_one(runs):
    run = runs["honest"]
    assert run.status == 0, run.log
    report = run.report
    loads = [worker["report"]["load"] for worker in report["workers"]]
    assert [worker["state"] for worker in report["workers"]] == ["complete"] * 2
    assert [worker["report"]["users"] for worker in report["workers"]] == [2, 2]
    assert all(load["requests"] == load["checked"] == load["latencies"]["count"] > 0 for load in loads)
    assert all(load["rows"] == 10 * load["requests"] for load in loads)
    assert all(0 < load["largest_difference"] < 1e-6 for load in loads)
    total = sum(load["requests"] for load in loads)
    assert f"{total:,} answers compared with the reference, 0 wrong" in run.log
    assert f"| {total:,} | 0 | " in (run.reports / "load.md").read_text()
    assert "Every answer was right" in (run.reports / "load.html").read_text()


def test_a_wrong_answer_that_a_worker_finds_fails_the_run(runs):
    run = runs["lying"]
    assert run.status == 1, run.log
    failures = [worker["report"]["load"]["failures"] for worker in run.report["workers"]]
    assert all(found["wrong class (held_out)"] > 0 for found in failures)
    assert re.search(r"FAILED: [\d,]+ of [\d,]+ requests failed, [\d,]+ of them wrong answers", run.log)


def test_a_worker_with_another_bundle_is_refused_and_takes_no_part(runs):
    master, worker = runs["honest"], runs["stranger"]
    assert worker.status == 1, worker.log
    reason = (
        r"it has the bundle abc123 \(manifest SHA-256 (\w{12})…\), the master abc123 \(manifest SHA-256 (\w{12})…\)"
    )
    theirs, ours = re.search(reason, master.log).groups()
    assert theirs != ours
    assert re.search(f"refused by the master: {reason}", worker.log)
    assert "Traceback" not in worker.log + master.log


def test_a_worker_that_is_killed_is_reported(runs):
    run = runs["robbed"]
    assert run.status == 1, run.log
    assert sorted(worker["state"] for worker in run.report["workers"]) == ["complete", "lost"]
    assert re.search(r"FAILED: Worker \S+#\d was lost: ", run.log)


def test_workers_that_do_not_come_are_not_waited_for_without_end(runs):
    run = runs["lonely"]
    assert run.status == 1, run.log
    assert "Gave up waiting for workers to connect" in run.log
    assert not run.reports.exists()


def test_a_service_of_another_model_is_not_loaded(stub, model_folder):
    with running(stub("outdated"), model_folder, available_cpus(), workers=1) as service:
        check_service(service.url, "outdated")
        with pytest.raises(WrongService, match="serves model version outdated, but the bundle here is abc123"):
            check_service(service.url, "abc123")


@pytest.mark.parametrize("url", [None, "ftp://x", f"http://127.0.0.1:{free_port()}"])
def test_a_service_that_is_not_there_is_named(url):
    with pytest.raises(WrongService, match=r"--host|no service answers"):
        check_service(url, "abc123")
