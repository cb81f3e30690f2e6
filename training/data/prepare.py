"""From raw rows to what the pipeline is fitted on: checked, split, and described."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.model_selection import train_test_split

from bundle.graph_names import CATEGORICAL, NUMERIC
from bundle.manifest import ClassLabel, Feature, Tokens
from bundle.training_record import Data
from training.data.sources import RawRows
from training.data.table_files import explain_missing
from training.data.typed import days, describe_problems
from training.dataset import Boolean, Dataset, Date, FeatureSpec, Nominal, Numeric, Ordinal, feature_names
from training.errors import DataError
from training.model.folds import FOLDS
from training.model.pipeline import wide_columns
from training.model.score import Target

OTHER = "other"
"""The example of a nominal feature all of whose categories are rare: as good as any of them."""

Feeds = dict[str, NDArray[Any]]
"""Inputs of a graph."""


@dataclass(frozen=True)
class PreparedRows:
    """`training` and `held_out` as the data set gave them; `features` are the training rows as the pipeline takes them.

    The targets are class indices (int64) or values (float64), [training rows] and [held-out rows].
    """

    dataset: Dataset
    training: pl.DataFrame
    held_out: pl.DataFrame
    features: pl.DataFrame
    target: Target
    held_out_target: Target
    description: Data

    @cached_property
    def tokens(self) -> Tokens:
        """What stands for missing and unseen categories in the graphs that are made of these rows."""
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


def check_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The features and the target as they are declared; `Dataset.parse` has reported single bad values already.

    Raises:
        DataError: as `check_values`, or a column is empty, or a class has no row.
    """
    checked = check_values(dataset, frame)
    check_presence(dataset, checked)
    return checked


