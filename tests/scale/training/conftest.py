"""Runs of training on partitions, in small."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from scale.training.synthetic_parquet import write_synthetic
from training import adult
from training.options import Options


@pytest.fixture(scope="module")
def census(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """Make a folder with so many rows, in files of so many."""

    def make(rows: int, part_rows: int) -> Path:
        folder = tmp_path_factory.mktemp("census") / "rows"
        write_synthetic(adult.DATASET, rows, folder, seed=3, part_rows=part_rows)
        return folder

    return make


@pytest.fixture
def one_trial(training_options: Options, tmp_path: Path) -> Callable[[Path], Options]:
    """The options of a run of one trial on a folder's rows, which leaves everything in `tmp_path`."""
    return lambda folder: dataclasses.replace(
        training_options,
        dataset=adult.DATASET,
        data_dir=folder,
        trials=1,
        storage=f"sqlite:///{tmp_path / 'study.db'}",
        models=tmp_path / "models",
        reports=tmp_path / "reports",
    )
