"""What the study's commands have in common: the data set, and how much is measured."""

import argparse
from pathlib import Path

from bundle.command_line import file_path, whole_number
from training.data.prepare import PreparedRows, prepare_rows
from training.data.sources import AUTO, RawRows, load_rows
from training.dataset import Dataset
from training.options import MOST_SEED, load_dataset


def add_data_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `make train` that say which rows, and `--fast`."""
    parser.add_argument("--dataset", type=load_dataset, default="training.adult", help="module with a DATASET")
    parser.add_argument("--data", default=AUTO, help="auto, the data set's own source, or synthetic")
    parser.add_argument("--data-dir", type=file_path, default=Path("data/adult"), help="folder of the raw files")
    parser.add_argument("--seed", type=whole_number(0, MOST_SEED), default=42, help="seed of the models and the sample")
    parser.add_argument("--fast", action="store_true", help="fewer training rows and shorter rounds")


def load(dataset: Dataset, data: str, folder: Path, *, seed: int, most_rows: int | None = None) -> PreparedRows:
    """The data set's rows, split. `most_rows` limits how many there are; they are drawn by the seed.

    Raises:
        DataError, DownloadError: as `training.data.sources.load_rows` and `training.data.prepare.prepare_rows`.
    """
    loaded = load_rows(dataset, data, folder, seed=seed)
    if most_rows is not None and loaded.frame.height > most_rows:
        loaded = RawRows(loaded.frame.sample(most_rows, seed=seed), loaded.source, loaded.files)
    return prepare_rows(dataset, loaded)
