"""The benchmark on stub services, from the command line's arguments to the reports."""

import json

import msgspec
import pytest

from load_testing import services
from load_testing.benchmark import choose_services, main, parse_arguments, plan_protocol
from load_testing.cpus import available_cpus
from load_testing.latency import LatencyHistogram
from load_testing.measurement import Run, order_runs, summarise
from load_testing.plan import LoadResult
from load_testing.results import LoadProtocol
from load_testing.services import Service, ServiceError

QUICK = ["--duration", "0.3", "--warm-up", "0.1", "--rounds", "1", "--cold-starts", "1", "--users", "4"]


@pytest.fixture
def bench(stub, model_folder, monkeypatch, tmp_path, keep_signal_handlers):
    """Run the benchmark on stub services; returns the exit status and the JSON report (None if there is none)."""

    def run(*behaviours):
        specs = {behaviour: stub(behaviour) for behaviour in behaviours}
        monkeypatch.setattr(services, "known_services", lambda **_: specs)
        folders = ["--models", str(model_folder), "--reports", str(tmp_path / "reports")]
        status = main([*QUICK, *folders, "--scenarios", "batch10"])
        report = tmp_path / "reports" / "benchmark.json"
        return status, json.loads(report.read_text()) if report.exists() else None

    return run


def test_right_answers_give_a_report_and_success(bench):
    status, report = bench("honest")
    assert status == 0
    (cell,) = report["cells"]
    assert (cell["scenario"], cell["service"], cell["failures"]) == ("batch10", "honest", {})
    assert cell["requests"] > 0
    assert cell["rows_per_second"]["median"] == pytest.approx(10 * cell["requests_per_second"]["median"])
    assert report["services"][0]["memory"]["used"] > 0
    assert report["services"][0]["artifact_bytes"] == 1500
    assert report["left_out"] == ["axum: its release binary isn't built (make build-axum)"]


def test_wrong_answers_fail_the_benchmark_and_are_reported(bench):
    status, report = bench("lying", "honest")
    assert status == 1
    failures = {cell["service"]: cell["failures"] for cell in report["cells"]}
    assert failures["lying"]["wrong class (held_out)"] > 0
    assert failures["honest"] == {}
    skew = {(row["service"], row["route"]): row["result"]["equal_labels"] for row in report["skew"]}
    assert skew["lying", "/predict/batch"] == 200
    assert skew["honest", "/predict/batch"] == 250


def test_service_that_dies_at_start_is_said_and_leaves_no_report(bench, capsys):
    assert bench("dying") == (1, None)
    assert "error: the dying service ended with status 1" in capsys.readouterr().err


def test_service_that_ends_under_load_is_said(bench, capsys):
    assert bench("leaving") == (1, None)
    assert "error: the leaving service ended" in capsys.readouterr().err


def test_chosen_services(monkeypatch, stub, manifest):
    specs = {name: stub(name) for name in ("pickle", "onnx", "axum")}
    monkeypatch.setattr(services, "known_services", lambda **_: specs)
    chosen, left_out = choose_services(["axum", "pickle"], manifest, baselines=False)
    assert ([spec.name for spec in chosen], left_out) == (["pickle", "axum"], ())
    names = "pickle, onnx, axum, bentoml, litserve, mlserver"
    with pytest.raises(ServiceError, match=f"no service 'pickel'; there are {names}"):
        choose_services(["pickel"], manifest, baselines=False)


def test_missing_rust_service_is_said_where_it_was_wanted(monkeypatch, stub, manifest):
    monkeypatch.setattr(services, "known_services", lambda **_: {"onnx": stub("onnx")})
    assert choose_services([], manifest, baselines=False)[1] == (
        "axum: its release binary isn't built (make build-axum)",
    )
    assert choose_services(["onnx"], manifest, baselines=False)[1] == ()
    with pytest.raises(ServiceError, match="axum: its release binary isn't built"):
        choose_services(["axum"], manifest, baselines=False)


