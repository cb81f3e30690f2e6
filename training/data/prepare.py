"""From raw rows to what the pipeline is fitted on: checked, split, filled, and described."""

from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from bundle.graph_names import CATEGORICAL, NUMERIC
from bundle.manifest import Feature, Tokens
from bundle.training_record import Data
from training.data.sources import RawRows
from training.dataset import Dataset, FeatureSpec, Numeric, Ordinal
from training.errors import DataError
from training.model.folds import FOLDS

Feeds = dict[str, NDArray[Any]]
"""Inputs of a graph."""


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

    @cached_property
    def tokens(self) -> Tokens:
        """What stands for missing and unseen categories in the graphs that are made of these rows."""
        return choose_tokens(self.dataset, self.training, self.held_out)


def prepare_rows(dataset: Dataset, rows: RawRows) -> PreparedRows:
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
    features = pipeline_frame(dataset, training)
    return PreparedRows(dataset, training, held_out, features, target, held_out_target, description)


def check_frame(dataset: Dataset, frame: pl.DataFrame) -> None:
    """Check that the rows are what the data set declares; `Dataset.parse` has reported single bad values already.

    Raises:
        DataError: as `check_values`, or a column is empty, or a class has no row.
    """
    check_values(dataset, frame)
    check_presence(dataset, frame)


def check_values(dataset: Dataset, frame: pl.DataFrame) -> None:
    """Check what must hold for every row.

    Raises:
        DataError: a column is missing or of the wrong type, has nulls though not nullable, or has a value that is
            unknown or that the trees can't take.
    """
    for feature in dataset.features:
        if feature.name not in frame.columns:
            raise DataError(f"{dataset.name}: column {feature.name!r} is missing")
        problem = _find_problem(feature, frame[feature.name])
        if problem:
            raise DataError(f"{dataset.name}: column {feature.name!r} {problem}")
    if dataset.target not in frame.columns:
        raise DataError(f"{dataset.name}: column {dataset.target!r} is missing")
    labels = set(frame[dataset.target].unique())
    if not labels <= set(dataset.classes):
        raise _wrong_labels(dataset, labels)


def check_presence(dataset: Dataset, frame: pl.DataFrame) -> None:
    """Check that there is something to learn from.

    Raises:
        DataError: a column has no value in any row, or a class has no row.
    """
    for feature in dataset.features:
        if frame[feature.name].null_count() == frame.height:
            raise DataError(f"{dataset.name}: column {feature.name!r} has no value in any row")
    labels = set(frame[dataset.target].unique())
    if labels != set(dataset.classes):
        raise _wrong_labels(dataset, labels)


def _wrong_labels(dataset: Dataset, labels: set[str | None]) -> DataError:
    return DataError(f"{dataset.name}: {dataset.target} has the labels {labels}, expected {set(dataset.classes)}")


def _find_problem(feature: FeatureSpec, column: pl.Series) -> str | None:
    expected = pl.Float64 if isinstance(feature, Numeric) else pl.String
    if column.dtype != expected:
        return f"is {column.dtype}, expected {expected()}"
    if column.null_count() and not feature.nullable:
        return "has nulls, but is not nullable"
    seen = column.drop_nulls()
    if isinstance(feature, Numeric) and not seen.cast(pl.Float32).is_finite().all():
        return "has NaN or values out of float32 range"
    if isinstance(feature, Ordinal) and not set(seen) <= set(feature.categories):
        return f"has unranked values {sorted(set(seen) - set(feature.categories))}"
    return None


def pipeline_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The feature columns as the pipeline takes them: a missing category is null, a missing number NaN."""
    numeric = [feature.name for feature in dataset.numeric]
    return frame.select(feature.name for feature in dataset.features).with_columns(
        pl.col(numeric).fill_null(float("nan"))
    )


def packed_feeds(dataset: Dataset, features: pl.DataFrame, tokens: Tokens) -> Feeds:
    """The rows of a `pipeline_frame` as the packed graph's inputs: string [rows, categorical], float32 [rows, numeric].

    An input without columns is left out, as the graph leaves it out.
    """
    categorical = features.select(feature.name for feature in dataset.categorical).fill_null(tokens.missing)
    numeric = features.select(feature.name for feature in dataset.numeric)
    arrays = ((CATEGORICAL, categorical.to_numpy().astype(object)), (NUMERIC, numeric.to_numpy().astype(np.float32)))
    return {name: np.ascontiguousarray(array) for name, array in arrays if array.shape[1]}


def choose_tokens(dataset: Dataset, *frames: pl.DataFrame) -> Tokens:
    """What stands for a missing and for an unseen category in the graph: no value of the given rows."""
    taken: set[str | None] = set()
    for feature in dataset.categorical:
        taken.update(feature.categories if isinstance(feature, Ordinal) else ())
        taken.update(*(frame[feature.name].unique() for frame in frames))
    return Tokens(missing=_unused("missing", taken), unseen=_unused("unseen", taken))


def _unused(word: str, taken: set[str | None]) -> str:
    spellings = (f"\N{REPLACEMENT CHARACTER}{word}{number or ''}" for number in count())
    return next(spelling for spelling in spellings if spelling not in taken)


def split(dataset: Dataset, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Training and held-out rows: stratified by the target, by the data set's own seed and fraction."""
    training, held_out = train_test_split(
        range(frame.height),
        test_size=dataset.held_out_fraction,
        stratify=frame[dataset.target].to_list(),
        random_state=dataset.split_seed,
    )
    return frame[training], frame[held_out]


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


def describe_features(dataset: Dataset, training: pl.DataFrame) -> tuple[Feature, ...]:
    """What the manifest says of each feature, as seen in the training rows (nulls not yet filled)."""
    return tuple(_describe(spec, training[spec.name]) for spec in dataset.features)


def _describe(spec: FeatureSpec, column: pl.Series) -> Feature:
    # The example is the typical value of each column by itself: a real row is nobody's business but its owner's.
    common: dict[str, Any] = {"name": spec.name, "nullable": spec.nullable, "description": spec.description}
    seen = column.drop_nulls()
    if isinstance(spec, Numeric):
        values = seen.to_numpy()
        example = int(_most_frequent(seen)) if spec.integer else float(np.median(values))
        return Feature(
            kind="numeric", example=example, minimum=float(values.min()), maximum=float(values.max()), **common
        )
    common |= {"example": _most_frequent(seen)}
    if isinstance(spec, Ordinal):
        return Feature(kind="ordinal", categories=spec.categories, **common)
    return Feature(kind="nominal", categories=tuple(sorted(set(seen))), **common)


def _most_frequent(seen: pl.Series) -> Any:  # noqa: ANN401 - a float or a string, as the column is
    counts = seen.alias("value").value_counts(name="rows")
    return counts.sort(["rows", "value"], descending=[True, False])["value"][0]
