"""What all commands of `python -m experiments` have in common."""

import pytest

from experiments.__main__ import COMMANDS, main
from experiments.command import publish
from experiments.report import page
from tests.experiments.report.conftest import skew, workers


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_its_options(name, capsys):
    with pytest.raises(SystemExit) as exited:
        main([name, "--help"])
    assert exited.value.code == 0
    assert f"usage: python -m experiments {name} " in capsys.readouterr().out


def test_an_interrupted_command_has_no_result(tmp_path, monkeypatch, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(page, "read_entries", interrupt)
    assert main(["report", "--reports", str(tmp_path)]) == 130
    assert capsys.readouterr().err == "interrupted: no report\n"
    assert list(tmp_path.iterdir()) == []


def test_a_result_is_shown_and_written_as_json_and_markdown(tmp_path, capsys):
    assert publish(workers(), tmp_path, {"chart.svg": b"<svg/>"}) == 0
    assert {path.name for path in tmp_path.iterdir()} == {"workers.json", "workers.md", "chart.svg"}
    assert "single    onnx                   50.0" in capsys.readouterr().out
    text = (tmp_path / "workers.md").read_text()
    assert text.startswith("# A second worker\n\nMeasured on 2030-01-02 03:04 UTC.\n\n- command: `python")
    assert "FAILED" not in text


def test_a_wrong_answer_is_told_and_ends_with_1(tmp_path):
    assert publish(skew(equal=249), tmp_path) == 1
    assert "**FAILED**: an answer was wrong or missing" in (tmp_path / "skew.md").read_text()
