"""A whole run by the command line: what it prints, publishes and reports, and how it fails."""

import contextlib
import dataclasses
import importlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.errors import BundleError
from bundle.manifest import read_manifest
from training import adult
from training import train as training
from training.export import artifacts as contents
from training.export import publish as publishing
from training.report import write_report as report
from training.report.terminal import summary_lines
from training.report.training_report import TrainedModel, TrainingReport, study_line
from training.train import main
from training.tuning import objective as tuning

ROOT = Path(__file__).resolve().parents[2]
MODULE = """
import dataclasses
from training import adult
DATASET = dataclasses.replace(adult.DATASET, synthetic_rows=600)
"""


@pytest.fixture(scope="module", autouse=True)
def modules(tmp_path_factory):
    """A folder with a data set module outside the project, as somebody with other data has one."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "small_census.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        importlib.invalidate_caches()
        yield folder


def command(folder, *more):
    """Arguments of a short run on synthetic rows, with everything in `folder`."""
    arguments = ["--dataset", "small_census", "--data", "synthetic", "--trials", "2", "--data-dir", folder / "data"]
    arguments += ["--models", folder / "models", "--reports", folder / "reports", *more]
    return [str(argument) for argument in arguments]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """One run that went well, which tests look at and don't change."""
    folder = tmp_path_factory.mktemp("run")
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(command(folder))
    return SimpleNamespace(
        folder=folder,
        status=status,
        out=out.getvalue(),
        err=err.getvalue(),
        models=folder / "models",
        reports=folder / "reports",
        manifest=read_manifest(folder / "models"),
    )


@pytest.fixture(autouse=True)
def no_pictures(run, monkeypatch):
    """The report of `run` is enough to look at; drawing takes longer than training here."""
    monkeypatch.setattr(training, "write_report", lambda *_: None)


@pytest.fixture
def published(run, tmp_path):
    """A folder with the study and the bundle of an earlier run; called, it checks that the bundle is untouched."""
    shutil.copytree(run.folder, tmp_path, symlinks=True, dirs_exist_ok=True)
    before = snapshot(tmp_path / "models")

    def assert_untouched():
        assert snapshot(tmp_path / "models") == before
        assert_whole(tmp_path / "models")

    return assert_untouched


