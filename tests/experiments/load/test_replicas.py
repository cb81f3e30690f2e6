import pytest

from experiments.load import replicas
from load_testing.latency import Latencies
from load_testing.plan import LoadResult


def result(failures: dict[str, int]) -> LoadResult:
    return LoadResult(
        requests=1000, rows=1000, failures=failures, seconds=2, cpu_seconds=0.5, processes=1,
        latencies=Latencies.of([1.0] * 1000),
    )  # fmt: skip


def test_the_cost_of_a_container_is_a_share_of_all_requests():
    lines = replicas.format_result(result({}), {"proxy": 0.03, "replica": 0.02}).splitlines()
    assert lines[0] == "1,000 requests in 2.0 s (500/s), 0 failed"
    assert lines[2:] == ["proxy: 30.0 CPU µs per request of all", "replica: 20.0 CPU µs per request of all"]


def test_a_failure_is_told():
    assert "1 failed {'HTTP 503': 1}" in replicas.format_result(result({"HTTP 503": 1}), {})


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert replicas.main(["--host", "http://127.0.0.1:1", "--models", str(tmp_path)]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err


def test_without_docker_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(replicas.ContainerError, match="docker: No such file"):
        replicas.main_process("any")
