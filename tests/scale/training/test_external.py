"""Training on rows that stay on disk: the same model kinds, from the same arguments, by the same way to the bundle."""

import re
import signal
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest

from bundle.artifacts import read_artifact
from bundle.manifest import read_manifest
from scale.training import external, partitioned, partitions
from scale.training import sample as survey
from scale.training.external import fit_external
from scale.training.partitioned import predict_part
from scale.training.partitions import DrawRange, Partitions, open_partitions
from scale.training.sample import plan_parts
from scale.training.train import PartitionedOptions, main, train_partitioned
from training import adult
from training.data.describe import describe_features
from training.data.prepare import pipeline_frame, targets
from training.data.synthetic import synthesize
from training.dataset import Dataset
from training.errors import DataError, TrainingError
from training.export.distributions import trained_distributions
from training.model.evaluation import Scored, measure
from training.model.pipeline import build_pipeline
from training.model.score import parse_score

ROWS = 8_000
SCORE = parse_score("f2", "binary_classification")
PARAMETERS = {"n_estimators": 25, "max_depth": 4, "learning_rate": 0.2, "subsample": 0.9, "scale_pos_weight": 2.0}


@pytest.fixture(scope="module")
def folder(census) -> Path:
    """A census in three files."""
    return census(ROWS, 3500)


@pytest.fixture(scope="module")
def opened(folder) -> Partitions:
    return open_partitions(adult.DATASET, folder)


@pytest.fixture
def small_batches(monkeypatch):
    """Several batches a file, several files: as with large data."""
    monkeypatch.setattr(partitions, "BATCH_ROWS", 1500)


def write(folder: Path, frame: pl.DataFrame, dataset: Dataset = adult.DATASET) -> Partitions:
    frame.write_parquet(folder / "rows.parquet")
    return open_partitions(dataset, folder)


def read(opened: Partitions, part: DrawRange) -> pl.DataFrame:
    return pl.concat(frame for partition in opened.partitions for frame in partition.read(part))


def test_every_pass_splits_the_rows_alike_whatever_the_batches_are(opened, monkeypatch):
    plan = plan_parts(adult.DATASET, ROWS, 2000)
    parts = (plan.held_out, plan.validation, plan.training)
    first = [read(opened, part) for part in parts]
    monkeypatch.setattr(partitions, "BATCH_ROWS", 999)
    again = [read(opened, part) for part in parts]
    assert all(one.equals(two) for one, two in zip(first, again, strict=True))
    assert sum(part.height for part in first) == ROWS
    assert [part.height / ROWS for part in first] == pytest.approx([0.33, 0.067, 0.603], abs=0.015)
    shares = [targets(adult.DATASET, part).mean() for part in first]
    assert max(shares) - min(shares) < 0.05


def test_the_plan_bounds_what_is_kept_in_memory():
    plan = plan_parts(adult.DATASET, 100_000_000, 200_000)
    assert plan.sample.high - plan.sample.low == pytest.approx(0.002)
    assert plan.validation.high - plan.validation.low == pytest.approx(0.005)
    assert plan.reference.high == pytest.approx(0.0002)
    few = plan_parts(adult.DATASET, 100, 200_000)
    assert (few.sample.high, few.reference.high) == (1, adult.DATASET.held_out_fraction)


def test_what_is_read_off_the_sample_is_what_all_training_rows_give(opened, small_batches):
    plan = plan_parts(adult.DATASET, ROWS, 600)
    rows = survey.survey(opened, plan)
    training = read(opened, plan.training)
    assert rows.training.height < 2000
    enough = adult.DATASET.min_frequency
    for feature in adult.DATASET.categorical:
        assert set(rows.training[feature.name].unique()) == set(training[feature.name].unique())
        kept, every = (frame.group_by(feature.name).len() for frame in (rows.training, training))
        frequent, in_all = (set(counts.filter(pl.col("len") >= enough)[feature.name]) for counts in (kept, every))
        assert frequent == in_all
    for feature in adult.DATASET.numeric:
        assert rows.training[feature.name].min() == training[feature.name].min()
        assert rows.training[feature.name].max() == training[feature.name].max()
    assert rows.description.training_rows == training.height
    assert rows.description.rows == ROWS
    every = read(opened, DrawRange(0, 1))
    assert rows.description.positive_fraction == pytest.approx(targets(adult.DATASET, every).mean())
    assert (rows.description.source, len(rows.description.files)) == ("synthetic", 3)


def test_distributions_are_those_of_random_rows_not_of_the_witnesses(opened, small_batches):
    plan = plan_parts(adult.DATASET, ROWS, 600)
    rows = survey.survey(opened, plan)
    sample, training = read(opened, plan.sample), read(opened, plan.training)
    assert rows.witnesses > 100
    features = describe_features(adult.DATASET, rows.training)
    held_out = Scored(np.zeros(500, dtype=np.int64), np.linspace(0, 1, 500, dtype=np.float32))
    found = trained_distributions(rows, features, held_out, 0.25)
    assert found.rows == sample.height == rows.training.height - rows.witnesses
    assert found.labels == (125, 375)
    assert sum(found.features["age"].counts) == found.rows
    assert sum(found.features["sex"].counts.values()) == found.rows
    country = found.features["native_country"]
    every = training["native_country"].drop_nulls().value_counts(name="rows")
    rare = every.filter(pl.col("rows") <= adult.DATASET.min_frequency)["rows"].sum()
    assert country.unseen == pytest.approx(rare * sample.height / training.height, rel=0.25)


