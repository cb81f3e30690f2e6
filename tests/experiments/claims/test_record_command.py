import json
import shutil

import pytest

from experiments.report.record_command import main
from experiments.report.recorded_results import FOLDER, SOURCES


@pytest.fixture
def reports(root):
    """The committed results where the commands leave them; none is recorded."""
    for name, source in SOURCES.items():
        path = root / "reports" / source.path
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(root / FOLDER / f"{name}.json", path)
    return root / "reports"


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def record(reports):
    return main(["--reports", str(reports), "--results", str(reports.parent / FOLDER)])


def test_everything_is_taken_over(reports, capsys):
    assert record(reports) == 0
    assert sorted(path.stem for path in (reports.parent / FOLDER).glob("*.json")) == sorted(SOURCES)
    assert capsys.readouterr().out.count(" recorded\n") == len(SOURCES)


def test_paths_of_the_machine_stay_at_home(reports):
    edit(
        reports / "study/study.json",
        command="python -m experiments.study.study_command --data uci --data-dir /home/me/adult",
    )
    assert record(reports) == 0
    recorded = json.loads((reports.parent / FOLDER / "study.json").read_text())
    assert recorded["command"] == "python -m experiments.study.study_command --data uci"


def test_what_does_not_go_together_is_told_and_recorded(reports, capsys):
    path = reports / "workers.json"
    machine = json.loads(path.read_text())["machine"] | {"commit": "c0ffee-dirty", "cpus": 64}
    edit(path, version="other", machine=machine, created="2001-01-01T00:00:00Z")
    (reports / "images.json").unlink()
    assert record(reports) == 0
    error = capsys.readouterr().err
    assert "warning: results of different models: " in error
    assert "workers of adult_income_model other" in error
    assert "warning: workers: measured on files that are in no commit (c0ffee-dirty)\n" in error
    assert "workers on " in error.partition("warning: different machines: ")[2]
    assert "hours older than " in error.partition("warning: workers: ")[2]
    assert "warning: images: missing; `make images` makes it\n" in error
    assert (reports.parent / FOLDER / "workers.json").exists()


def test_an_older_result_does_not_replace_a_newer_one(reports, capsys):
    assert record(reports) == 0
    kept = (reports.parent / FOLDER / "workers.json").read_bytes()
    edit(reports / "workers.json", created="2001-01-01T00:00:00Z")
    capsys.readouterr()
    assert record(reports) == 0
    assert "kept, that in reports/ is older" in capsys.readouterr().out
    assert (reports.parent / FOLDER / "workers.json").read_bytes() == kept


def test_a_broken_result_is_named_and_nothing_is_recorded(reports, capsys):
    (reports / "skew.json").write_text("{")
    assert record(reports) == 1
    assert capsys.readouterr().err.startswith(f"error: {reports / 'skew.json'}: not a result")
    assert list((reports.parent / FOLDER).glob("*.json")) == []


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main(["--reports", str(tmp_path), "--results", str(tmp_path / "results")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: no results there\n"
    assert not (tmp_path / "results").exists()
