"""What the columns of given rows say about a model's features."""

from collections.abc import Collection, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import Feature
from training.data.describe import OTHER
from training.data.table_files import AS_NAMED, KINDS, CsvOptions, explain_missing, is_parquet, is_table, read_table
from training.data.typed import as_booleans, as_dates, as_numbers, is_missing_text
from training.errors import ConversionError, TableError

_EPOCH = date(1970, 1, 1)
MIN_FREQUENCY = 10
"""Categories of fewer rows are known to the model, and published nowhere: they could name a single person."""

LARGEST_EXACT = 1 << 24
"""Whole numbers beyond it are not all float32 numbers."""


def read_rows(
    path: Path, options: CsvOptions = AS_NAMED, *, texts: Sequence[str] = (), also_texts: Collection[str] = ()
) -> pl.DataFrame:
    """The rows of a Parquet or CSV file; a column of a CSV file is of numbers, booleans or dates if all its values are,
    unless the user (`texts`) or the model (`also_texts`) says that it is text.

    Raises:
        ConversionError: it can't be read.
    """
    if not is_table(path):
        raise ConversionError(f"ROWS={path}: a file of this kind can't be read; {KINDS} can")
    try:
        table = read_table(path, options)
    except TableError as error:
        raise ConversionError(f"ROWS={error}") from error
    if table.is_empty():
        raise ConversionError(f"ROWS={path}: has no rows to check the model on")
    print(f"input    {path}: {table.height:,} rows", flush=True)
    if unknown := [name for name in texts if name not in table.columns]:
        raise ConversionError(f"TEXT: {explain_missing(unknown, table.columns)}")
    if is_parquet(path):
        if texts:
            raise ConversionError(f"TEXT is for CSV files; ROWS={path} has types of its own")
        return table
    kept = {*texts, *also_texts}
    return pl.DataFrame([column if column.name in kept else typed(column) for column in table])


def typed(text: pl.Series) -> pl.Series:
    """A column of a CSV file as numbers, booleans or dates if all its values are; missing ones are null then."""
    given = text.filter(text.is_not_null() & ~is_missing_text(text))
    for read in (as_booleans, as_numbers, as_dates):
        if not given.is_empty() and not read(given).has_nulls():
            return read(text)
    return text


def plain(column: pl.Series) -> pl.Series:
    """The column as Float64, Boolean, Date or String; NaN is null.

    Raises:
        ConversionError: it is of a type that no feature has.
    """
    kind = column.dtype
    if kind.is_numeric():
        return column.cast(pl.Float64).fill_nan(None)
    if kind in (pl.Boolean, pl.Date, pl.String):
        return column
    if kind in (pl.Categorical, pl.Enum):
        return column.cast(pl.String)
    if kind == pl.Null:
        return column.cast(pl.Float64)
    if kind == pl.Datetime and (column.dt.time().drop_nulls() == pl.time(0)).all():
        return column.dt.date()
    if kind == pl.Object or kind.is_nested() or kind.is_temporal():
        raise ConversionError(
            f"column {column.name!r} of ROWS is {kind}; a number, a string, a boolean or a date is needed"
        )
    return column.cast(pl.String)


def feature_column(column: pl.Series) -> pl.Series:
    """The column of a feature, `plain`.

    Raises:
        ConversionError: it is of a type that no feature has, or has a number beyond float32's range, which services
            refuse.
    """
    found = plain(column)
    if found.dtype == pl.Float64 and (wide := found.abs() > FLOAT32_MAX).any():
        row = int(wide.fill_null(value=False).arg_max() or 0)
        raise ConversionError(
            f"column {column.name!r} of ROWS, row {row}: {found[row]:g} is beyond the range of float32, in which "
            "services compute; make it missing, or leave the row out"
        )
    return found


def describe(column: pl.Series, *, nullable: bool) -> Feature:
    """The feature that a `plain` column is, with its typical value as an example."""
    common: dict[str, Any] = {"name": column.name, "nullable": nullable}
    seen = column.drop_nulls()
    if column.dtype == pl.Boolean:
        return Feature(kind="boolean", example=_most_frequent(seen) if seen.len() else False, **common)
    if column.dtype == pl.String:
        counts = seen.alias("value").value_counts(name="rows")
        frequent = pl.col("rows") >= MIN_FREQUENCY
        often, rare = (sorted(counts.filter(one)["value"]) for one in (frequent, ~frequent))
        usual = _most_frequent(seen) if often else OTHER
        return Feature(kind="nominal", categories=tuple(often), rare=tuple(rare), example=usual, **common)
    if column.dtype == pl.Date:
        days = seen.to_physical().to_numpy()
        middle = seen.sort()[seen.len() // 2] if seen.len() else _EPOCH
        return Feature(kind="date", example=middle.isoformat(), **_range(days), **common)
    values = seen.to_numpy()
    return Feature(kind="numeric", example=float(np.median(values)) if values.size else 0.0, **_range(values), **common)


def _range(values: np.ndarray) -> dict[str, Any]:
    return {"minimum": float(values.min()), "maximum": float(values.max())} if values.size else {}


def _most_frequent(seen: pl.Series) -> Any:  # noqa: ANN401 - a string or a boolean
    counts = seen.alias("value").value_counts(name="rows")
    return counts.sort(["rows", "value"], descending=[True, False])["value"][0]


def large_numbers(rows: pl.DataFrame, names: Sequence[str]) -> list[str]:
    """Columns of whole numbers that float32, in which services compute, can't all tell apart."""
    return [
        name
        for name in names
        if rows[name].dtype == pl.Float64
        and ((top := rows[name].abs().max()) is not None)
        and float(top) > LARGEST_EXACT  # type: ignore[arg-type]
    ]
