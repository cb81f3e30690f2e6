"""What the columns of an unknown table are: numbers, booleans, dates, categories, or not a feature at all.

Every decision comes with its reason, so that a person can correct it in the module that is written from it.
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from training.data.typed import (
    EXACT_FLOAT64,
    MISSING_NUMBERS,
    as_booleans,
    as_dates,
    as_numbers,
    as_plain,
    is_missing_text,
)
from training.dataset import Boolean, Date, FeatureSpec, Nominal, Numeric
from training.errors import DataError

MIN_ROWS_TO_TELL_AN_ID = 20
TEXT_LENGTH = 50
"""Longer on average, and mostly distinct: free text."""

MOSTLY_DISTINCT = 0.5
MAX_CATEGORIES = 10_000
MOSTLY_NUMBERS = 0.9

EXACT_FLOAT32 = 1 << 24
"""From here on a 32-bit float no longer holds every whole number (IEEE 754)."""

MANY_MERGED = 0.01
_DIGITS = "such floats have seven digits"
_ID_NAME = re.compile(r"(^|[^a-z])(id|uuid|guid|key|index|rowid|row)($|[^a-z])|^unnamed|^$", re.IGNORECASE)
_CAMEL_ID = re.compile(r"[a-z](Id|ID)$")
_LEADING_ZERO = r"^[+-]?0\d+$"
_DECIMAL_COMMA = r"^[+-]?\d{1,3}([. ']?\d{3})*,\d+$"
_OTHER_NUMBER = r"^[+-]?[$€£]? ?[+-]?(\d+|\d{1,3}([.,'_]\d{3})+)([.,]\d+)? ?[%$€£]?$"
_OTHER_DATE = r"^\d{1,4}[./-]\d{1,2}[./-]\d{1,4}([ T]\d{1,2}:\d{2}.*)?$"


class Column(NamedTuple):
    """A column's feature, None if it is left out, and why. `doubtful`: numbers were probably meant."""

    name: str
    feature: FeatureSpec | None
    reason: str
    doubtful: bool = False


def infer_columns(table: pl.DataFrame, target: str, ignored: Sequence[str]) -> list[Column]:
    """What every column but the target is.

    Raises:
        DataError: an ignored column isn't there, or no feature is left.
    """
    if unknown := [name for name in ignored if name not in table.columns]:
        raise DataError(f"IGNORE: no column {', '.join(map(repr, unknown))}; there are {_names(table)}")
    if target in ignored:
        raise DataError(f"IGNORE: {target!r} is the target")
    columns = [
        Column(name, None, "IGNORE names it") if name in ignored else infer_column(table[name])
        for name in table.columns
        if name != target
    ]
    if all(column.feature is None for column in columns):
        told = "; ".join(f"{column.name!r} ({column.reason})" for column in columns)
        raise DataError(f"no column is left to learn from: {told or 'the target is the only one'}")
    return columns


def infer_column(column: pl.Series) -> Column:
    """What one column is."""
    name, declared, column = column.name, column.dtype in (pl.Categorical, pl.Enum), as_plain(column)
    seen = column.drop_nulls()
    if seen.is_empty():
        return Column(name, None, "it has no value in any row")
    if has_no_values(column):
        return Column(name, None, f"values of type {column.dtype} are no feature")
    if seen.n_unique() == 1 and len(seen) == len(column):
        return Column(name, None, f"constant: every row has {_quoted(seen.cast(pl.String)[0])}")
    if is_missing_text(seen).all():
        return Column(name, None, f"it has no value in any row; {_stand_ins(column)} mean missing")
    if declared:
        return _category(column)
    return _boolean(column) or _number(column) or _date(column) or _category(column)


def has_no_values(column: pl.Series) -> bool:
    """Whether its type is one that no feature or target can have."""
    kind = column.dtype
    return kind.is_nested() or kind in (pl.Binary, pl.Object, pl.Time, pl.Duration)