def test_the_model_is_as_good_as_one_fitted_in_memory(opened, small_batches):
    plan = plan_parts(adult.DATASET, ROWS, 2000)
    rows = survey.survey(opened, plan)
    model = fit_external(rows, opened, plan, PARAMETERS, SCORE, seed=1, threads=2)
    held_out = predict_part(model.pipeline, opened, plan.held_out, "held out")
    training = read(opened, plan.training)
    features = pipeline_frame(adult.DATASET, training)
    twin = build_pipeline(adult.DATASET, PARAMETERS, rows.wide, seed=1).fit(features, targets(adult.DATASET, training))
    kept = pipeline_frame(adult.DATASET, read(opened, plan.held_out))
    probability = twin.predict_proba(kept)[:, 1]
    here, there = (
        measure(SCORE, Scored(held_out.target, scores), model.threshold) for scores in (held_out.output, probability)
    )
    assert here["pr_auc"] == pytest.approx(there["pr_auc"], abs=0.01)
    assert here["f2"] == pytest.approx(there["f2"], abs=0.02)
    assert np.abs(held_out.output - probability).mean() < 0.03
    assert model.out_of_sample.target.size == read(opened, plan.validation).height
    assert not list(Path.cwd().glob("matrix*"))


def test_one_batch_gives_the_trees_that_the_classifier_itself_would_fit(tmp_path):
    opened = write(tmp_path, synthesize(adult.DATASET, 3000, 5))
    plan = plan_parts(adult.DATASET, opened.rows, 3000)
    rows = survey.survey(opened, plan)
    model = fit_external(rows, opened, plan, PARAMETERS, SCORE, seed=1, threads=1)
    training = read(opened, plan.training)
    features = pipeline_frame(adult.DATASET, training)
    twin = build_pipeline(adult.DATASET, PARAMETERS, rows.wide, seed=1).fit(features, targets(adult.DATASET, training))
    difference = model.pipeline.predict_proba(features) - twin.predict_proba(features)
    assert np.abs(difference).max() < 1e-6


@pytest.mark.slow
def test_a_run_publishes_a_bundle_like_any_other(folder, one_trial, tmp_path, capsys):
    trained = train_partitioned(PartitionedOptions(one_trial(folder), sample_rows=2400))
    assert trained is not None
    manifest = read_manifest(tmp_path / "models")
    assert manifest == trained
    assert set(manifest.artifacts) == {"onnx", "onnx_packed", "pickle", "reference"}
    assert all(read_artifact(manifest, kind, tmp_path / "models") for kind in manifest.artifacts)
    assert re.fullmatch(
        r"F2 on out-of-fold predictions of a sample of 2,\d{3} training rows, .*", manifest.study.objective
    )
    assert manifest.parity.label_mismatches == 0
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert sum(manifest.metrics.held_out[name] for name in counts) == manifest.data.held_out_rows
    assert manifest.metrics.held_out["roc_auc"] > 0.85
    assert (tmp_path / "reports/report.md").exists()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda rows: rows.drop("age"), "rows.parquet: column 'age' is missing; there are 'workclass'"),
        (lambda rows: rows.with_columns(pl.lit("odd").alias("education")), "has unranked values ['odd']"),
        (
            lambda rows: rows.with_columns(pl.lit("forty").alias("age")),
            "column 'age' is String, but",
        ),
        (
            lambda rows: rows.with_columns(pl.lit(float("nan")).alias("age")),
            "has NaN (write missing as null) or",
        ),
        (
            lambda rows: rows.with_columns(pl.lit(None, dtype=pl.String).alias("sex")),
            "has 300 nulls, but is not",
        ),
        (lambda rows: rows.with_columns(pl.lit(None, dtype=pl.String).alias("workclass")), "no value in any row"),
        (lambda rows: rows.with_columns(pl.lit("rich").alias("income")), "has the labels 'rich', but the classes are"),
        (lambda rows: rows.with_columns(pl.lit("<=50K").alias("income")), "no row has the income '>50K'"),
        (lambda rows: rows.head(1), "are too few to be split"),
    ],
)
def test_rows_that_are_not_what_the_data_set_declares(change, problem, tmp_path):
    def check(rows: pl.DataFrame) -> None:
        opened = write(tmp_path, rows)
        survey.survey(opened, plan_parts(adult.DATASET, opened.rows, 100))

    rows = change(synthesize(adult.DATASET, 300, 5))
    with pytest.raises(DataError) as caught:
        check(rows)
    assert problem in str(caught.value)


