"""`docker compose up` in a fresh clone: what stands there then, and what it survives."""

import sys
from pathlib import Path

import httpx
import pytest

from bundle.manifest import read_manifest
from tests.docker.conftest import Project
from tests.docker.engine import ROOT, SERVICES, USER, docker, inspect, logs, run, wait_until, wait_until_healthy

pytestmark = pytest.mark.docker

# The main process is the child of docker-init; it is ended as a crash or the memory limit would end it.
CRASH = "for child in $(cat /proc/1/task/1/children); do kill -KILL $child; done"
WRITES = (
    "for folder in / /app /app/models /usr/local /var; do touch $folder/written 2>/dev/null && echo $folder; done; true"
)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_predicts(project: Project, service: str):
    manifest = read_manifest(project.clone / "models")
    row = {feature.name: feature.example for feature in manifest.features}
    answer = httpx.post(f"{project.urls[service]}/predict", json=row)
    assert answer.status_code == 200
    assert sum(answer.json()["probabilities"]) == pytest.approx(1)


def test_what_was_written_belongs_to_who_made_the_clone(project: Project):
    written = [path for folder in ("models", "reports") for path in (project.clone / folder).rglob("*")]
    assert [path for path in written if path.suffix == ".pkl"]
    assert (project.clone / "reports/training/report.md").exists()
    owner = (project.clone / "models").stat().st_uid
    assert [path for path in written if path.lstat().st_uid != owner] == []


def test_there_is_no_skew(project: Project):
    hosts = list(project.urls.values())
    folders = (f"--models={project.clone / 'models'}", f"--reports={project.clone / 'reports'}")
    table = run(sys.executable, "-m", "load_testing", "skew", *folders, "--hosts", *hosts, cwd=ROOT)
    assert table.count(" 100.000 ") == 4 * len(hosts)  # two routes, labels and probabilities


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_may_do_nothing_but_serve(project: Project, service: str):
    container = project.container(service)
    status = docker("exec", container, "cat", "/proc/1/status")
    fields = dict(line.split(":\t") for line in status.splitlines())
    assert fields["Uid"].split() == [USER] * 4
    assert {int(fields[f"Cap{kind}"], 16) for kind in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {0}
    assert fields["NoNewPrivs"] == "1"
    assert docker("exec", container, "sh", "-c", WRITES) == ""


def test_all_services_have_the_same_limits(project: Project):
    for service in SERVICES:
        limits = inspect(project.container(service))["HostConfig"]
        assert (limits["NanoCpus"], limits["Memory"]) == (2_000_000_000, 2 << 30)


def test_a_valid_bundle_is_left_alone(project: Project):
    (manifest,) = (project.clone / "models").glob("*.json")
    before = manifest.stat()
    project.compose("up", "--detach")
    assert inspect(project.container("train"))["State"]["ExitCode"] == 0
    assert "nothing to do" in logs(project.container("train"))
    assert (manifest.stat().st_ino, manifest.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_that_crashes_comes_back(project: Project, service: str):
    container = project.container(service)
    restarts = inspect(container)["RestartCount"]
    docker("exec", container, "sh", "-c", CRASH, check=False)  # it may end before it can answer
    wait_until(lambda: inspect(container)["RestartCount"] > restarts, f"{service} is restarted")
    wait_until_healthy(container)
    assert httpx.get(f"{project.urls[service]}/health/ready").status_code == 200


def test_the_load_test_leaves_its_report(project: Project):
    arguments = ("--hosts", "http://onnx:8001", "--duration", "0.2", "--users", "8")  # its own would take a minute
    project.compose("--profile", "bench", "run", "--rm", "bench", *arguments, seconds=900)
    report: Path = project.clone / "reports/containers.md"
    assert "Every answer under load was right." in report.read_text(encoding="utf-8")
    assert report.stat().st_uid == (project.clone / "models").stat().st_uid


def test_the_services_stop_at_once_and_cleanly(project: Project):
    """The last one here: it stops the project."""
    containers = [project.container(service) for service in SERVICES]
    project.compose("stop", seconds=15)
    assert [inspect(container)["State"]["ExitCode"] for container in containers] == [0, 0, 0]
