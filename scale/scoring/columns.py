"""Feature columns as the manifest describes them: what a file must have, and the first row that doesn't fit."""

import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import polars as pl

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import CATEGORICAL_KINDS, Feature, FeatureKind
from scale.scoring.errors import InputError
from training.data.table_files import explain_missing, is_parquet

FIRST_DAY = date(1, 1, 1).toordinal() - date(1970, 1, 1).toordinal()

EXPECTED: dict[FeatureKind, str] = {
    "numeric": "numbers",
    "boolean": "booleans",
    "date": "dates",
    "ordinal": "strings",
    "nominal": "strings",
}


def check_schema(features: Iterable[Feature], schema: pl.Schema, path: Path) -> None:
    """Check names and types, before a row is read. Columns that are not features may be there, too.

    Raises:
        InputError: features have no column, or one of another type. The message names all of them.
    """
    features = list(features)
    missing = [feature.name for feature in features if feature.name not in schema]
    problems = [explain_missing(missing, list(schema))] if missing else []
    for feature in features:
        kind = schema.get(feature.name, pl.Null())
        if not _fits(feature, kind, is_text=not is_parquet(path)):
            problems.append(f"column {feature.name!r} is {kind}, but {EXPECTED[feature.kind]} are needed")
    if problems:
        raise InputError(f"{path}: {'; '.join(problems)}")


def _fits(feature: Feature, kind: pl.DataType, *, is_text: bool) -> bool:
    if kind == pl.Null or is_text:
        return True
    if feature.kind == "numeric":
        return kind.is_numeric()
    if feature.kind == "boolean":
        return kind == pl.Boolean
    if feature.kind == "date":
        return kind in (pl.Date, pl.String)
    return kind in (pl.String, pl.Categorical, pl.Enum)


def read_features(features: Iterable[Feature], frame: pl.DataFrame, path: Path, offset: int) -> pl.DataFrame:
    """The features' columns, null where missing: String for categories, Float64 for all others (booleans as 0 and 1,
    dates in days since 1970-01-01). `offset` rows of the file stand before these.

    Raises:
        InputError: names the first bad row, counted from 1 in the file (of CSV without the header).
    """
    columns: list[pl.Series] = []
    bad: list[tuple[int, str]] = []
    for feature in features:
        given = frame[feature.name]
        read = _read(feature, given)
        columns.append(read)
        wrong = _is_wrong(feature, given, read)
        if wrong.any():
            row = int(wrong.arg_max() or 0)
            told = _describe(feature, given[row], read[row], is_text=not is_parquet(path))
            bad.append((row, f"column {feature.name!r}: {told}"))
    if bad:
        row, problem = min(bad)
        raise InputError(f"{path}, row {offset + row + 1}, {problem}")
    return pl.DataFrame(columns)


def _read(feature: Feature, given: pl.Series) -> pl.Series:
    """The column as String or Float64, null for what can't be read."""
    if feature.kind in CATEGORICAL_KINDS:
        return given.cast(pl.String, strict=False)
    if given.dtype == pl.String and feature.kind == "boolean":
        numbers = {"true": 1.0, "false": 0.0}
        return given.str.to_lowercase().replace_strict(numbers, default=None, return_dtype=pl.Float64)
    if given.dtype == pl.String and feature.kind == "date":
        well_formed = given.str.contains(r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$").fill_null(value=False)
        given = given.str.to_date("%Y-%m-%d", strict=False).set(~well_formed, None)
    if given.dtype == pl.Date:
        given = given.cast(pl.Int32)
    return given.cast(pl.Float64, strict=False)


def _is_wrong(feature: Feature, given: pl.Series, read: pl.Series) -> pl.Series:
    """Bool [rows]: nulls where none are allowed, and what can't be read or isn't a value of the feature."""
    right = read.is_not_null()
    if feature.kind == "numeric":
        right &= (read.abs() <= FLOAT32_MAX).fill_null(value=False)  # polars sorts NaN above all numbers
    if feature.integer:
        right &= (read == read.round()).fill_null(value=False)
    if feature.kind == "date":
        right &= (read >= FIRST_DAY).fill_null(value=False)
    return ~right & given.is_not_null() if feature.nullable else ~right


def _describe(feature: Feature, value: object, read: float | None, *, is_text: bool) -> str:
    if value is None:
        hint = '; EMPTY=text takes "" for a text' if is_text and feature.kind in CATEGORICAL_KINDS else ""
        return f"null, but the feature is not nullable{hint}"
    if feature.kind == "boolean":
        return f"{value!r} is neither true nor false"
    if feature.kind == "date":
        return f"{value!r} is not an ISO 8601 date (YYYY-MM-DD)"
    if feature.integer and read is not None and abs(read) <= FLOAT32_MAX:
        return f"{value!r} is not a whole number"
    hint = "; decimals are written with a point" if re.fullmatch(r"[+-]?\d+,\d+", str(value)) else ""
    return f"{value!r} is not a number within float32's range{hint}"
