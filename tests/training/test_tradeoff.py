"""Whole runs of F2 against latency, on few synthetic rows with short measurements."""

import dataclasses
import json
import shutil
from types import SimpleNamespace

import optuna
import pytest
from optuna.trial import TrialState

from bundle.manifest import decode_manifest, read_manifest
from training import adult
from training import train as training
from training.train import main, parse_options
from training.tuning import latency, tradeoff
from training.tuning import objective as tuning
from training.tuning.tradeoff import suggest_small_and_large

TRIALS = 5


@pytest.fixture(scope="module", autouse=True)
def small_runs():
    """Few rows, few trees, few rounds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adult, "DATASET", dataclasses.replace(adult.DATASET, synthetic_rows=600))
        patch.setattr(tradeoff, "MOST_TREES", 12)
        patch.setattr(latency, "ROUNDS", 2)
        patch.setattr(latency, "POOL_ROWS", 256)
        yield


def command(folder, *more, objective="f2,latency"):
    arguments = ["--data", "synthetic", "--trials", TRIALS, "--models", folder / "models"]
    arguments += ["--reports", folder / "reports", "--data-dir", folder / "data", "--objective", objective, *more]
    return [str(argument) for argument in arguments]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run that went well, with its report; tests look at it and don't change it."""
    folder = tmp_path_factory.mktemp("tradeoff")
    assert main(command(folder)) == 0
    return SimpleNamespace(folder=folder, manifest=read_manifest(folder / "models"))


@pytest.fixture
def again(run, tmp_path, monkeypatch):
    """A copy of the finished run, in which no trial may be started and nothing is drawn."""
    shutil.copytree(run.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setattr(tradeoff.Tradeoff, "__call__", lambda *_, **__: pytest.fail("a trial was started"))
    monkeypatch.setattr(training, "write_report", lambda *_: None)
    return tmp_path


def study_of(folder):
    storage = f"sqlite:///{folder / 'reports' / 'study.db'}"
    (name,) = optuna.get_all_study_names(storage)
    return optuna.load_study(study_name=name, storage=storage)


def test_manifest_has_the_front_and_what_was_chosen_of_it(run):
    study, found = run.manifest.study, study_of(run.folder)
    assert (study.trials, study.completed, study.pruned) == (TRIALS, TRIALS, 0)
    assert sorted(one.trial for one in study.front) == sorted(trial.number for trial in found.best_trials)
    chosen = next(one for one in study.front if one.trial == study.chosen_trial)
    assert study.best_value == chosen.score == pytest.approx(run.manifest.metrics.out_of_fold["f2"])
    assert study.best_parameters == found.trials[chosen.trial].params
    assert study.best_parameters["n_estimators"] == chosen.trees == run.manifest.parity.trees
    assert study.choice.startswith("the fastest trial of the front whose F2 is at most one standard error below")
    assert "µs per row of the packed graph" in study.objective


def test_the_graph_that_was_measured_is_the_one_that_is_published(run):
    chosen = next(one for one in run.manifest.study.front if one.trial == run.manifest.study.chosen_trial)
    assert chosen.graph_bytes == run.manifest.artifacts["onnx_packed"].bytes


def test_trials_report_nothing_and_have_both_values(run):
    for trial in study_of(run.folder).trials:
        f2, us_per_row = trial.values
        assert 0 < f2 < 1
        assert 0 < us_per_row < 1e6
        assert trial.intermediate_values == {}
        assert set(trial.user_attrs) == set(tradeoff.MEASURED)
        assert 0 < trial.user_attrs["standard_error"] < 0.2


def test_report_has_the_picture_and_the_table(run):
    reports = run.folder / "reports"
    text = (reports / "report.md").read_text()
    assert "![Score against latency](pareto.svg)" in text
    for one in run.manifest.study.front:
        assert f"{one.trial} | {one.score:.4f} | {one.standard_error:.4f} | {one.us_per_row:.1f} |" in text
    assert f"Published: trial {run.manifest.study.chosen_trial}, the fastest trial" in text
    assert (reports / "pareto.svg").read_bytes().rstrip().endswith(b"</svg>")


def test_the_same_command_again_measures_nothing_and_gives_the_same_model(run, again, capsys):
    assert main(command(again)) == 0
    manifest = read_manifest(again / "models")
    assert (manifest.version, manifest.study) == (run.manifest.version, run.manifest.study)
    out = capsys.readouterr().out
    assert "front      " in out
    assert f"published  trial {manifest.study.chosen_trial}: the fastest trial" in out


@pytest.mark.parametrize("number", [0, TRIALS - 1])
def test_another_trial_of_the_finished_study_is_published_by_its_number(again, number):
    assert main(command(again, "--trial", number)) == 0
    study = read_manifest(again / "models").study
    assert (study.chosen_trial, study.choice) == (number, f"TRIAL={number}")
    assert study.best_value == study_of(again).trials[number].values[0]


def test_the_best_that_is_fast_enough_is_published(again):
    fastest = min(study_of(again).trials, key=lambda trial: trial.values[1])
    assert main(command(again, "--max-us", fastest.values[1])) == 0
    assert read_manifest(again / "models").study.chosen_trial == fastest.number


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--trial", "77"), "error: TRIAL=77: the study has the trials 0 to 4\n"),
        (("--max-us", "0.001"), "error: MAX_US=0.001: the fastest trial takes "),
    ],
)
def test_what_cannot_be_chosen_leaves_the_bundle(run, again, capfd, more, message):
    assert main(command(again, *more)) == 1
    err = capfd.readouterr().err
    assert message in err
    assert "nothing was published" in err
    assert read_manifest(again / "models") == run.manifest


