"""From a table as a file gives it to the typed columns that a data set declares. All problems are reported at once."""

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import polars as pl

from bundle.graph_names import FLOAT32_MAX
from bundle.manifest import ClassLabel
from training.data.table_files import AS_NAMED, CsvOptions, explain_missing, parse_table
from training.dataset import Boolean, Date, FeatureSpec, Numeric, feature_names
from training.errors import DataError

MAX_TOLD = 20
MISSING_NUMBERS = ("na", "n/a", "nan", "null", "none", "?", "-", "#n/a")
"""Texts that stand for a missing value in a column of numbers, dates or booleans, in any case. In a column of
categories every text is a category."""

TRUE, FALSE = "true", "false"
DATE_FORMAT = "%Y-%m-%d"
EXACT_FLOAT64 = 1 << 53
"""All whole numbers below it are exact in a 64-bit float (IEEE 754)."""


def table_parser(
    features: Sequence[FeatureSpec],
    target: str,
    classes: Sequence[ClassLabel] = (),
    options: CsvOptions = AS_NAMED,
) -> Callable[[Mapping[str, bytes]], pl.DataFrame]:
    """A `Dataset.parse` for one CSV, TSV or Parquet file whose columns have the features' names.

    Rows without a target are left out, and their number is printed.
    """

    def parse(files: Mapping[str, bytes]) -> pl.DataFrame:
        ((name, content),) = files.items()
        table = parse_table(name, content, options)
        return typed_rows(table, features, target, classes, name)

    return parse


def typed_rows(
    table: pl.DataFrame, features: Sequence[FeatureSpec], target: str, classes: Sequence[ClassLabel], origin: str
) -> pl.DataFrame:
    """The features and the target: Float64, Boolean, Date or String columns, null where missing.

    Raises:
        DataError: a column is missing, or a value is not of its kind. The message names up to 20 columns and rows, the
            rows counted from 1 without the header; `origin` is the file's name.
    """
    missing = [name for name in (*feature_names(features), target) if name not in table.columns]
    problems = [explain_missing(missing, table.columns)] if missing else []
    columns = []
    if not problems:
        given = labels_given(table[target], classes)
        unlabelled = given.null_count()
        if unlabelled:
            print(f"{origin}: {unlabelled:,} of {table.height:,} rows have no {target}; they are left out", flush=True)
        for feature in features:
            typed, bad = typed_column(table[feature.name], feature)
            columns.append(typed)
            problems += [f"row {row + 1}, column {feature.name!r}: {text!r} is {what}" for row, text, what in bad]
        labels, bad = _typed_target(given, classes)
        columns.append(labels)
        problems += [f"row {row + 1}, column {target!r}: {text!r} is {what}" for row, text, what in bad]
    if problems:
        raise DataError(f"{origin}: " + describe_problems(problems))
    return pl.DataFrame(columns).filter(pl.col(target).is_not_null())


def describe_problems(problems: Sequence[str]) -> str:
    """The problems as one message: at most `MAX_TOLD` of them, each on a line of its own if there are several."""
    if len(problems) == 1:
        return problems[0]
    more = [f"and {len(problems) - MAX_TOLD:,} more"] if len(problems) > MAX_TOLD else []
    return "\n  ".join([f"{len(problems):,} problems", *problems[:MAX_TOLD], *more])


Bad = list[tuple[int, object, str]]
"""Row, value, and what is wrong with it; at most `MAX_TOLD`."""


def typed_column(column: pl.Series, feature: FeatureSpec) -> tuple[pl.Series, Bad]:
    """The column as the feature's kind has it, and the values that aren't of that kind."""
    column = as_plain(column)
    if isinstance(feature, Numeric):
        typed = as_numbers(column)
        what = "no number within the range of a 32-bit float"
        wrong = column.is_not_null() & ~is_missing_text(column) & ~(typed.abs() <= FLOAT32_MAX).fill_null(value=False)
        if feature.integer and not wrong.any():
            wrong, what = (typed != typed.round()).fill_null(value=False), "no whole number"
    elif isinstance(feature, Boolean):
        typed, what = as_booleans(column), "neither true nor false"
        wrong = column.is_not_null() & ~is_missing_text(column) & typed.is_null()
    elif isinstance(feature, Date):
        typed, what = as_dates(column), "no ISO 8601 date (YYYY-MM-DD)"
        wrong = column.is_not_null() & ~is_missing_text(column) & typed.is_null()
    else:
        typed, what = column.cast(pl.String), ""
        wrong = pl.Series([False]).new_from_index(0, len(column))
    if not feature.nullable:
        nulls = typed.is_null() & ~wrong
        if nulls.any():
            row = int(nulls.arg_max() or 0)
            return typed, [(row, column[row], f"missing, but the feature is not nullable ({nulls.sum():,} such rows)")]
    return typed, _bad(column, wrong, what)


