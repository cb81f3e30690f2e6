import json

from experiments.__main__ import main
from experiments.report.kinds import KINDS, RESULTS
from experiments.report.record import without_places


def edit(path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def record(reports):
    return main(["record", "--reports", str(reports), "--results", str(reports.parent / RESULTS)])


def test_everything_is_taken_over(reports, capsys):
    assert record(reports) == 0
    assert sorted(path.stem for path in (reports.parent / RESULTS).glob("*.json")) == sorted(KINDS)
    assert capsys.readouterr().out.count(" recorded\n") == len(KINDS)


def test_paths_of_the_machine_stay_at_home(reports):
    edit(
        reports / "study/study.json",
        command="python -m experiments study --data uci --data-dir /home/me/adult",
    )
    assert record(reports) == 0
    recorded = json.loads((reports.parent / RESULTS / "study.json").read_text())
    assert recorded["command"] == "python -m experiments study --data uci"


def test_what_does_not_go_together_is_told_and_recorded(reports, capsys):
    path = reports / "workers.json"
    machine = json.loads(path.read_text())["machine"] | {"commit": "c0ffee-dirty", "cpus": 64}
    edit(path, version="other", machine=machine, created="2001-01-01T00:00:00Z")
    assert record(reports) == 0
    error = capsys.readouterr().err
    assert "warning: different models: " in error
    assert "workers of m other" in error
    assert "warning: workers: measured on files that are in no commit (c0ffee-dirty)\n" in error
    assert "workers of Abacus 9, 64 CPUs" in error.partition("warning: different machines: ")[2]
    assert "hours older than " in error.partition("warning: workers: ")[2]
    assert (reports.parent / RESULTS / "workers.json").exists()


def test_an_older_result_does_not_replace_a_newer_one(reports, capsys):
    assert record(reports) == 0
    kept = (reports.parent / RESULTS / "workers.json").read_bytes()
    edit(reports / "workers.json", created="2001-01-01T00:00:00Z")
    capsys.readouterr()
    assert record(reports) == 0
    assert "kept, that in reports/ is older" in capsys.readouterr().out
    assert (reports.parent / RESULTS / "workers.json").read_bytes() == kept


def test_a_broken_result_is_named_and_nothing_is_recorded(reports, capsys):
    (reports / "skew.json").write_text("{")
    assert record(reports) == 1
    assert capsys.readouterr().err.startswith(f"error: {reports / 'skew.json'}: not a result")
    assert list((reports.parent / RESULTS).glob("*.json")) == []


def test_an_empty_folder_is_an_error(tmp_path, capsys):
    assert main(["record", "--reports", str(tmp_path), "--results", str(tmp_path / "results")]) == 1
    assert capsys.readouterr().err == f"error: {tmp_path}: no results there\n"
    assert not (tmp_path / "results").exists()


def test_places_of_the_machine_are_left_out():
    command = "python -m training.train --data uci --data-dir '/home/me/my data' --storage=sqlite:////x --trials 3"
    assert without_places(command) == "python -m training.train --data uci --trials 3"


def test_a_broken_record_is_named(reports, capsys):
    assert record(reports) == 0
    (reports.parent / RESULTS / "skew.json").write_text("{")
    assert record(reports) == 1
    assert "skew.json: not a recorded result" in capsys.readouterr().err
