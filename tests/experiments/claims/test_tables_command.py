import json

import msgspec
import pytest

from experiments.report.recorded_results import FOLDER
from experiments.report.tables_command import main
from tests.experiments.claims.conftest import ROOT


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_documents_are_what_the_committed_results_say(capsys):
    assert main(["--root", str(ROOT), "--check"]) == 0, capsys.readouterr().err


def test_a_changed_figure_is_shown_with_its_file_and_line_and_written_anew(root, capsys):
    readme = root / "README.md"
    before = readme.read_text()
    line = next(line for line in before.splitlines() if line.startswith("| **ONNX service**"))
    readme.write_text(before.replace(line, "| **ONNX service** | 99,999 |"))
    assert main(["--root", str(root), "--check"]) == 1
    error = capsys.readouterr().err
    number = before.splitlines().index(line) + 1
    assert f"README.md:{number}: differs from the results in {FOLDER}\n" in error
    assert f"-| **ONNX service** | 99,999 |\n+{line}\n" in error
    assert main(["--root", str(root)]) == 0
    assert capsys.readouterr().out == "README.md\n"
    assert readme.read_text() == before


def test_a_changed_result_reaches_tables_sentences_and_arithmetic(root):
    path = root / FOLDER / "benchmark.json"
    result = json.loads(path.read_text())
    for cell in result["cells"]:
        if cell["scenario"] == "single":
            slow = cell["service"] == "pickle"
            cell["requests_per_second"]["median"] = 100.0 if slow else 7700.0
            cell["cpu_ms_per_request"]["median"] = {"pickle": 10.0, "axum": 0.005}.get(cell["service"], 0.0125)
            cell["server_utilisation"], cell["generator_utilisation"] = 0.5, 0.99
    path.write_text(json.dumps(result))
    assert main(["--root", str(root)]) == 0
    readme, scaling = (root / "README.md").read_text(), (root / "docs/scaling.md").read_text()
    assert "<!--= onnx.single.rate / pickle.single.rate -->77<!--/-->" in readme
    assert "| **ONNX service** | 7,700 † |" in readme
    assert "\n† the load generator was the bottleneck." in readme
    assert "| | pickle | 10,000 | 200,000 | 100,000 | 200 TB | 6,667 |" in scaling


def test_a_wrong_answer_can_not_be_hidden(root):
    path = root / FOLDER / "skew.json"
    result = json.loads(path.read_text())
    result["skew"][0]["result"]["equal_labels"] -= 1
    path.write_text(json.dumps(result))
    assert main(["--root", str(root)]) == 0
    assert "**differ**" in (root / "README.md").read_text()


def test_words_that_no_longer_hold_are_an_error_and_nothing_is_written(root, capsys):
    path = root / FOLDER / "training.json"
    report = json.loads(path.read_text())
    report["manifest"]["study"]["trials"] = 7
    path.write_text(json.dumps(report))
    before = (root / "README.md").read_text()
    assert main(["--root", str(root)]) == 1
    assert "the words there hold for training.trials in 100..100, but it is 7" in capsys.readouterr().err
    assert (root / "README.md").read_text() == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: path.unlink(), "missing; `make workers`, then `make record-results`"),
        (lambda path: path.write_text("{"), "not a result that this code reads"),
        (lambda path: edit(path, version="other"), "figures of different models: "),
        (lambda path: edit(path, cells=[]), "there is no figure 'workers.onnx.single.gain'"),
    ],
)
def test_a_result_that_can_not_be_used_is_one_line(root, capsys, change, message):
    change(root / FOLDER / "workers.json")
    assert main(["--root", str(root), "--check"]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_service_that_was_not_measured_is_one_line(root, capsys):
    path = root / FOLDER / "benchmark.json"
    result = json.loads(path.read_text())
    edit(path, cells=[cell for cell in result["cells"] if cell["service"] != "onnx"])
    assert main(["--root", str(root)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_every_figure_can_be_listed(root, capsys):
    assert main(["--root", str(root), "--list"]) == 0
    names = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert {"onnx.single.rate", "training.f2", "scale.1000.axum.pods", "block"} <= set(names)


def test_results_are_indented_json_without_paths_of_a_machine():
    for path in (ROOT / FOLDER).glob("*.json"):
        content = path.read_bytes()
        assert content == msgspec.json.format(content.strip()) + b"\n", path
        assert b"--data-dir" not in content
