import pytest

from bundle.manifest import utc_now
from experiments.__main__ import main
from experiments.errors import ExperimentError
from experiments.load import replicas
from experiments.load.replicas import ReplicasReport
from load_testing.latency import LatencyHistogram
from load_testing.machine import describe_machine
from load_testing.plan import LoadResult


def result(failures: dict[str, int]) -> LoadResult:
    return LoadResult(
        requests=1000, rows=1000, failures=failures, seconds=2, cpu_seconds=0.5, processes=1,
        latencies=LatencyHistogram.of([1.0] * 1000),
    )  # fmt: skip


def report(load: LoadResult, used: dict[str, float]) -> ReplicasReport:
    return ReplicasReport(
        created=utc_now(), command="", machine=describe_machine(), model="m", version="1", data_source="synthetic",
        host="http://127.0.0.1:1", load=load, cpu_seconds=used,
    )  # fmt: skip


def test_the_cost_of_a_container_is_a_share_of_all_requests():
    seen, costs = report(result({}), {"proxy": 0.03, "replica": 0.02}).tables()
    assert seen.rows[0][1:3] == ("1,000", "500")
    assert costs.rows == (("proxy", "30.0"), ("replica", "20.0"))


def test_a_failure_is_told():
    failed = report(result({"HTTP 503": 1}), {})
    assert not failed.ok
    assert failed.tables()[0].notes == ("1 failed: HTTP 503",)


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert main(["replicas", "--host", "http://127.0.0.1:1", "--models", str(tmp_path)]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err


def test_without_docker_there_is_one_line(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ExperimentError, match="docker: No such file"):
        replicas.main_process("any")
