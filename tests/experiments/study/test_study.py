"""The whole comparison on few rows: what is measured, what is left out and said so, and the report's files."""

import dataclasses
import json
import sys
from types import SimpleNamespace

import msgspec
import polars as pl
import pytest

from bundle.files import write_files
from bundle.result import result_as_markdown, write_result
from experiments.__main__ import main
from experiments.study import comparison
from experiments.study import measure as cells
from experiments.study import study as command
from experiments.study.cells import Cell
from experiments.study.charts import draw_speedup
from experiments.study.comparison import distinct_batches
from experiments.study.contestants import StudyBatch
from experiments.study.families import all_families, xgboost
from experiments.study.results import StudyResult
from experiments.study.study import protocol, study
from training.data.prepare import pipeline_frame

FAMILIES = (xgboost(5, 2), *(family for family in all_families() if family.name == "linear regression"))


@pytest.fixture(scope="module")
def plan():
    quick = {"seconds": 0.0, "least_rounds": 1, "most_rounds": 1, "batch_rows": (1, 10, 500)}
    return msgspec.structs.replace(protocol(fast=True, threads=(1, 2)), **quick)


@pytest.fixture(scope="module")
def result(rows, plan) -> StudyResult:
    return study(rows, FAMILIES, plan, seed=3)


def test_every_family_is_measured_at_every_size_and_number_of_threads(result):
    keys = [(cell.family, cell.parameters, cell.threads, cell.rows) for cell in result.cells]
    assert len(set(keys)) == len(keys) == 2 * 2 * 3
    for cell in result.cells:
        assert cell.speedup == pytest.approx(cell.native_us / cell.onnx_us)


def test_families_say_what_they_are_and_how_far_they_agree(rows, result):
    trees, line = result.families
    assert (trees.family, trees.parameters) == ("XGBoost", "trees=5, depth=2")
    assert trees.agreement.rows == rows.held_out.height
    assert trees.agreement.different_labels == 0
    assert max(family.agreement.max_difference for family in result.families) < 1e-5
    assert line.agreement.different_labels is None
    assert trees.onnx_bytes > 1000
    assert trees.training_rows == rows.training.height


def test_what_would_take_longer_than_the_limit_is_left_out_with_the_reason(rows, plan):
    strict = msgspec.structs.replace(plan, limit=1e-9, threads=(1,))
    cells = study(rows, FAMILIES[:1], strict, seed=3).cells
    assert cells[0].speedup is not None  # there is nothing yet to judge the first one by
    for cell in cells[1:]:
        assert cell.speedup is cell.native_us is cell.onnx_us is None
        assert "over the cell's limit" in cell.note
    text = result_as_markdown(msgspec.structs.replace(study(rows, FAMILIES[:1], strict, seed=3), protocol=strict))
    assert "XGBoost (trees=5, depth=2), 1 thread, 10 rows: would take" in text


def test_batches_are_distinct_and_wrap_around(rows):
    frame = pipeline_frame(rows.dataset, rows.held_out)
    height = frame.height
    assert len(distinct_batches(rows.dataset, frame, 10)) == height // 10
    first, second, *_ = distinct_batches(rows.dataset, frame, 10)
    assert second.frame.equals(frame[10:20])
    assert not first.frame.equals(second.frame)
    (whole,) = distinct_batches(rows.dataset, frame, height + 5)
    assert whole.frame.equals(pl.concat([frame, frame[:5]]))


def test_few_rows_are_drawn_for_a_family_that_takes_no_more(rows):
    small = dataclasses.replace(FAMILIES[0], training_rows=50)
    seen = SimpleNamespace(rows=0)

    class Spy:
        def fit(self, features, target):
            seen.rows = (features.height, len(target))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparison, "build_pipeline", lambda *_, **__: Spy())
        comparison.fit(rows, rows.features, small, seed=1)
    assert seen.rows == (50, 50)


