"""Fixtures that several packages' tests share: a small bundle, trained once per test run by the real code."""

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# Before XGBoost is loaded, here and in the processes that tests start: a second thread is no faster on so few rows, and
# waiting for it costs as much CPU time again.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from bundle.manifest import Manifest
from tests.dask_cluster import local_cluster
from training import adult
from training.dataset import Dataset
from training.train import Options, train

TRAINED_ROWS = 3000


@pytest.fixture(scope="session")
def small_dataset() -> Dataset:
    """The data set of the repository, with few synthetic rows."""
    return dataclasses.replace(adult.DATASET, synthetic_rows=TRAINED_ROWS)


@pytest.fixture(scope="session")
def training_options(small_dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Options:
    """Options of a run of two trials on synthetic rows, into a temporary folder."""
    folder = tmp_path_factory.mktemp("trained")
    return Options(
        dataset=small_dataset,
        data="synthetic",
        data_dir=folder / "data",
        trials=2,
        seed=42,
        storage=f"sqlite:///{folder / 'study.db'}",
        fresh=False,
        if_missing=False,
        tune_only=False,
        models=folder / "models",
        reports=folder / "reports",
    )


@pytest.fixture(scope="session")
def manifest(training_options: Options) -> Manifest:
    """The manifest of the small bundle, which is trained when it is first asked for."""
    trained = train(training_options)
    assert trained is not None
    return trained


@pytest.fixture(scope="session")
def models(manifest: Manifest, training_options: Options) -> Path:
    """The folder of the small bundle. Not to be changed: copy it."""
    return training_options.models


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    """The address of a Dask scheduler with two workers, all of them threads of this process.

    They end with the module: they draw random numbers, which Hypothesis takes for its own tests' doing.
    """
    with local_cluster(n_workers=2, threads_per_worker=1, processes=False) as cluster:
        yield cluster.scheduler_address