def _quoted(text: str) -> str:
    return repr(text if len(text) <= TEXT_LENGTH else text[:TEXT_LENGTH] + "…")


def _boolean(column: pl.Series) -> Column | None:
    values = as_booleans(column).filter(~is_missing_text(column) & column.is_not_null())
    if column.dtype.is_numeric() or values.has_nulls() or values.is_empty():
        return None
    missing = len(column) - len(values)
    return Column(column.name, Boolean(name=column.name, nullable=missing > 0), f"true and false{_gaps(missing)}")


def _number(column: pl.Series) -> Column | None:
    name = column.name
    if not (column.dtype.is_numeric() or column.dtype == pl.String):
        return None
    given = column.filter(~is_missing_text(column) & column.is_not_null())
    numbers = as_numbers(given)
    finite = column.dtype.is_numeric() or bool(numbers.is_finite().all())  # rows' checks report infinity
    if numbers.has_nulls() or numbers.is_empty() or not finite:
        return None
    if given.dtype == pl.String and given.str.strip_chars().str.contains(_LEADING_ZERO).any():
        return None  # a code, such as a post code
    missing = len(column) - len(numbers)
    whole = bool((numbers == numbers.round()).all()) and not column.dtype.is_float()
    if given.dtype == pl.String and given.str.contains(r"[.eE]").any():
        whole = False
    if whole and not missing and _is_id(name, numbers):
        return Column(name, None, f"an id: every row has its own whole number, from {lowest(numbers):.0f} on")
    if not missing and numbers.n_unique() == 1:
        return Column(name, None, f"constant: every row has {written(lowest(numbers))}")
    kind = "whole numbers" if whole else "numbers"
    reason = f"{kind} from {written(lowest(numbers))} to {written(highest(numbers))}{_gaps(missing)}"
    if stand_ins := _stand_ins(column):
        reason += f"; {stand_ins} mean missing"
    return Column(name, Numeric(name=name, integer=whole, nullable=missing > 0), reason)


def _date(column: pl.Series) -> Column | None:
    name = column.name
    if column.dtype == pl.Datetime:
        return Column(name, None, "time stamps are no feature; convert them to dates or numbers")
    if column.dtype not in (pl.Date, pl.String):
        return None
    given = column.filter(~is_missing_text(column) & column.is_not_null())
    dates = as_dates(given)
    missing = len(column) - len(given)
    if not dates.is_empty() and not dates.has_nulls():
        reason = f"dates from {dates.sort()[0]} to {dates.sort()[-1]}{_gaps(missing)}"
        return Column(name, Date(name=name, nullable=missing > 0), reason)
    if column.dtype == pl.Date:
        return Column(name, None, "has dates outside the years from 1 to 9999")
    if given.str.strip_chars().str.contains(_OTHER_DATE).all():
        return Column(
            name, None, f"looks like dates or time stamps ({given[0]!r}), but only YYYY-MM-DD can be a feature"
        )
    return None


def _category(column: pl.Series) -> Column:
    name, seen = column.name, column.cast(pl.String).drop_nulls()
    if seen.str.strip_chars().str.contains(_DECIMAL_COMMA).all():
        return Column(name, None, f"looks like numbers with a decimal comma ({seen[0]!r}); write them with a point")
    distinct, missing = seen.n_unique(), column.null_count()
    many = len(seen) >= MIN_ROWS_TO_TELL_AN_ID and distinct > MOSTLY_DISTINCT * len(seen)
    if many and (mean := seen.str.len_chars().mean()) is not None and float(str(mean)) > TEXT_LENGTH:
        return Column(name, None, f"free text: {distinct:,} different texts in {len(seen):,} rows")
    if many and (reason := _almost_numbers(column)):
        return Column(name, None, reason, doubtful=True)
    if many:
        return Column(name, None, f"an id: {distinct:,} different values in {len(seen):,} rows")
    if distinct > MAX_CATEGORIES:
        return Column(name, None, f"{distinct:,} categories, more than {MAX_CATEGORIES:,}")
    some = ", ".join(map(_quoted, seen.value_counts(sort=True)[name].head(3).to_list()))
    reason = f"{distinct:,} categories, such as {some}{_gaps(missing)}"
    others = _almost_numbers(column)
    reason += f"; {others}" if others else ""
    return Column(name, Nominal(name=name, nullable=missing > 0), reason, doubtful=bool(others))


