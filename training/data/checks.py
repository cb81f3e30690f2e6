"""Check that rows are what a data set declares. All problems are reported at once."""

from collections.abc import Iterator

import polars as pl

from bundle.manifest import ClassLabel
from training.data.table_files import explain_missing
from training.data.typed import describe_problems
from training.dataset import Boolean, Dataset, Date, FeatureSpec, Nominal, Numeric, Ordinal, feature_names
from training.errors import DataError
from training.model.folds import FOLDS
from training.model.score import Target


def check_frame(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The features and the target as they are declared; `Dataset.parse` has reported single bad values already.

    Raises:
        DataError: as `check_values`, or a column is empty, or a class has no row.
    """
    checked = check_values(dataset, frame)
    check_presence(dataset, checked)
    return checked


def check_values(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The features and the target as Float64, Int64, Boolean, Date and String columns, checked in every row.

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
    """The types that the features and the target have once they are checked."""
    kinds: dict[type, pl.DataType] = {bool: pl.Boolean(), int: pl.Int64(), str: pl.String()}
    target = kinds[type(dataset.classes[0])] if dataset.classes else pl.Float64()
    return {**{feature.name: _TYPES[type(feature)] for feature in dataset.features}, dataset.target: target}


def as_declared(dataset: Dataset, frame: pl.DataFrame) -> pl.DataFrame:
    """The features and the target that are there, cast to their declared types where their own types hold the same
    values: any type of numbers, and polars' types of categories.
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
        yield f"has {column.null_count():,} nulls; leave rows with nulls out"
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
    """Python takes True and 1 for equal; here they are different labels."""
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
        DataError: there are too few rows, or too few of a class.
    """
    needed = FOLDS + 1
    counts = {label: int((frame[dataset.target] == label).sum()) for label in dataset.classes} or {"": frame.height}
    few = [
        f"{count:,} rows{f' of {label!r}' if label != '' else ''}" for label, count in counts.items() if count < needed
    ]
    if few:
        raise DataError(f"{dataset.name}: only {', '.join(few)}; at least {needed} are needed")


def check_split(dataset: Dataset, training: pl.DataFrame, target: Target) -> None:
    """Check that there are rows of each class for every fold, and that every feature has a value to describe it by.

    Raises:
        DataError: a class has too few rows, or a feature has no value. The message names all of them.
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