def test_report_has_all_files_and_they_hold_the_same_figures(result, tmp_path):
    paths = write_result(result, tmp_path, {"speedup.svg": draw_speedup(result)})
    names = {"study.json", "study.md", "speedup.svg"}
    assert {path.name for path in paths} == names == {path.name for path in (tmp_path / "study").iterdir()}
    assert (tmp_path / "study/speedup.svg").read_bytes().rstrip().endswith(b"</svg>")
    assert "![Speedup](speedup.svg)" in (tmp_path / "study/study.md").read_text()
    written = json.loads((tmp_path / "study/study.json").read_text())
    assert written["machine"]["cpus"] == result.machine.cpus
    assert msgspec.convert(written, StudyResult, strict=False) == result


def test_slower_than_native_is_bold_and_left_out_is_a_dash(result):
    family = result.families[0]
    common = {"family": family.family, "parameters": family.parameters, "threads": 1, "rounds": 1}
    cells = (
        Cell(rows=1, native_us=80.0, onnx_us=100.0, speedup=0.8, **common),
        Cell(rows=10, native_us=200.0, onnx_us=8.0, speedup=25.0, **common),
        Cell(rows=500, note="would take 9 s, over the cell's limit of 1 s", **common),
    )
    text = result_as_markdown(msgspec.structs.replace(result, families=(family,), cells=cells))
    assert "| XGBoost (trees=5, depth=2) | **0.80x** | 25x | - |" in text
    assert "| XGBoost (trees=5, depth=2) | 80 / 100 | 200 / 8 | - |" in text


def test_cell_without_a_cpu_for_every_thread_is_marked(rows, plan, monkeypatch):
    monkeypatch.setattr(cells, "available_cpus", lambda: frozenset({0, 1}))
    monkeypatch.setattr(cells.OthersClock, "cpus", lambda _: 0.9)
    result = study(rows, FAMILIES[:1], plan, seed=3)
    one, two = (result.cells_of(result.families[0], threads) for threads in (1, 2))
    assert {cell.note for cell in one} == {""}
    assert {cell.note for cell in two} == {"other processes kept 0.9 CPUs busy: too few were left for 2 threads"}
    assert result_as_markdown(result).count("x †") + result_as_markdown(result).count("x** †") == 3


def test_files_are_written_whole_or_not_at_all(tmp_path):
    write_files(tmp_path, {"a": b"old", "b": b"old"})
    with pytest.raises(TypeError):
        write_files(tmp_path, {"a": b"new", "b": None})
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a": b"old", "b": b"old"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "nonsense"], "error: DATA='nonsense'"),
        (["--dataset", "no.such"], "--dataset: no.such: No module named 'no'"),
        (["--families", "oracle"], "--families: invalid choice: 'oracle'"),
        (["--threads", "0"], "--threads: '0' is not a whole number above 0"),
    ],
)
def test_bad_input_ends_in_one_clear_line_and_leaves_nothing(arguments, message, tmp_path, capsys):
    try:
        status = main(["study", *arguments, "--reports", str(tmp_path / "reports")])
    except SystemExit as exited:
        status = exited.code
    assert status != 0
    assert message in capsys.readouterr().err
    assert not (tmp_path / "reports").exists()


def test_command_measures_and_names_the_files(small_dataset, plan, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "protocol", lambda **_: plan)
    monkeypatch.setattr("training.adult.DATASET", small_dataset)
    monkeypatch.setattr(sys, "argv", ["study", "--fast"])
    arguments = ["--data", "synthetic", "--families", "linear regression", "--reports", str(tmp_path)]
    assert main(["study", *arguments]) == 0
    assert str(tmp_path / "study/study.md") in capsys.readouterr().out
    assert "source synthetic" in (tmp_path / "study/study.md").read_text()


def test_batch_has_the_inputs_that_the_graph_has(rows, numbers_only):
    assert set(StudyBatch.of(rows.dataset, pipeline_frame(rows.dataset, rows.held_out)).feeds) == {
        "categorical",
        "numeric",
    }
    features = pipeline_frame(numbers_only.dataset, numbers_only.held_out)
    assert set(StudyBatch.of(numbers_only.dataset, features).feeds) == {"numeric"}