def check_values(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The features and the target as Float64, Boolean, Date and String columns, if that holds for every row.

    Raises:
        DataError: columns are missing or of the wrong type, have nulls though not nullable, or have values that are
            unknown or that a model can't take. The message names all of them.
    """
    typed = as_declared(dataset, frame)
    names = (*feature_names(dataset.features), dataset.target)
    missing = [name for name in names if name not in typed.columns]
    problems = [explain_missing(missing, frame.columns)] if missing else []
    for feature in dataset.features:
        if feature.name in typed.columns:
            found = _feature_problems(feature, typed[feature.name])
            problems += [f"column {feature.name!r} {problem}" for problem in found]
    if dataset.target in typed.columns:
        found = _target_problems(dataset, typed[dataset.target])
        problems += [f"column {dataset.target!r}, the target, {problem}" for problem in found]
    if problems:
        raise DataError(f"{dataset.name}: " + describe_problems(problems))
    return typed


_TYPES: dict[type[FeatureSpec], pl.DataType] = {
    Numeric: pl.Float64(),
    Boolean: pl.Boolean(),
    Date: pl.Date(),
    Ordinal: pl.String(),
    Nominal: pl.String(),
}


def schema_of(dataset: Dataset) -> dict[str, pl.DataType]:
    """The types of the features and of the target, checked and prepared."""
    kinds: dict[type, pl.DataType] = {bool: pl.Boolean(), int: pl.Int64(), str: pl.String()}
    target = kinds[type(dataset.classes[0])] if dataset.classes else pl.Float64()
    return {**{feature.name: _TYPES[type(feature)] for feature in dataset.features}, dataset.target: target}


def as_declared(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """Those of the features and the target that are there, with their declared types where other types hold the same
    values: any number, and categories with a type of their own.
    """
    columns = [_as_declared(feature, frame[feature.name]) for feature in dataset.features if feature.name in frame]
    if dataset.target in frame.columns:
        columns.append(_as_labels(dataset, frame[dataset.target]))
    return pl.DataFrame(columns)


def _as_declared(feature: FeatureSpec, column: pl.Series) -> pl.Series:
    if isinstance(feature, Numeric) and column.dtype.is_numeric():
        return column.cast(pl.Float64)
    if isinstance(feature, Ordinal | Nominal) and column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    return column.cast(_TYPES[type(feature)]) if column.dtype == pl.Null else column


def _as_labels(dataset: Dataset, column: pl.Series) -> pl.Series:
    if column.dtype in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if column.dtype.is_integer():
        return column.cast(pl.Int64 if dataset.classes else pl.Float64)
    return column.cast(pl.Float64) if column.dtype == pl.Float32 else column


def _feature_problems(feature: FeatureSpec, column: pl.Series) -> Iterator[str]:
    expected = _TYPES[type(feature)]
    if column.dtype != expected:
        kinds = [kind.__name__ for kind, dtype in _TYPES.items() if dtype == column.dtype]
        hint = f"; or declare it as {' or '.join(kinds)}" if kinds else ""
        yield f"is {column.dtype}, but {type(feature).__name__} needs {expected}{hint}"
        return
    if column.null_count() and not feature.nullable:
        yield f"has {column.null_count():,} nulls, but is not nullable"
    seen = column.drop_nulls()
    if isinstance(feature, Numeric):
        if not seen.cast(pl.Float32).is_finite().all():
            yield "has NaN (write missing as null) or values out of float32 range"
        elif feature.integer and (seen != seen.round()).any():
            yield "has fractions, but is declared an integer"
    if isinstance(feature, Ordinal) and (unranked := sorted(set(seen) - set(feature.categories))):
        yield f"has unranked values {unranked[:20]}"


def _target_problems(dataset: Dataset, column: pl.Series) -> Iterator[str]:
    if column.null_count():
        yield f"has {column.null_count():,} nulls; leave rows without it out"
    if not dataset.classes:
        if column.dtype != pl.Float64:
            yield f"is {column.dtype}, but a regression needs numbers (classification: give classes)"
        elif not column.drop_nulls().is_finite().all():
            yield "has NaN or infinite values"
        return
    labels = set(column.drop_nulls().unique())
    if unknown := [label for label in labels if not _is_class(dataset, label)]:
        shown = sorted(map(repr, unknown))[:20]
        yield f"has the labels {', '.join(shown)}, but the classes are {', '.join(map(repr, dataset.classes))}"


def _is_class(dataset: Dataset, label: ClassLabel) -> bool:
    """True and 1 are equal to Python, and different labels here."""
    return any(label == one and type(label) is type(one) for one in dataset.classes)


def check_presence(dataset: Dataset, frame: pl.DataFrame) -> None:
    """Check that there is something to learn from.

    Raises:
        DataError: a column has no value in any row, or a class has no row. The message names all of them.
    """
    problems = [
        f"column {feature.name!r} has no value in any row"
        for feature in dataset.features
        if frame[feature.name].null_count() == frame.height
    ]
    labels = set(frame[dataset.target].unique())
    problems += [f"no row has the {dataset.target} {label!r}" for label in dataset.classes if label not in labels]
    if problems:
        raise DataError(f"{dataset.name}: " + describe_problems(problems))


def check_size(dataset: Dataset, frame: pl.DataFrame) -> None:
    """Check that the rows can be split and cross-validated.

    Raises:
        DataError: there are too few of them, or of a class.
    """
    needed = FOLDS + 1
    counts = {label: int((frame[dataset.target] == label).sum()) for label in dataset.classes} or {"": frame.height}
    few = [
        f"{count:,} rows{f' of {label!r}' if label != '' else ''}" for label, count in counts.items() if count < needed
    ]
    if few:
        raise DataError(f"{dataset.name}: only {', '.join(few)}; at least {needed} are needed")


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
    """Training and held-out rows: stratified by class, by the data set's own seed and fraction."""
    training, held_out = train_test_split(
        range(frame.height),
        test_size=dataset.held_out_fraction,
        stratify=frame[dataset.target].to_list() if dataset.classes else None,
        random_state=dataset.split_seed,
    )
    return frame[training], frame[held_out]


def check_split(dataset: Dataset, training: pl.DataFrame, target: Target) -> None:
    """Every fold needs rows of each class, and every feature a value to be described by.

    Raises:
        DataError: one hasn't. The message names all of them.
    """
    problems = []
    for index, label in enumerate(dataset.classes):
        rows = int((target == index).sum())
        if rows < FOLDS:
            problems.append(f"only {rows} training rows are {label!r}; {FOLDS} are needed")
    problems += [
        f"column {feature.name!r} has no value in any training row"
        for feature in dataset.features
        if training[feature.name].null_count() == training.height
    ]
    if problems:
        raise DataError(f"{dataset.name}: " + describe_problems(problems))


def targets(dataset: Dataset, frame: pl.DataFrame) -> Target:
    """The target as class indices (int64), or as values (float64)."""
    column = frame[dataset.target]
    if not dataset.classes:
        return column.to_numpy().astype(np.float64)
    indices = np.zeros(frame.height, dtype=np.int64)
    for index, label in enumerate(dataset.classes):
        indices[(column == label).to_numpy()] = index
    return indices


def describe_features(dataset: Dataset, training: pl.DataFrame, wide: Collection[str] = ()) -> tuple[Feature, ...]:
    """What the manifest says of each feature, as seen in the training rows; `wide` ones are target-encoded."""
    return tuple(_describe(spec, training[spec.name], dataset, spec.name in wide) for spec in dataset.features)


def _describe(spec: FeatureSpec, column: pl.Series, dataset: Dataset, wide: bool) -> Feature:  # noqa: FBT001
    # The example is the typical value of each column by itself: a real row is nobody's business but its owner's.
    common: dict[str, Any] = {"name": spec.name, "nullable": spec.nullable, "description": spec.description}
    seen = column.drop_nulls()
    if isinstance(spec, Boolean):
        return Feature(kind="boolean", example=_most_frequent(seen), **common)
    if isinstance(spec, Date):
        ordered: list[date] = seen.sort().to_list()
        low, middle, high = ordered[0], ordered[len(ordered) // 2], ordered[-1]
        return Feature(kind="date", example=str(middle), minimum=float(days(low)), maximum=float(days(high)), **common)
    if isinstance(spec, Numeric):
        values = seen.to_numpy()
        example = int(_most_frequent(seen)) if spec.integer else float(np.median(values))
        return Feature(
            kind="numeric", integer=spec.integer, example=example, minimum=float(values.min()),
            maximum=float(values.max()), **common,
        )  # fmt: skip
    if isinstance(spec, Ordinal):
        return Feature(kind="ordinal", categories=spec.categories, example=_most_frequent(seen), **common)
    counts = seen.alias("value").value_counts(name="rows")
    frequent = pl.col("rows") >= dataset.min_frequency
    often, rare = counts.filter(frequent)["value"], counts.filter(~frequent)["value"]
    usual = _most_frequent(seen) if len(often) else OTHER
    # one-hot columns treat a rare category as one never seen, so that the services needn't know it
    known = tuple(sorted(rare)) if wide else ()
    return Feature(kind="nominal", categories=tuple(sorted(often)), rare=known, example=usual, **common)


def _most_frequent(seen: pl.Series) -> Any:  # noqa: ANN401 - a float, a string or a boolean, as the column is
    counts = seen.alias("value").value_counts(name="rows")
    return counts.sort(["rows", "value"], descending=[True, False])["value"][0]
