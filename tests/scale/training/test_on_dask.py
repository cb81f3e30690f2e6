"""Training on a Dask cluster: the same survey, nearly the same trees, and what is said when a worker fails."""

import dataclasses
import os
import signal
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from distributed import Client

from bundle.manifest import read_manifest
from scale.training import dask_trees
from scale.training.dask_trees import deal
from scale.training.external import fit_external
from scale.training.on_dask import OnDask
from scale.training.partitioned import predict_part
from scale.training.partitions import Partition, open_partitions
from scale.training.sample import plan_parts, survey
from scale.training.train import PartitionedOptions, main, train_partitioned
from tests.scale.dask_cluster import local_cluster
from training import adult
from training.errors import DataError, TrainingError
from training.model.score import parse_score

ROWS = 6_000
SCORE = parse_score("f2", "binary_classification")
PARAMETERS = {"n_estimators": 10, "max_depth": 4, "learning_rate": 0.3}


@pytest.fixture(scope="module")
def folder(census) -> Path:
    """A census in three files."""
    return census(ROWS, 2500)


@pytest.fixture(scope="module")
def engine(folder, scheduler) -> OnDask:
    opened = open_partitions(adult.DATASET, folder)
    return OnDask(opened, plan_parts(adult.DATASET, opened.rows, 1000), scheduler)


def test_the_survey_is_the_one_of_a_single_process(engine):
    there, here = engine.prepare(), survey(engine.partitions, engine.plan)
    assert there.training.equals(here.training)
    assert there.held_out.equals(here.held_out)
    assert there.description == here.description


def test_the_model_is_close_to_that_of_the_external_engine(engine):
    rows = survey(engine.partitions, engine.plan)
    model = engine.fit(rows, PARAMETERS, SCORE, seed=1)
    twin = fit_external(rows, engine.partitions, engine.plan, PARAMETERS, SCORE, seed=1, threads=1)
    assert model.booster.num_boosted_rounds() == PARAMETERS["n_estimators"]
    there = engine.score_held_out(model)
    here = predict_part(twin.pipeline, engine.partitions, engine.plan.held_out, "held out")
    assert there.target.tolist() == here.target.tolist()
    # Close, and not the same: other sketches of the columns are merged, and histograms are added in another order.
    assert np.quantile(np.abs(there.output - here.output), 0.95) < 0.01
    again = engine.fit(rows, PARAMETERS, SCORE, seed=1)
    assert again.booster.save_raw() == model.booster.save_raw()


@pytest.mark.slow
def test_a_run_publishes_a_bundle_like_any_other(folder, scheduler, one_trial, tmp_path):
    trained = train_partitioned(
        PartitionedOptions(one_trial(folder), engine="dask", sample_rows=1000, scheduler=scheduler)
    )
    assert trained == read_manifest(tmp_path / "models")
    assert trained.parity.label_mismatches == 0
    counts = ("true_positives", "false_positives", "false_negatives", "true_negatives")
    assert sum(trained.metrics.held_out[name] for name in counts) == trained.data.held_out_rows


def test_a_bad_row_on_a_worker_is_told_by_its_file(folder, scheduler, tmp_path, capsys):
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    bad = tmp_path / "part-00001.parquet"
    pl.read_parquet(bad).with_columns(pl.lit("odd").alias("education")).write_parquet(bad)
    arguments = ["--engine", "dask", "--scheduler", scheduler, "--data-dir", str(tmp_path)]
    folders = ["--models", str(tmp_path / "models"), "--reports", str(tmp_path / "reports")]
    assert main([*arguments, *folders]) == 1
    assert f"error: {bad}: {adult.DATASET.name}: column 'education' has unranked" in capsys.readouterr().err
    assert not (tmp_path / "models").exists()


def test_one_workers_failure_is_told_by_its_own_words_and_not_by_the_others(engine):
    rows = survey(engine.partitions, engine.plan)
    first, *others = engine.partitions.partitions
    gone = dataclasses.replace(first, path=Path("/nowhere/a.parquet"))
    broken = dataclasses.replace(engine.partitions, partitions=(gone, *others))
    with pytest.raises(DataError, match=r"/nowhere/a\.parquet: can't be read"):
        dataclasses.replace(engine, partitions=broken).fit(rows, PARAMETERS, SCORE, seed=1)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_and_frees_the_other_one(engine, monkeypatch):
    rows, wait, killed = survey(engine.partitions, engine.plan), dask_trees.wait, []
    options = {"n_workers": 2, "threads_per_worker": 1, "processes": True, "silence_logs": 50}
    with local_cluster(**options) as cluster, Client(cluster, loop=cluster.loop) as client:

        def killing(*arguments, **options):
            if not killed:
                killed.append(cluster.workers[1].pid)
                os.kill(cluster.workers[1].pid, signal.SIGKILL)
            return wait(*arguments, **options)

        monkeypatch.setattr(dask_trees, "wait", killing)
        mortal = dataclasses.replace(engine, scheduler=cluster.scheduler_address)
        with pytest.raises(TrainingError, match=r"worker tcp://.* was lost while trees were grown"):
            mortal.fit(rows, {**PARAMETERS, "n_estimators": 100_000}, SCORE, seed=1)
        assert client.submit(os.getpid, workers=[cluster.workers[0].worker_address]).result()


def test_too_little_memory_is_told_before_it_is_used(engine, monkeypatch):
    monkeypatch.setattr(dask_trees, "WORKER_BYTES", 1e15)
    rows = survey(engine.partitions, engine.plan)
    with pytest.raises(TrainingError, match=r"in each of 2 workers, but one is limited to .* GB; add workers, or use"):
        engine.fit(rows, PARAMETERS, SCORE, seed=1)


def test_files_are_dealt_by_their_rows():
    files = [Partition(adult.DATASET, Path(f"{number}"), number, rows) for number, rows in enumerate((10, 70, 30, 40))]
    assert [[file.number for file in share] for share in deal(files, 2)] == [[0, 1], [2, 3]]
    assert len(deal(files, 9)) == 4


def test_the_scheduler_is_for_dask_only(tmp_path, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["--engine", "external", "--scheduler", "tcp://127.0.0.1:1"])
    with pytest.raises(SystemExit, match="2"):
        main(["--engine", "dask", "--data", "synthetic"])
    assert "unrecognized arguments: --data synthetic" in capsys.readouterr().err