def snapshot(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_whole(models):
    manifest = read_manifest(models)
    for kind in manifest.artifacts:
        read_artifact(manifest, kind, models)
    assert not [path.name for path in models.iterdir() if path.name.startswith(".")]
    return manifest


def assert_nothing_published(models):
    with pytest.raises(BundleError, match="no model bundle here"):
        read_manifest(models)
    assert not models.exists() or not list(models.iterdir())


def test_run_publishes_a_whole_bundle_and_exits_with_0(run):
    assert run.status == 0
    manifest = assert_whole(run.models)
    assert set(manifest.artifacts) == {"onnx", "onnx_packed", "pickle", "reference"}
    assert (manifest.name, manifest.target, manifest.classes) == ("adult_income_model", "income", ("<=50K", ">50K"))
    assert [feature.name for feature in manifest.features] == [feature.name for feature in adult.FEATURES]
    assert (manifest.data.source, manifest.data.rows, manifest.data.held_out_rows) == ("synthetic", 600, 198)
    assert (manifest.study.trials, manifest.study.seed) == (2, 42)
    assert (manifest.study.asked, manifest.study.ended) == (None, "")


def test_summary_says_what_a_person_wants_to_know(run):
    manifest = run.manifest
    assert f"{manifest.name} {manifest.version}" in run.out.splitlines()
    for text in (
        "data       synthetic: 600 rows, 402 to train, 198 held out",
        "SYNTHETIC ROWS: the scores are not those of the real data",
        f"study      2 trials ({manifest.study.completed} complete, {manifest.study.pruned} pruned), seed 42: "
        f"F2 {manifest.study.best_value:.4f} out of fold",
        f"learning_rate {manifest.study.best_parameters['learning_rate']:.4g}",
        f"threshold  {manifest.decision_threshold:.6f}, chosen on rows unseen by their model; the pickle's predict",
        f"held out   F2 {manifest.metrics.held_out['f2']:.4f} ± {manifest.metrics.standard_error:.4f}; a model that",
        f"feature has {manifest.metrics.trivial:.4f}",
        f"pr_auc {manifest.metrics.held_out['pr_auc']:.4f}   roc_auc {manifest.metrics.held_out['roc_auc']:.4f}",
        f"pickle = ONNX on {manifest.parity.rows:,} rows ({manifest.parity.edge_case_rows:,} edge cases), both graphs",
        f"labels differing 0, max |Δp| {manifest.parity.max_abs_difference:.1e}",
        f"published  {run.models / 'adult_income_model.json'}",
        f"report     {run.reports / 'report.md'}",
        "next       make serve-onnx",
        f"           each with MODELS={run.models}",
    ):
        assert text in run.out
    for artifact in manifest.artifacts.values():
        assert f"{artifact.file}  {artifact.bytes:,} bytes  sha256 {artifact.sha256[:16]}…" in run.out


def test_a_threshold_that_the_score_does_not_need_is_not_said_to_be_chosen(run, tmp_path):
    study = msgspec.structs.replace(run.manifest.record.study, score="roc_auc")
    manifest = msgspec.structs.replace(run.manifest, study=study)
    lines = summary_lines(manifest, tmp_path / "a folder", tmp_path)
    (told,) = [line for line in lines if line.startswith("threshold")]
    assert f"{manifest.decision_threshold:.6f}, as roc_auc needs no other one; the pickle's predict" in told
    assert lines[-1] == f"           each with 'MODELS={tmp_path / 'a folder'}'"


def test_classification_report_has_the_scores_of_both_classes(run):
    scores = run.manifest.metrics.held_out
    rows = dict(re.findall(r"^ +(<=50K|>50K) +(\S.*)$", run.out, re.MULTILINE))
    negative, positive = (line.replace(",", "").split() for line in (rows["<=50K"], rows[">50K"]))
    assert positive == [
        *(f"{scores[name]:.4f}" for name in ("precision", "recall", "f1")),
        str(int(scores["true_positives"] + scores["false_negatives"])),
    ]
    rejected = scores["true_negatives"] + scores["false_negatives"]
    assert negative[0] == f"{scores['true_negatives'] / rejected:.4f}"
    assert int(negative[3]) + int(positive[3]) == run.manifest.data.held_out_rows


def test_scores_in_the_manifest_are_those_of_the_reference_rows(run):
    reference = pl.read_parquet(run.models / run.manifest.artifacts["reference"].file)
    held_out = reference.filter(pl.col("case") == "held_out")
    truth, labels = held_out["target"].to_numpy(), held_out["label"].to_numpy()
    scores = run.manifest.metrics.held_out
    assert scores["true_positives"] == ((truth == 1) & (labels == 1)).sum()
    assert scores["false_positives"] == ((truth == 0) & (labels == 1)).sum()
    assert scores["accuracy"] == pytest.approx((truth == labels).mean())
    assert run.manifest.parity.rows == reference.height
    assert run.manifest.parity.edge_case_rows == reference.height - held_out.height


def test_manifest_names_the_libraries_that_a_pickle_depends_on(run):
    assert {"python", "scikit-learn", "xgboost", "polars", "numpy", "onnxruntime"} <= set(run.manifest.libraries)
    assert all(re.match(r"\d+\.\d+", version) for version in run.manifest.libraries.values())


PICTURES = [
    "calibration.svg",
    "confusion_matrix.svg",
    "feature_importance.svg",
    "precision_recall.svg",
    "roc.svg",
    "study_history.svg",
]


def test_report_has_pictures_of_a_size_to_look_at(run):
    assert sorted(path.name for path in run.reports.glob("*.svg")) == PICTURES
    for name in PICTURES:
        content = (run.reports / name).read_text(encoding="utf-8")
        assert 'width="518.4pt" height="316.8pt"' in content
        assert content.rstrip().endswith("</svg>")
        assert 5_000 < len(content) < 200_000


def test_report_holds_the_manifest_the_command_and_the_machine_for_programs(run):
    report = msgspec.json.decode((run.reports / "report.json").read_bytes(), type=TrainingReport)
    assert report.manifest == TrainedModel.of(run.manifest)
    assert report.machine.libraries["scikit-learn"] == run.manifest.libraries["scikit-learn"]
    assert report.command


def test_report_has_the_manifest_s_values(run):
    text = (run.reports / "report.md").read_text()
    manifest = run.manifest
    assert (
        f"- model: {manifest.name} {manifest.version}, decision threshold {manifest.decision_threshold:.6f}\n" in text
    )
    assert "- data: source synthetic, 402 rows for training, 198 held out\n" in text
    assert f"± {manifest.metrics.standard_error:.4f} on the held-out rows; a model that looks at no feature has" in text
    assert f"- study: {study_line(manifest.study)}\n" in text
    table = {name: values for name, *values in re.findall(r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \|$", text, re.MULTILINE)}
    assert set(table) >= {"f2", "recall", "precision", "pr_auc", "roc_auc", "brier", "log_loss"}
    for name, (out_of_fold, held_out) in table.items():
        assert out_of_fold == f"{manifest.metrics.out_of_fold[name]:.4f}"
        assert held_out == f"{manifest.metrics.held_out[name]:.4f}"
    for name, value in manifest.study.best_parameters.items():
        assert f"| {name} | {value:.5g} |" in text
    assert sorted(re.findall(r"\]\((.+\.svg)\)", text)) == PICTURES


@pytest.mark.slow
def test_report_draws_no_importance_of_parameters_and_no_history_from_too_few_trials(tmp_path, monkeypatch, run):
    monkeypatch.setattr(training, "write_report", report.write_report)
    (tmp_path / "reports").mkdir()
    (tmp_path / "reports/parameter_importance.svg").write_bytes(b"of an earlier run")
    assert main(command(tmp_path, "--trials", "1")) == 0
    found = sorted(path.name for path in (tmp_path / "reports").glob("*.svg"))
    assert found == [name for name in PICTURES if name != "study_history.svg"]


def test_same_command_again_gives_the_same_version_without_new_trials(run, tmp_path, published, monkeypatch):
    monkeypatch.setattr(tuning.ScoreObjective, "__call__", lambda *_: pytest.fail("a trial was started"))
    before = read_manifest(tmp_path / "models")
    assert main(command(tmp_path)) == 0
    after = assert_whole(tmp_path / "models")
    assert (after.version, after.study, after.metrics) == (before.version, before.study, before.metrics)


@pytest.mark.slow
def test_other_place_gives_the_same_model_and_another_seed_another(run, tmp_path):
    assert main(command(tmp_path / "same")) == 0
    same = assert_whole(tmp_path / "same" / "models")
    assert (same.version, same.decision_threshold) == (run.manifest.version, run.manifest.decision_threshold)
    assert main(command(tmp_path / "other", "--seed", "7", "--trials", "1")) == 0
    other = assert_whole(tmp_path / "other" / "models")
    assert other.version != run.manifest.version
    assert (other.study.seed, other.study.trials) == (7, 1)


@pytest.mark.slow
def test_more_trials_continue_the_study_and_fresh_forgets_it(run, tmp_path, published):
    assert main(command(tmp_path, "--trials", "3")) == 0
    assert read_manifest(tmp_path / "models").study.trials == 3
    assert main(command(tmp_path, "--trials", "1", "--fresh")) == 0
    assert read_manifest(tmp_path / "models").study.trials == 1


def wrong_file(folder):
    (folder / "data").mkdir(exist_ok=True)
    (folder / "data" / "adult.data").write_bytes(b"39, State-gov")
    return ["--data", "uci"], r"error: .*/data/adult\.data is not the file that the data set names: .*\(13 bytes\)"


def unknown_data(_):
    return ["--data", "kaggle"], "error: DATA='kaggle': choose auto, uci or synthetic"


def bad_storage(_):
    return ["--storage", "nonsense"], "error: STORAGE=nonsense: the study storage can't be used: "


def models_is_a_file(folder):
    (folder / "file").write_text("mine")
    return ["--models", folder / "file"], r"error: .*File exists: '.*/file'"


@pytest.mark.parametrize("wrong", [wrong_file, unknown_data, bad_storage, models_is_a_file])
def test_what_is_wrong_is_one_line_and_nothing_is_published(run, tmp_path, published, wrong, capfd):
    more, message = wrong(tmp_path)
    assert main(command(tmp_path, *more)) == 1
    out, err = capfd.readouterr()
    assert re.search(f"^{message}.*\nnothing was published\n$", err, re.MULTILINE)
    assert "Traceback" not in err
    assert "published  " not in out
    published()


def test_export_that_differs_is_not_published(run, tmp_path, published, monkeypatch, capfd):
    """The gate inside a whole run: the graph is made with another threshold than the pickle has."""
    export = contents.export_graphs

    def export_with_another_threshold(name, estimator, interface):
        changed = export(name, estimator, dataclasses.replace(interface, threshold=0.9))
        return {**export(name, estimator, interface), "onnx_packed": changed["onnx_packed"]}

    monkeypatch.setattr(contents, "export_graphs", export_with_another_threshold)
    assert main(command(tmp_path)) == 1
    assert re.search(r"error: onnx_packed differs from the pickle on \d+ of \d+ rows", capfd.readouterr().err)
    published()


def test_disk_that_fills_up_leaves_the_previous_bundle(run, tmp_path, published, monkeypatch, capfd):
    calls = []

    def fsync(_):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(publishing.os, "fsync", fsync)
    assert main(command(tmp_path)) == 1
    assert "error: [Errno 28] No space left on device\nnothing was published" in capfd.readouterr().err
    published()


def interrupt(monkeypatch, number):
    """Ctrl-C in the given fit of the folds, counted from 0."""
    original, started = tuning.fold_predictions, []

    def predictions(*arguments, **keywords):
        started.append(1)
        if len(started) - 1 == number:
            raise KeyboardInterrupt
        yield from original(*arguments, **keywords)

    monkeypatch.setattr(tuning, "fold_predictions", predictions)


def test_ctrl_c_before_any_complete_trial_publishes_nothing(tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patch:
        interrupt(patch, 0)
        assert main(command(tmp_path)) == 130
    assert "interrupted: nothing was published; the same command goes on" in capfd.readouterr().err
    assert_nothing_published(tmp_path / "models")
    assert main(command(tmp_path)) == 0
    assert assert_whole(tmp_path / "models").study.trials == 2


def test_ctrl_c_after_some_trials_publishes_the_best_so_far(tmp_path, monkeypatch, capfd):
    interrupt(monkeypatch, 2)
    assert main(command(tmp_path, "--trials", "50")) == 0
    assert "interrupted: publishing the best so far" in capfd.readouterr().err
    study = assert_whole(tmp_path / "models").study
    assert (study.trials, study.asked, study.ended) == (2, 50, "interrupted")


def test_study_that_runs_out_of_patience_says_so_everywhere(tmp_path, capfd):
    assert main(command(tmp_path, "--trials", "50", "--patience", "2")) == 0
    study = assert_whole(tmp_path / "models").study
    why = "2 trials in a row brought no better score and no cheaper model"
    assert (study.asked, study.ended) == (50, why)
    assert study.trials < 50
    out, err = capfd.readouterr()
    ended = f"the study ended after {study.trials} of 50 trials: {why} (PATIENCE=0: all)"
    assert err.splitlines().count(ended) == 1
    assert f"study      {study.trials} of 50 trials (" in out
    assert f" pruned; ended before 50: {why}; " in study_line(study)


@pytest.mark.parametrize("step", ["load_rows", "fit_model", "make_contents", "publish"])
def test_ctrl_c_anywhere_else_publishes_nothing(run, tmp_path, published, monkeypatch, capfd, step):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(training, step, interrupted)
    assert main(command(tmp_path)) == 130
    assert "interrupted: nothing was published" in capfd.readouterr().err
    published()


@pytest.mark.parametrize(("error", "told"), [(OSError("disk full"), "disk full"), (KeyboardInterrupt(), "interrupted")])
def test_report_that_fails_does_not_hide_that_the_bundle_is_published(
    run, tmp_path, published, monkeypatch, capfd, error, told
):
    def fail(*_):
        raise error

    monkeypatch.setattr(training, "write_report", fail)
    assert main(command(tmp_path, "--trials", "3")) == 0
    assert assert_whole(tmp_path / "models").study.trials == 3
    err = capfd.readouterr().err
    assert f"the bundle is published, but not its report: {told}" in err
    assert "nothing was published" not in err


def complete_trials(database):
    with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0]
    return 0


@pytest.mark.slow
def test_sigint_to_a_real_run_publishes_the_best_so_far(tmp_path, modules):
    process = subprocess.Popen(
        [sys.executable, "-m", "training", "train", *command(tmp_path, "--trials", "10000")],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(modules)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            deadline = time.monotonic() + 60
            while complete_trials(tmp_path / "reports" / "study.db") < 2:
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "interrupted: publishing the best so far" in err
    assert "Traceback" not in err
    manifest = assert_whole(tmp_path / "models")
    assert 2 <= manifest.study.trials < 10_000
    assert manifest.version in out
    assert json.loads((tmp_path / "models" / "adult_income_model.json").read_text())["version"] == manifest.version
