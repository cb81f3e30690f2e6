"""What the columns of given rows say of a model's features."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bundle.manifest import Feature
from training.errors import ConversionError

_EPOCH = date(1970, 1, 1)
LARGEST_EXACT = 1 << 24
"""Whole numbers beyond it are not all float32 numbers."""


def read_rows(path: Path) -> pl.DataFrame:
    """The rows of a Parquet or CSV file.

    Raises:
        ConversionError: it can't be read.
    """
    try:
        if path.suffix.lower() in (".parquet", ".pq"):
            return pl.read_parquet(path)
        return pl.read_csv(path, infer_schema_length=None, try_parse_dates=True)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConversionError(f"ROWS={path}: {str(error).splitlines()[0]}") from error


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


def describe(column: pl.Series, *, nullable: bool, dtype: str = "", graph_input: str = "") -> Feature:
    """The feature that a `plain` column is, with its typical value as an example."""
    common: dict[str, Any] = {
        "name": column.name, "nullable": nullable, "dtype": dtype, "graph_input": graph_input
    }  # fmt: skip
    seen = column.drop_nulls()
    if column.dtype == pl.Boolean:
        return Feature(kind="boolean", example=_most_frequent(seen) if seen.len() else False, **common)
    if column.dtype == pl.String:
        categories = tuple(sorted(set(seen)))
        return Feature(
            kind="nominal", categories=categories, example=_most_frequent(seen) if categories else "", **common
        )
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