def test_more_trials_go_on_in_the_units_of_the_first(run, tmp_path, monkeypatch):
    shutil.copytree(run.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.setattr(training, "write_report", lambda *_: None)
    monkeypatch.setattr(latency.Stopwatch, "reference", lambda _: pytest.fail("the reference was measured again"))
    before = study_of(tmp_path)
    values = [trial.values for trial in before.trials]
    assert main(command(tmp_path, "--trials", TRIALS + 1)) == 0
    after = study_of(tmp_path)
    assert after.user_attrs == before.user_attrs
    assert len(after.trials) == TRIALS + 1
    assert [trial.values for trial in after.trials[:TRIALS]] == values


@pytest.mark.slow
def test_ctrl_c_while_a_graph_is_timed_publishes_of_what_is_there(tmp_path, monkeypatch, capfd):
    measure, timed = latency.Stopwatch.measure, []

    def interrupted(self, content, standard):
        timed.append(1)
        if len(timed) == 3:
            raise KeyboardInterrupt
        return measure(self, content, standard)

    monkeypatch.setattr(latency.Stopwatch, "measure", interrupted)
    monkeypatch.setattr(training, "write_report", lambda *_: None)
    assert main(command(tmp_path)) == 0
    assert "interrupted: publishing the best so far" in capfd.readouterr().err
    assert read_manifest(tmp_path / "models").study.trials == 2
    assert [trial.state for trial in study_of(tmp_path).trials] == [TrialState.COMPLETE] * 2 + [TrialState.FAIL]


@pytest.mark.slow
def test_a_study_of_f2_alone_is_another_study_and_knows_nothing_of_a_front(run, tmp_path, monkeypatch):
    small = {"n_estimators": 3, "max_depth": 2}
    monkeypatch.setattr(
        tuning,
        "suggest_parameters",
        lambda trial, _: {name: trial.suggest_int(name, n, n) for name, n in small.items()},
    )
    shutil.copytree(run.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    assert main(command(tmp_path, "--trials", 2, "--trial", 1, objective="f2")) == 0
    study = json.loads((tmp_path / "models" / "adult_income_model.json").read_bytes())["study"]
    assert (study["trials"], study["chosen_trial"], study["choice"]) == (2, 1, "TRIAL=1")
    assert "front" not in study
    assert not list((tmp_path / "reports").glob("pareto.*"))
    assert len(optuna.get_all_study_names(f"sqlite:///{tmp_path / 'reports' / 'study.db'}")) == 2


def test_a_default_run_has_the_manifest_it_always_had(manifest, models):
    study = json.loads((models / f"{manifest.name}.json").read_bytes())["study"]
    assert list(study) == [
        "objective", "score", "seed", "folds", "trials", "completed", "pruned", "best_value", "best_parameters",
    ]  # fmt: skip
    assert decode_manifest((models / f"{manifest.name}.json").read_bytes(), "").study.front == ()


def test_small_models_are_in_reach_and_the_other_study_s_largest_too(monkeypatch):
    monkeypatch.setattr(tradeoff, "MOST_TREES", 300)
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    drawn = [suggest_small_and_large(study.ask(), "binary_classification") for _ in range(200)]
    trees = [parameters["n_estimators"] for parameters in drawn]
    assert 5 <= min(trees) < 8
    assert 200 < max(trees) <= 300
    assert {parameters["max_depth"] for parameters in drawn} == set(range(2, 7))
    other = tuning.suggest_parameters(optuna.create_study().ask(), "binary_classification")
    assert set(other) == set(drawn[0])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "f2,speed"], "--objective is a score, or a score and latency, such as f2,latency"),
        (["--objective", "f2", "--score", "f1"], "--score can't be another one"),
        (["--max-us", "20"], "--max-us: a study of a score alone measures no latency; give --objective f2,latency"),
        (["--objective", "f2,latency", "--max-us", "0"], "--max-us: '0' is not a number above 0"),
        (["--objective", "f2,latency", "--max-us", "inf"], "'inf' is not a number above 0"),
        (["--objective", "f2,latency", "--max-us", "fast"], "--max-us: 'fast' is not a number above 0"),
        (["--objective", "f2,latency", "--max-us", "9", "--trial", "1"], "not allowed with argument"),
        (["--trial", "first"], "--trial: 'first' is not a whole number of at least 0"),
    ],
)
def test_wrong_usage_says_why(arguments, message, capfd):
    with pytest.raises(SystemExit) as raised:
        parse_options(arguments)
    assert raised.value.code == 2
    assert message in capfd.readouterr().err
