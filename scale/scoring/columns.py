"""Feature columns as the manifest describes them: what a file must have, and the first row where it has not."""

from collections.abc import Iterable
from pathlib import Path

import polars as pl

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import Feature
from scale.scoring.errors import InputError


def check_schema(features: Iterable[Feature], schema: pl.Schema, path: Path) -> None:
    """Check names and types, before a row is read. Columns that are no features may be there, too.

    Raises:
        InputError: a feature has no column, or one of another type.
    """
    for feature in features:
        if feature.name not in schema:
            raise InputError(f"{path}: column {feature.name!r} is missing")
        kind, expected = schema[feature.name], "numbers" if feature.kind == "numeric" else "strings"
        if not _fits(feature, kind, is_text=path.suffix == ".csv"):
            raise InputError(f"{path}: column {feature.name!r} is {kind}, but {expected} are needed")


def _fits(feature: Feature, kind: pl.DataType, *, is_text: bool) -> bool:
    if kind == pl.Null or is_text:
        return True
    if feature.kind == "numeric":
        return kind.is_numeric()
    return kind in (pl.String, pl.Categorical, pl.Enum)


def read_features(features: Iterable[Feature], frame: pl.DataFrame, path: Path, offset: int) -> pl.DataFrame:
    """The features' columns as Float64 and String, null where missing. `offset` rows of the file stand before these.

    Raises:
        InputError: names the first bad row, counted from 1 in the file (of CSV without the header).
    """
    columns: list[pl.Series] = []
    bad: list[tuple[int, str]] = []
    for feature in features:
        given = frame[feature.name]
        read = given.cast(pl.Float64 if feature.kind == "numeric" else pl.String, strict=False)
        columns.append(read)
        wrong = _is_wrong(feature, given, read)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            bad.append((row, f"column {feature.name!r}: {_describe(given[row])}"))
    if bad:
        row, problem = min(bad)
        raise InputError(f"{path}, row {offset + row + 1}, {problem}")
    return pl.DataFrame(columns)


def _is_wrong(feature: Feature, given: pl.Series, read: pl.Series) -> pl.Series:
    """Bool [rows]: nulls that may not be, and numbers that aren't any, aren't finite, or are beyond float32."""
    right = read.is_not_null()
    if feature.kind == "numeric":
        right &= (read.abs() <= FLOAT32_MAX).fill_null(value=False)  # polars sorts NaN above all numbers
    return ~right & given.is_not_null() if feature.nullable else ~right


def _describe(value: object) -> str:
    if value is None:
        return "null, but the feature is not nullable"
    return f"{value!r} is not a number within float32's range"