def as_plain(column: pl.Series) -> pl.Series:
    """The column with null in place of NaN, and with strings in place of a type of categories."""
    if column.dtype.is_float():
        return column.fill_nan(None)
    return column.cast(pl.String) if column.dtype in (pl.Categorical, pl.Enum) else column


def labels_given(column: pl.Series, classes: Sequence[ClassLabel]) -> pl.Series:
    """A target's `as_plain` values, null where a text stands for a missing number or boolean."""
    plain = as_plain(column)
    if classes and isinstance(classes[0], str):
        return plain
    return plain.set(is_missing_text(plain), None)


def is_missing_text(column: pl.Series) -> pl.Series:
    """Bool [rows]: texts of `MISSING_NUMBERS`."""
    if column.dtype != pl.String:
        return pl.Series([False]).new_from_index(0, len(column))
    return column.str.strip_chars().str.to_lowercase().is_in(["", *MISSING_NUMBERS]).fill_null(value=False)


def as_numbers(column: pl.Series) -> pl.Series:
    """Float64, null for what is not a number; NaN, which some file types have for a missing one, is null, too."""
    text = column.str.strip_chars() if column.dtype == pl.String else column
    return text.cast(pl.Float64, strict=False).fill_nan(None)


def as_integers(column: pl.Series) -> pl.Series:
    """Int64, null for what is not a whole number of that type; 1.0 is 1."""
    numbers = as_numbers(column)
    whole = (numbers == numbers.round()) & (numbers.abs() < EXACT_FLOAT64)
    rounded = numbers.set(~whole.fill_null(value=False), None).cast(pl.Int64, strict=False)
    if not (column.dtype == pl.String or column.dtype.is_integer()):
        return rounded
    text = column.str.strip_chars() if column.dtype == pl.String else column
    return text.cast(pl.Int64, strict=False).fill_null(rounded)


def as_booleans(column: pl.Series) -> pl.Series:
    """Boolean, null for what is neither true nor false."""
    if column.dtype == pl.Boolean:
        return column
    text = column.cast(pl.String).str.strip_chars().str.to_lowercase()
    return text.replace_strict({TRUE: True, FALSE: False}, default=None, return_dtype=pl.Boolean)


def as_dates(column: pl.Series) -> pl.Series:
    """Date, null for what is not one; only years from 1 to 9999 can be written as YYYY."""
    if column.dtype == pl.Date:
        return column.set(~column.is_between(date.min, date.max), None)
    text = column.cast(pl.String).str.strip_chars()
    exact = text.str.contains(r"^\d{4}-\d{2}-\d{2}$").fill_null(value=False)
    return as_dates(text.set(~exact, None).str.to_date(DATE_FORMAT, strict=False))


def _typed_target(column: pl.Series, classes: Sequence[ClassLabel]) -> tuple[pl.Series, Bad]:
    """The target as the classes' type; as Float64 where there are none."""
    if not classes:
        typed, bad = typed_column(column, Numeric(name=column.name, nullable=True))
        return typed, bad
    if isinstance(classes[0], bool):
        typed = as_booleans(column)
    elif isinstance(classes[0], int):
        typed = as_integers(column)
    else:
        typed = column.cast(pl.String)
    wrong = column.is_not_null() & ~typed.is_in(list(classes)).fill_null(value=False)
    what = f"none of the classes {', '.join(map(repr, classes[:10]))}{' …' if len(classes) > 10 else ''}"
    return typed, _bad(column, wrong, what)


def _bad(column: pl.Series, wrong: pl.Series, what: str) -> Bad:
    shown = column.cast(pl.String) if column.dtype == pl.Date else column  # Python has no year 0
    return [(row, shown[row], what) for row in wrong.arg_true().to_list()[:MAX_TOLD]]


def days(value: date) -> int:
    """Days since 1970-01-01."""
    return (value - date(1970, 1, 1)).days