def _almost_numbers(column: pl.Series) -> str:
    """Why numbers were probably meant: all are written in another way, or nearly all are numbers; "" if neither."""
    if column.dtype != pl.String:
        return ""
    given = column.filter(~is_missing_text(column) & column.is_not_null())
    others = given.filter(~as_numbers(given).is_finite().fill_null(value=False))
    if given.str.strip_chars().str.contains(_LEADING_ZERO).any() or others.is_empty():
        return ""
    if others.str.strip_chars().str.contains(_OTHER_NUMBER).all():
        return f"looks like numbers ({_quoted(others[0])}), which must be written like 1234.5 to be a numeric feature"
    if len(others) <= (1 - MOSTLY_NUMBERS) * len(given):
        count = f"{len(others):,} of {len(given):,} values"
        return f"not a numeric feature, as {count} are no numbers, such as {_quoted(others[0])}"
    return ""


def _is_id(name: str, numbers: pl.Series) -> bool:
    """Whole numbers, all different, that are named like an id, or count the rows: without a gap in any order, or one
    after the other with as many rows left out as there are at most.
    """
    if len(numbers) < MIN_ROWS_TO_TELL_AN_ID or numbers.n_unique() < len(numbers):
        return False
    span = highest(numbers) - lowest(numbers) + 1
    counts_rows = span == len(numbers) or (span <= 2 * len(numbers) and numbers.is_sorted())
    return counts_rows or bool(_ID_NAME.search(name) or _CAMEL_ID.search(name))


def lowest(numbers: pl.Series) -> float:
    """The smallest number, for a sentence."""
    return float(numbers.to_numpy().min()) + 0.0  # no -0


def highest(numbers: pl.Series) -> float:
    """The largest number, for a sentence."""
    return float(numbers.to_numpy().max()) + 0.0


def written(number: float) -> str:
    """A number for a sentence: whole ones with all their digits."""
    return f"{number:.0f}" if number.is_integer() and abs(number) < EXACT_FLOAT64 else f"{number:g}"


def _stand_ins(column: pl.Series) -> str:
    """Texts in the column that mean missing in a column of numbers."""
    if column.dtype != pl.String:
        return ""
    found = column.filter(is_missing_text(column)).unique(maintain_order=True).to_list()
    return ", ".join(map(repr, found[: len(MISSING_NUMBERS)]))


def _gaps(missing: int) -> str:
    return f", {missing:,} missing" if missing else ""


def _names(table: pl.DataFrame) -> str:
    return ", ".join(map(repr, table.columns))


def coarse_numbers(frame: pl.DataFrame, features: Sequence[FeatureSpec]) -> list[str]:
    """A sentence for each numeric column in which different values become the same 32-bit float in the graph: any, if
    they are whole numbers, else more than one in a hundred.
    """
    told = []
    for feature in features:
        if not isinstance(feature, Numeric):
            continue
        seen = frame[feature.name].drop_nulls().unique()
        merged = seen.len() - seen.cast(pl.Float32).n_unique()
        whole = feature.integer or bool((seen == seen.round()).all())
        if merged > (0 if whole else seen.len() * MANY_MERGED):
            cause = f"not all whole numbers above 2^24 ({EXACT_FLOAT32:,}) are such floats" if whole else _DIGITS
            told.append(
                f"column {feature.name!r}: {merged:,} of {seen.len():,} different values become the same 32-bit float "
                f"as another one: {cause}; subtract a constant, or declare an identifier as a category"
            )
    return told