def test_integers_stand_for_numbers_and_categories_for_strings(tmp_path):
    rows = synthesize(adult.DATASET, 300, 5)
    plain = read(write(tmp_path, rows), DrawRange(0, 1))
    mixed = rows.with_columns(pl.col("age").cast(pl.Int8), pl.col("sex").cast(pl.Categorical))
    assert read(write(tmp_path, mixed), DrawRange(0, 1)).equals(plain)


def test_a_folder_without_parquet_or_with_something_else_named_so(tmp_path, capsys):
    folders = ["--models", str(tmp_path / "models"), "--reports", str(tmp_path / "reports")]
    arguments = ["--engine", "external", "--data-dir", str(tmp_path), *folders]
    assert main(arguments) == 1
    assert "no .parquet file there; ENGINE=external and dask train on such files" in capsys.readouterr().err
    (tmp_path / "a.parquet").write_text("no parquet")
    assert main(arguments) == 1
    assert f"error: {tmp_path / 'a.parquet'}: can't be read" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_what_is_no_partition_is_refused_by_name_or_left_out_if_asked(tmp_path):
    rows = synthesize(adult.DATASET, 30, 5)
    rows.write_parquet(tmp_path / "a.PARQUET")
    (tmp_path / "deep").mkdir()
    rows.write_parquet(tmp_path / "deep/b.pq")
    (tmp_path / "_SUCCESS").touch()
    opened = open_partitions(adult.DATASET, tmp_path)
    assert [(partition.path.name, partition.rows) for partition in opened.partitions] == [
        ("a.PARQUET", 30),
        ("b.pq", 30),
    ]
    assert opened.left_out == (f"{tmp_path / '_SUCCESS'}: no data, by its name",)
    rows.write_csv(tmp_path / "c.csv")
    rows.drop("age").write_parquet(tmp_path / "d.parquet")
    (tmp_path / "e.parquet").write_text("no parquet")
    with pytest.raises(DataError) as caught:
        open_partitions(adult.DATASET, tmp_path)
    lines = str(caught.value).splitlines()
    assert lines[0] == "3 files can't be read; SKIP=1 reads the other files"
    assert lines[1] == f"  {tmp_path / 'c.csv'}: is no Parquet file"
    assert lines[2].startswith(f"  {tmp_path / 'd.parquet'}: column 'age' is missing")
    assert lines[3].startswith(f"  {tmp_path / 'e.parquet'}: can't be read")
    opened = open_partitions(adult.DATASET, tmp_path, skip=True)
    assert opened.rows == 60
    assert [partition.number for partition in opened.partitions] == [0, 1]
    assert len(opened.left_out) == 4


def test_files_without_rows_and_a_source_beside_the_files(tmp_path):
    synthesize(adult.DATASET, 5, 1).clear().write_parquet(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="files there have no rows"):
        open_partitions(adult.DATASET, tmp_path)
    with pytest.raises(SystemExit, match="2"):
        main(["--engine", "external", "--data", "synthetic", "--data-dir", str(tmp_path)])


def test_a_failing_file_ends_the_fit_with_its_own_error(tmp_path):
    opened = write(tmp_path, synthesize(adult.DATASET, 1000, 5))
    plan = plan_parts(adult.DATASET, opened.rows, 500)
    rows = survey.survey(opened, plan)
    (tmp_path / "rows.parquet").unlink()
    with pytest.raises(DataError, match=r"rows\.parquet: can't be read"):
        fit_external(rows, opened, plan, PARAMETERS, SCORE, seed=1, threads=1)


def test_ctrl_c_while_xgboost_reads_is_ctrl_c_and_no_error_of_its_own(opened, small_batches, monkeypatch):
    plan = plan_parts(adult.DATASET, opened.rows, 500)
    rows = survey.survey(opened, plan)
    read, original = [], partitioned.EncodedBatches.next

    def pressed(self, input_data):
        signal.raise_signal(signal.SIGINT)
        read.append(self)
        return original(self, input_data)

    monkeypatch.setattr(partitioned.EncodedBatches, "next", pressed)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            fit_external(rows, opened, plan, PARAMETERS, SCORE, seed=1, threads=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert len(read) == 1


def test_a_temporary_folder_without_room_is_told_before_xgboost_fails(opened, monkeypatch):
    plan = plan_parts(adult.DATASET, opened.rows, 500)
    rows = survey.survey(opened, plan)
    monkeypatch.setattr(external.shutil, "disk_usage", lambda folder: SimpleNamespace(free=10_000))
    with pytest.raises(TrainingError, match=r"0\.0 GB are free, but .* set TMPDIR to a folder with room"):
        fit_external(rows, opened, plan, PARAMETERS, SCORE, seed=1, threads=1)


def test_files_of_several_sources_are_just_parquet(tmp_path):
    frame = synthesize(adult.DATASET, 10, 5)
    frame.write_parquet(tmp_path / "a.parquet", metadata={"source": "synthetic"})
    frame.write_parquet(tmp_path / "b.parquet")
    (tmp_path / "_temporary.parquet").touch()
    assert open_partitions(adult.DATASET, tmp_path).source == "parquet"
    assert DrawRange(0.2, 0.4).of(frame, np.linspace(0, 0.9, 10)).equals(frame[2:4])
