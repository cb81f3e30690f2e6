"""The tables of the recorded results in README.md and docs/."""

import json
import shutil
from pathlib import Path

import msgspec
import pytest

from experiments.__main__ import main
from experiments.errors import ExperimentError
from experiments.report.documents import rewrite
from experiments.report.kinds import RESULTS

ROOT = Path(__file__).resolve().parents[3]
BLOCK = "<!-- results: workers, CPU time of a request -->\n{}<!-- end of results -->\n"


@pytest.fixture
def root(tmp_path):
    """A copy of the committed results and of the documents."""
    shutil.copytree(ROOT / RESULTS, tmp_path / RESULTS)
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


@pytest.fixture
def results(reports):
    """Made-up results, as if they were recorded."""
    return reports


def tables(root, *options):
    return main(["tables", "--root", str(root), *options])


def test_the_documents_are_what_the_committed_results_say(capsys):
    assert tables(ROOT, "--check") == 0, capsys.readouterr().err


def test_a_changed_figure_is_shown_with_its_file_and_line_and_written_again(root, capsys):
    document = root / "docs/measuring.md"
    before = document.read_text()
    line = next(line for line in before.splitlines() if line.startswith("| **ONNX service**"))
    document.write_text(before.replace(line, "| **ONNX service** | 99,999 |"))
    assert tables(root, "--check") == 1
    error = capsys.readouterr().err
    number = before.splitlines().index(line) + 1
    assert f"docs/measuring.md:{number}: differs from the results in {RESULTS}\n" in error
    assert f"-| **ONNX service** | 99,999 |\n+{line}\n" in error
    assert tables(root) == 0
    assert capsys.readouterr().out == "docs/measuring.md\n"
    assert document.read_text() == before


def test_a_block_says_where_its_table_comes_from(results):
    written = rewrite("before\n" + BLOCK.format("| old |\n") + "after\n", results, "x.md")
    assert written.startswith("before\n<!-- results: workers, CPU time of a request -->\nMeasured on 2030-01-02 by ")
    caption = " ".join(written.partition("\n\n")[0].splitlines())
    assert "`python -m experiments.load.second_worker` on Abacus 9, 3 CPUs, 16 GB, Linux 6, commit c0ffee; " in caption
    assert "model: m abc123, trained on data from: synthetic." in caption
    assert "\n| single | onnx | 50.0 | 62.5 | 1.60x | 0 |\n<!-- end of results -->\nafter\n" in written
    assert rewrite(written, results, "x.md") == written


def test_text_without_blocks_stays_as_it_is(results):
    text = "# Title\n\n<!-- an ordinary comment -->\n1 < 2 --> 3\n"
    assert rewrite(text, results, "x.md") == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<!-- results: charts, Any -->\n<!-- end of results -->", "x.md:1: there is no kind of result 'charts'"),
        ("<!-- results: workers, Any -->\n<!-- end of results -->", "x.md:1: workers has no table 'Any'; it has 'CPU"),
        ("a\n" + BLOCK.format("")[:60], r"x.md: the block of line 2 is not closed"),
        ("<!-- end of results -->", "x.md:1: <!-- end of results --> closes nothing"),
        (BLOCK.format(BLOCK.format("")), "x.md:2: a block begins inside the one of line 1"),
    ],
)
def test_a_block_that_is_not_as_it_must_be_is_named_with_its_line(results, text, message):
    with pytest.raises(ExperimentError, match=message):
        rewrite(text, results, "x.md")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "No such file or directory; `make workers` makes it"),
        (lambda path: path.write_text("{"), "not a result that this code reads"),
        (lambda path: path.write_text("[]"), "measure again (`make workers`), or remove it"),
    ],
)
def test_a_result_that_can_not_be_used_is_one_line(root, capsys, change, message):
    change(root / RESULTS / "workers.json")
    assert tables(root, "--check") == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_figures_that_lack_a_service_are_refused(root, capsys):
    path = root / RESULTS / "benchmark.json"
    result = json.loads(path.read_text())
    cells = [cell for cell in result["cells"] if cell["service"] != "onnx" or cell["scenario"] != "single"]
    path.write_text(json.dumps(result | {"cells": cells}))
    assert tables(root) == 1
    assert "not every service has figures in every scenario" in capsys.readouterr().err


def test_results_are_indented_json_without_paths_of_a_machine():
    for path in (ROOT / RESULTS).glob("*.json"):
        content = path.read_bytes()
        assert content == msgspec.json.format(content.strip()) + b"\n", path
        assert b"--data-dir" not in content
