"""What is to be predicted: the task and the classes of the target column of an unknown table."""

from typing import NamedTuple

import polars as pl

from bundle.graph_names import Task
from bundle.manifest import ClassLabel
from training.data.infer import has_no_values, highest, lowest, written
from training.data.typed import FALSE, TRUE, as_booleans, as_integers, as_numbers, as_plain, is_missing_text
from training.errors import DataError

MAX_INTEGER_CLASSES = 20
"""A target with more distinct whole numbers is a quantity."""

MAX_CLASSES = 100
NAMED_CLASSES = 10


class InferredTarget(NamedTuple):
    """`classes` is empty for a regression; of two classes the second is the positive one."""

    task: Task
    classes: tuple[ClassLabel, ...]
    reason: str


def infer_target(column: pl.Series, *, task: str = "", positive: str = "") -> InferredTarget:
    """The task and the classes.

    `task` is "" (to be inferred), `classification` or `regression`; `positive` the text of the positive class, or "".

    Raises:
        DataError: there is nothing to predict, too many classes, or no class named `positive`.
    """
    if has_no_values(column):
        raise DataError(f"TARGET={column.name}: values of type {column.dtype} can't be predicted")
    seen = _labels_seen(as_plain(column).drop_nulls())
    numbers = as_numbers(seen) if not seen.dtype.is_temporal() else pl.Series([None])
    quantity = not numbers.is_empty() and not numbers.has_nulls() and seen.dtype != pl.Boolean
    whole = quantity and bool((numbers == numbers.round()).all())
    if seen.n_unique() < 2:
        raise DataError(f"TARGET={column.name}: all rows have the same value; there is nothing to predict")
    if task == "regression" and not quantity:
        raise DataError(f"TARGET={column.name}: a regression needs numbers, but there is {seen[0]!r}")
    if task == "regression" or (not task and quantity and not (whole and seen.n_unique() <= MAX_INTEGER_CLASSES)):
        if positive:
            raise DataError(f"POSITIVE={positive}: {column.name} is a number to be predicted, and has no classes")
        span = f"from {written(lowest(numbers))} to {written(highest(numbers))}"
        return InferredTarget("regression", (), f"numbers {span}: a regression")
    return _classes(column.name, _labels(seen, whole=whole), positive)


def _labels(seen: pl.Series, *, whole: bool) -> pl.Series:
    booleans = as_booleans(seen)
    if seen.dtype == pl.Boolean or (seen.dtype == pl.String and not booleans.has_nulls()):
        return booleans
    integers = as_integers(seen) if whole else booleans
    return seen.cast(pl.String) if integers.has_nulls() else integers


def _labels_seen(seen: pl.Series) -> pl.Series:
    """The labels without texts such as NA, if all others are numbers or booleans."""
    given = seen.filter(~is_missing_text(seen))
    typed = seen.dtype == pl.String and (not as_numbers(given).has_nulls() or not as_booleans(given).has_nulls())
    return given if typed else seen


def _classes(name: str, labels: pl.Series, positive: str) -> InferredTarget:
    counts = dict(
        labels.alias("label").value_counts(name="rows").sort(["rows", "label"], descending=[True, False]).iter_rows()
    )
    if len(counts) > MAX_CLASSES:
        raise DataError(f"TARGET={name}: {len(counts):,} different values are too many classes; is it an id?")
    ordered = sorted(counts)
    if len(ordered) > 2:
        if positive:
            raise DataError(f"POSITIVE={positive}: {name} has {len(ordered)} classes, and POSITIVE is for two")
        named = [f"{label!r} {counts[label]:,}" for label in list(counts)[:NAMED_CLASSES]]
        more = [f"{len(counts) - NAMED_CLASSES} more"] if len(counts) > NAMED_CLASSES else []
        reason = f"{len(ordered)} classes, by rows: {', '.join([*named, *more])}"
        return InferredTarget("multiclass_classification", tuple(ordered), reason)
    texts = {_text(label): label for label in ordered}
    positive = positive.lower() if isinstance(ordered[0], bool) else positive
    if positive:
        if positive not in texts:
            raise DataError(f"POSITIVE={positive}: {name} has the classes {' and '.join(map(repr, texts))}")
        chosen, reason = texts[positive], "POSITIVE names it"
    elif not isinstance(ordered[1], str):
        chosen, reason = ordered[1], "the larger label"
    else:
        chosen = min(ordered, key=lambda label: (counts[label], label))
        reason = "the rarer class"
    negative = ordered[0] if chosen == ordered[1] else ordered[1]
    why = f"two classes; positive is {chosen!r}, {reason} ({counts[chosen] / labels.len():.1%} of the rows)"
    return InferredTarget("binary_classification", (negative, chosen), why)


def _text(label: ClassLabel) -> str:
    """How a person writes the label in POSITIVE=."""
    return {True: TRUE, False: FALSE}[label] if isinstance(label, bool) else str(label)