def test_a_service_whose_artifact_the_bundle_lacks_is_left_out(manifest):
    artifacts = {kind: one for kind, one in manifest.artifacts.items() if kind != "pickle"}
    foreign = msgspec.structs.replace(manifest, artifacts=artifacts)
    chosen, left_out = choose_services([], foreign, baselines=False)
    assert "pickle" not in [spec.name for spec in chosen]
    assert "pickle: the bundle has no pickle to serve" in left_out
    with pytest.raises(ServiceError, match="pickle: the bundle has no pickle to serve"):
        choose_services(["pickle"], foreign, baselines=False)


def test_protocol_gives_services_and_generators_their_cpus():
    protocol = plan_protocol(parse_arguments(["--workers", "1"]))
    assert protocol.workers == 1
    assert {*protocol.server_cpus, *protocol.client_cpus} == available_cpus()
    assert protocol.shared_cpu == (len(available_cpus()) == 1)


@pytest.mark.parametrize("wrong", [["--users", "0"], ["--duration", "0"], ["--workers", "0"], ["--scenarios", "none"]])
def test_impossible_options_are_refused(wrong, capsys):
    with pytest.raises(SystemExit, match="2"):
        parse_arguments(wrong)
    assert "error:" in capsys.readouterr().err


def test_services_alternate_and_take_turns_in_coming_first(stub):
    services = [Service(stub(name), "", 0, 0.0) for name in "ab"]
    order = [(number, scenario, s.spec.name) for number, scenario, s in order_runs(["x", "y"], services, 2)]
    assert order == [
        (0, "x", "a"),
        (0, "x", "b"),
        (0, "y", "a"),
        (0, "y", "b"),
        (1, "x", "b"),
        (1, "x", "a"),
        (1, "y", "b"),
        (1, "y", "a"),
    ]


def run_of(*, requests, server_cpu, generator_cpu, failures=()):
    load = LoadResult(
        requests=requests,
        rows=10 * requests,
        failures=dict(failures),
        seconds=2.0,
        cpu_seconds=generator_cpu,
        processes=1,
        latencies=LatencyHistogram.of([1.0] * requests),
    )
    return Run("batch10", "onnx", load, server_cpu)


PROTOCOL = LoadProtocol(
    seconds=2.0, warm_up=0.0, rounds=3, users=4, workers=1, server_cpus=(0,), client_cpus=(1,), cold_starts=1
)


def test_cell_is_the_median_of_the_rounds_with_their_range():
    runs = [
        run_of(requests=1000, server_cpu=1.95, generator_cpu=0.8),
        run_of(requests=1400, server_cpu=1.96, generator_cpu=1.0, failures={"HTTP 503": 2}),
        run_of(requests=1200, server_cpu=1.92, generator_cpu=0.9, failures={"HTTP 503": 1}),
    ]
    cell = summarise(runs, PROTOCOL)
    assert (cell.requests, cell.failures) == (3600, {"HTTP 503": 3})
    rate = cell.requests_per_second
    assert (rate.median, rate.lowest, rate.highest) == (600, 500, 700)
    assert cell.rows_per_second.median == 6000
    assert cell.cpu_ms_per_request.median == pytest.approx(1.6)
    assert cell.rows_per_cpu_second.median == pytest.approx(12000 / 1.92)
    assert cell.server_utilisation == pytest.approx(0.975)
    assert cell.generator_utilisation == pytest.approx(0.45)
    assert not cell.generator_bound
    assert not cell.idle


@pytest.mark.parametrize(
    ("server_cpu", "generator_cpu", "bound", "idle"),
    [(1.0, 1.95, True, False), (1.95, 1.95, False, False), (1.0, 1.0, False, True), (1.95, 1.0, False, False)],
)
def test_it_is_said_who_was_at_the_limit(server_cpu, generator_cpu, bound, idle):
    cell = summarise([run_of(requests=10, server_cpu=server_cpu, generator_cpu=generator_cpu)], PROTOCOL)
    assert (cell.generator_bound, cell.idle) == (bound, idle)
