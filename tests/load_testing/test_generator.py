"""The load generator, in a process of its own: Locust patches the standard library."""

import socket
import subprocess
import sys

import pytest

from load_testing.cpus import available_cpus
from load_testing.generator_pool import GeneratorError, generator_pool
from load_testing.plan import LoadPlan
from load_testing.services import ROOT, running


def generate(url, model_folder, scenario):
    with generator_pool(model_folder, frozenset([min(available_cpus())])) as pool:
        return pool.run(LoadPlan(url=url, scenario=scenario, users=3, seconds=0.3))


def test_right_answers(stub, model_folder):
    with running(stub("honest"), model_folder, available_cpus(), workers=1) as service:
        result = generate(service.url, model_folder, "batch10")
    assert result.failures == {}
    assert result.requests > 0
    assert result.rows == 10 * result.requests
    assert result.latencies.count == result.requests


@pytest.mark.parametrize(("behaviour", "reason"), [("lying", "wrong class (held_out)"), ("failing", "HTTP 500")])
def test_wrong_answers_are_failed_requests(stub, model_folder, behaviour, reason):
    with running(stub(behaviour), model_folder, available_cpus(), workers=1) as service:
        result = generate(service.url, model_folder, "mixed")
    assert result.requests > result.failures[reason] > 0


@pytest.mark.slow
def test_unreachable_service_fails_every_request(model_folder):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    result = generate(f"http://127.0.0.1:{port}", model_folder, "mixed")
    assert result.failures == {"connection failed: Connection refused": result.requests}


@pytest.mark.slow
def test_a_missing_bundle_is_said_in_one_line_and_ends_the_generator(tmp_path, capfd):
    with pytest.raises(GeneratorError, match="broke down"):
        generate("http://127.0.0.1:1", tmp_path, "single")
    error = capfd.readouterr().err
    assert error.startswith("error: ")
    assert "no model bundle here" in error


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


def test_locust_is_not_imported_where_nothing_is_patched():
    code = "import load_testing.benchmark, load_testing.skew_command, sys; print('locust' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
