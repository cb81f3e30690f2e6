from experiments.__main__ import main
from experiments.load import second_worker as workers
from load_testing.latency import LatencyHistogram
from load_testing.measurement import Run
from load_testing.plan import LoadResult
from tests.experiments.report.conftest import ORIGIN


def run(cpu_seconds: float, failures: dict[str, int] | None = None) -> Run:
    load = LoadResult(
        requests=1000, rows=1000, failures=failures or {}, seconds=1, cpu_seconds=0.5, processes=1,
        latencies=LatencyHistogram.of([1.0]),
    )  # fmt: skip
    return Run("single", "onnx", load, cpu_seconds)


def test_the_table_has_the_median_cost_of_a_request_and_what_two_workers_are_worth():
    runs = {
        ("single", "onnx", 1): [run(0.049), run(0.050), run(0.090)],
        ("single", "onnx", 2): [run(0.060, {"wrong": 3}), run(0.0625), run(0.2)],
    }
    cells = workers.summarise(runs)
    report = workers.WorkersReport(**ORIGIN, command="", seconds=1, rounds=3, users=32, cells=cells)
    (table,) = report.tables()
    assert table.rows[-1] == ("single", "onnx", "50.0", "62.5", "1.60x", "3")
    assert not report.ok


def test_a_folder_without_a_bundle_is_named(tmp_path, capsys):
    assert main(["workers", "--models", str(tmp_path)]) == 1
    assert f"{tmp_path}: no model bundle here" in capsys.readouterr().err


def test_an_unknown_service_is_named(models, capsys):
    assert main(["workers", "--models", str(models), "--services", "perl"]) == 1
    assert "there is no service 'perl'" in capsys.readouterr().err
