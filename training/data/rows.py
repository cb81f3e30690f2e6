"""The rows of a run, prepared once: split, missing values filled, target as class indices."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bundle.manifest import Data
from training.data.features import check_frame, fill_missing, split
from training.data.sources import Rows
from training.dataset import Dataset
from training.errors import DataError
from training.model.folds import FOLDS


@dataclass(frozen=True)
class PreparedRows:
    """`training` and `held_out` as the data set gave them; `features` are the training rows as the pipeline takes them.

    The targets are int64 class indices, [training rows] and [held-out rows].
    """

    dataset: Dataset
    training: pl.DataFrame
    held_out: pl.DataFrame
    features: pl.DataFrame
    target: NDArray[np.int64]
    held_out_target: NDArray[np.int64]
    description: Data


def prepare_rows(dataset: Dataset, rows: Rows) -> PreparedRows:
    """Check the rows and split them.

    Raises:
        DataError: the frame isn't what the data set declares, or has too few rows of a class to be cross-validated.
    """
    check_frame(dataset, rows.frame)
    training, held_out = split(dataset, rows.frame)
    target, held_out_target = class_indices(dataset, training), class_indices(dataset, held_out)
    check_split(dataset, training, target)
    description = Data(
        source=rows.source,
        files=rows.files,
        rows=rows.frame.height,
        training_rows=training.height,
        held_out_rows=held_out.height,
        positive_fraction=float(class_indices(dataset, rows.frame).mean()),
        split_seed=dataset.split_seed,
    )
    features = fill_missing(dataset, training)
    return PreparedRows(dataset, training, held_out, features, target, held_out_target, description)


def check_split(dataset: Dataset, training: pl.DataFrame, target: NDArray[np.int64]) -> None:
    """Every fold needs rows of both classes, and every feature a value to be described by.

    Raises:
        DataError: one hasn't.
    """
    for index, label in enumerate(dataset.classes):
        rows = int((target == index).sum())
        if rows < FOLDS:
            raise DataError(f"{dataset.name}: only {rows} training rows are {label!r}; {FOLDS} are needed")
    for feature in dataset.features:
        if training[feature.name].null_count() == training.height:
            raise DataError(f"{dataset.name}: column {feature.name!r} has no value in any training row")


def class_indices(dataset: Dataset, frame: pl.DataFrame) -> NDArray[np.int64]:
    """The target as class indices."""
    return (frame[dataset.target] == dataset.classes[1]).to_numpy().astype(np.int64)
