"""The load generator, in a process of its own: Locust patches the standard library."""

import json
import socket
import subprocess
import sys

import pytest

from load_testing.cpus import available_cpus
from load_testing.generator_pool import GeneratorError, generator_pool
from load_testing.plan import LoadPlan
from load_testing.services import ROOT, running


def generate(url, model_folder, *arguments):
    command = [sys.executable, "-m", "load_testing.generator_process", "--host", url, "--models", model_folder]
    options = ["--duration", "0.3", "--warm-up", "0", "--users", "3", *arguments]
    return subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True, check=False)


def test_right_answers(stub, model_folder, tmp_path):
    with running(stub("honest"), model_folder, available_cpus(), workers=1) as service:
        done = generate(service.url, model_folder, "--scenario", "batch10", "--output", tmp_path / "result.json")
    assert done.returncode == 0, done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert result["failures"] == {}
    assert result["requests"] > 0
    assert result["rows"] == 10 * result["requests"]
    assert result["latencies"]["count"] == result["requests"]


@pytest.mark.parametrize(("behaviour", "reason"), [("lying", "wrong class (held_out)"), ("failing", "HTTP 500")])
def test_wrong_answers_are_failed_requests(stub, model_folder, behaviour, reason):
    with running(stub(behaviour), model_folder, available_cpus(), workers=1) as service:
        done = generate(service.url, model_folder, "--scenario", "mixed")
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["requests"] > result["failures"][reason] > 0


@pytest.mark.slow
def test_unreachable_service_fails_every_request(model_folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    done = generate(f"http://127.0.0.1:{port}", model_folder)
    assert done.returncode == 1
    result = json.loads(done.stdout)
    assert result["failures"] == {"connection failed: Connection refused": result["requests"]}


@pytest.mark.slow
def test_missing_bundle_is_said_in_one_line(tmp_path):
    done = generate("http://127.0.0.1:1", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert "no model bundle here" in done.stderr


@pytest.mark.slow
def test_pool_adds_up_its_generators(stub, model_folder):
    with (
        running(stub("honest"), model_folder, available_cpus(), workers=1) as service,
        generator_pool(model_folder, available_cpus()) as pool,
    ):
        for users in (1, 4):
            result = pool.run(LoadPlan(url=service.url, scenario="single", users=users, seconds=0.2))
            assert result.processes == min(users, len(available_cpus()))
            assert result.requests == result.rows > 0
            assert result.failures == {}


@pytest.mark.slow
def test_generator_that_breaks_down_is_an_error(tmp_path):
    with (
        generator_pool(tmp_path, frozenset([min(available_cpus())])) as pool,
        pytest.raises(GeneratorError, match="broke down"),
    ):
        pool.run(LoadPlan(url="http://127.0.0.1:1", scenario="single", users=1, seconds=0.1))


def test_locust_is_not_imported_where_nothing_is_patched():
    code = "import load_testing.benchmark, load_testing.skew_command, sys; print('locust' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
