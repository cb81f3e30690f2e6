"""The skew of services as a table, and what `skew.json` holds."""

from collections.abc import Sequence
from typing import ClassVar

from bundle.table import Table
from load_testing.model_result import ModelResult
from load_testing.skew import Mismatch
from load_testing.skew_measurement import SkewRow

_CLASSES = ("prediction match %", "probability match %", "max diff", "MAE")
_VALUES = ("value match %", "max relative diff", "mean relative diff")


def skew_table(rows: Sequence[SkewRow]) -> Table:
    """A line per service and route; below it what failed, and a sample of the rows that differ."""
    notes = []
    for row in rows:
        where = f"{row.service} {row.route}"
        notes += [f"{where}: {count:,} failed: {reason}" for reason, count in row.failures.items()]
        notes += [f"{where}, {_mismatch(m, values=row.values)}" for m in row.result.mismatches]
    failed = frozenset(number for number, row in enumerate(rows) if not row.clean)
    compared = _VALUES if any(row.values for row in rows) else _CLASSES
    heads = ("service", "route", "rows", *compared, "time s", "failed")
    return Table("Skew", heads, tuple(map(_cells, rows)), frozenset({0, 1}), failed, tuple(notes))


def _mismatch(m: Mismatch, *, values: bool) -> str:
    if values:
        answers = f"expected {m.expected_probability:.7g}, served {m.served_probability}"
    else:
        answers = (
            f"expected {m.expected_label} with P {m.expected_probability:.7f}, "
            f"served {m.served_label} with P {m.served_probability}"
        )
    return f"row {m.row} ({m.case}): {answers}"


def _cells(row: SkewRow) -> tuple[str, ...]:
    result = row.result
    return (
        row.service,
        row.route,
        f"{result.rows:,}",
        *([] if row.values else [f"{result.prediction_match:.3f}"]),
        f"{result.probability_match:.3f}",
        f"{result.max_abs_difference:.1e}",
        f"{result.mean_abs_difference:.1e}",
        f"{row.seconds:.1f}",
        f"{sum(row.failures.values()):,}",
    )


class SkewReport(ModelResult, frozen=True, kw_only=True):
    """Every reference row through `/predict/batch`, and a sample through `/predict`."""

    title: ClassVar = "Serving skew"
    file: ClassVar = "skew.json"
    made_by: ClassVar = "make skew"

    skew: tuple[SkewRow, ...]
    left_out: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No skew."""
        return all(row.clean for row in self.skew)

    def key_figures(self) -> tuple[str, ...]:
        """The verdict."""
        differing = sum(not row.clean for row in self.skew)
        verdict = f"skew in {differing} of" if differing else "no skew in"
        compared = sum(row.result.rows for row in self.skew)
        return (f"{verdict} {len(self.skew)} comparisons, {compared:,} rows in them",)

    def tables(self) -> tuple[Table, ...]:
        """A line per service and route."""
        return (skew_table(self.skew),)

    def notes(self) -> tuple[str, ...]:
        """What was not measured."""
        return tuple(f"Not measured: {reason}." for reason in self.left_out)
