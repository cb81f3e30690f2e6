"""From raw rows to what the pipeline is fitted on, and to the graph's inputs."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from bundle.graph_names import CATEGORICAL, NUMERIC
from bundle.manifest import Tokens
from bundle.training_record import Data
from training.data.checks import check_frame, check_size, check_split
from training.data.sources import RawRows
from training.dataset import Dataset, Date, Nominal, Ordinal
from training.model.pipeline import wide_columns
from training.model.score import Target

Feeds = dict[str, NDArray[Any]]
"""Inputs of a graph."""


@dataclass(frozen=True)
class PreparedRows:
    """`training` and `held_out` as the data set gave them; `features` are the training rows as the pipeline takes them.

    The targets are class indices (int64) or values (float64), [training rows] and [held-out rows]. The last `witnesses`
    training rows were chosen for what they show, such as a rare category, not at random.
    """

    dataset: Dataset
    training: pl.DataFrame
    held_out: pl.DataFrame
    features: pl.DataFrame
    target: Target
    held_out_target: Target
    description: Data
    witnesses: int = 0

    @cached_property
    def tokens(self) -> Tokens:
        """What stands for missing and unseen categories in the graphs that are made from these rows."""
        return choose_tokens(self.dataset, self.training, self.held_out)

    @cached_property
    def wide(self) -> tuple[str, ...]:
        """Nominal features of too many categories for one-hot columns."""
        return wide_columns(self.dataset, self.training)


def prepare_rows(dataset: Dataset, rows: RawRows) -> PreparedRows:
    """Check the rows and split them.

    Raises:
        DataError: the frame isn't what the data set declares, or has too few rows of a class to be cross-validated.
    """
    frame = check_frame(dataset, rows.frame)
    check_size(dataset, frame)
    training, held_out = split(dataset, frame)
    target, held_out_target = targets(dataset, training), targets(dataset, held_out)
    check_split(dataset, training, target)
    every = targets(dataset, frame)
    description = Data(
        source=rows.source,
        files=rows.files,
        rows=frame.height,
        training_rows=training.height,
        held_out_rows=held_out.height,
        positive_fraction=float(every.mean()) if dataset.task == "binary_classification" else None,
        split_seed=dataset.split_seed,
    )
    features = pipeline_frame(dataset, training)
    return PreparedRows(dataset, training, held_out, features, target, held_out_target, description)


def pipeline_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The feature columns as the pipeline takes them: a missing category is null, a missing number NaN.

    Booleans are 1 and 0, dates days since 1970-01-01.
    """
    columns = []
    for feature in dataset.features:
        column = pl.col(feature.name)
        if isinstance(feature, Date):
            column = column.cast(pl.Int32)
        if not isinstance(feature, Ordinal | Nominal):
            column = column.cast(pl.Float64).fill_null(float("nan"))
        columns.append(column)
    return frame.select(columns)


def packed_feeds(dataset: Dataset, features: pl.DataFrame, tokens: Tokens) -> Feeds:
    """The rows of a `pipeline_frame` as the packed graph's inputs: string [rows, categorical], float32 [rows, numeric].

    An input without columns is left out, as the graph leaves it out.
    """
    categorical = features.select(feature.name for feature in dataset.categorical).fill_null(tokens.missing)
    numeric = features.select(feature.name for feature in dataset.numeric)
    arrays = ((CATEGORICAL, categorical.to_numpy().astype(object)), (NUMERIC, numeric.to_numpy().astype(np.float32)))
    return {name: np.ascontiguousarray(array) for name, array in arrays if array.shape[1]}


def choose_tokens(dataset: Dataset, *frames: pl.DataFrame) -> Tokens:
    """What stands for a missing and for an unseen category in the graph; neither is a value of the given rows."""
    taken: set[str | None] = set()
    for feature in dataset.categorical:
        taken.update(feature.categories if isinstance(feature, Ordinal) else ())
        taken.update(*(frame[feature.name].unique() for frame in frames))
    return unused_tokens(taken)


def unused_tokens(taken: Collection[str | None]) -> Tokens:
    """Tokens that are none of the strings in `taken`."""
    return Tokens(missing=_unused("missing", taken), unseen=_unused("unseen", taken))


def _unused(word: str, taken: Collection[str | None]) -> str:
    spellings = (f"\N{REPLACEMENT CHARACTER}{word}{number or ''}" for number in count())
    return next(spelling for spelling in spellings if spelling not in taken)


def split(dataset: Dataset, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out rows: stratified by class, with the data set's own seed and fraction."""
    training, held_out = train_test_split(
        range(frame.height),
        test_size=dataset.held_out_fraction,
        stratify=frame[dataset.target].to_list() if dataset.classes else None,
        random_state=dataset.split_seed,
    )
    return frame[training], frame[held_out]


def targets(dataset: Dataset, frame: pl.DataFrame) -> Target:
    """The target as class indices (int64), or as values (float64)."""
    column = frame[dataset.target]
    if not dataset.classes:
        return column.to_numpy().astype(np.float64)
    indices = np.zeros(frame.height, dtype=np.int64)
    for index, label in enumerate(dataset.classes):
        indices[(column == label).to_numpy()] = index
    return indices
