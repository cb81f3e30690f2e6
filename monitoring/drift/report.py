"""What drift found: its figures, tables and verdict."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import ClassVar

import msgspec

from bundle.table import Table
from load_testing.model_result import ModelResult
from monitoring.drift.counting import Window
from monitoring.drift.findings import Finding
from monitoring.drift.variables import Place, Variable
from monitoring.record.summary import RecordSummary, record_notes

_HEADS = (
    "compared", "verdict", "PSI", "by chance", "expected %", "found %", "p corrected", "p", "effective rows", "rows",
    "requests",
)  # fmt: skip

_SMALLEST = 1e-99
"""The smallest p value that is shown: a smaller one says no more."""


class VariableShares(msgspec.Struct, frozen=True, kw_only=True):
    """The rows with a value, by cell: what the bundle expects and what was recorded, as parts of 1. `edges` are those
    of numbers, in days since 1970-01-01 if `days`.
    """

    name: str
    place: Place
    cells: tuple[str, ...]
    expected: tuple[float, ...]
    found: tuple[float, ...]
    edges: tuple[float, ...]
    days: bool
    rows: int


class WindowRows(msgspec.Struct, frozen=True, kw_only=True):
    """How many rows were recorded from `start` on, for a window's length."""

    start: datetime
    rows: int


class DriftReport(ModelResult, frozen=True, kw_only=True):
    """Recorded rows of one version against those it was made from. `not_recorded` are features that no row has."""

    title: ClassVar = "Drift"
    file: ClassVar = "drift.json"
    made_by: ClassVar = "make drift"

    training_rows: int
    answered_rows: int
    record: RecordSummary
    alpha: float
    index: float
    rate: float
    least_rows: int
    least_requests: int
    window_hours: float
    windows: tuple[WindowRows, ...]
    variables: tuple[VariableShares, ...]
    findings: tuple[Finding, ...]
    ignored: tuple[str, ...]
    not_recorded: tuple[str, ...]
    others: str

    @property
    def alarms(self) -> tuple[Finding, ...]:
        """The findings that are drift."""
        return tuple(finding for finding in self.findings if finding.alarm)

    @property
    def tests(self) -> int:
        """How many tests were made and corrected for."""
        return sum(finding.p is not None for finding in self.findings)

    @property
    def ok(self) -> bool:
        """No drift."""
        return not self.alarms

    @property
    def verdict(self) -> str:
        """In a sentence."""
        if not self.tests:
            return (
                f"Too few rows for a verdict: a test needs {self.least_rows:,} effective rows in "
                f"{self.least_requests:,} requests."
            )
        if self.ok:
            return f"No drift: {self.tests:,} tests, none of them significant and large enough."
        names = list(dict.fromkeys(finding.label for finding in self.alarms))
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        windows = [finding.window for finding in self.alarms if finding.window is not None]
        since = f", first in the window from {min(windows):%Y-%m-%d %H:%M} UTC" if windows else ""
        return f"Drift: {shown}{since}."

    def facts(self) -> dict[str, str]:
        """The model, the record, and what counts as drift."""
        return {
            **super().facts(),
            "record": str(self.record),
            "compared with": f"{self.training_rows:,} rows; the answers, with those to {self.answered_rows:,} rows",
            "drift is": f"corrected p < {self.alpha:g}, and PSI ≥ {self.index:g} or a rate that differs by "
            f"≥ {100 * self.rate:g} percentage points",
        }

    def verdicts(self) -> tuple[str, ...]:
        """The one verdict."""
        return (f"**{self.verdict}**",)

    def key_figures(self) -> tuple[str, ...]:
        """The verdict."""
        return (self.verdict,)

    def tables(self) -> tuple[Table, ...]:
        """The whole record, then the windows that are an alarm."""
        whole = self.table("The whole record", [finding for finding in self.findings if finding.window is None])
        alarms = [finding for finding in self.alarms if finding.window is not None]
        return (whole, *([self.table("Windows with drift", alarms)] if alarms else []))

    def table(self, title: str, findings: Sequence[Finding]) -> Table:
        """A line for each finding, in the order of the windows; within a window alarms first, then by effect."""
        ordered = sorted(findings, key=lambda f: (str(f.window or ""), not f.alarm, -abs(f.effect)))
        windows = any(finding.window for finding in ordered)
        rows = [(*([_when(finding)] if windows else []), *self._cells(finding)) for finding in ordered]
        heads = (*(["from, UTC"] if windows else []), *_HEADS)
        bad = frozenset(number for number, finding in enumerate(ordered) if finding.alarm)
        return Table(title, heads, tuple(rows), frozenset({0, 1, 2} if windows else {0, 1}), bad)

    def _cells(self, finding: Finding) -> tuple[str, ...]:
        is_rate = finding.what != "distribution"
        return (
            finding.label,
            self.judge(finding),
            "" if is_rate else f"{finding.effect:.3f}",
            "" if finding.by_chance is None else f"{finding.by_chance:.3f}",
            "" if finding.expected is None else f"{100 * finding.expected:.2f}",
            "" if finding.found is None else f"{100 * finding.found:.2f}",
            chance_text(finding.adjusted),
            chance_text(finding.p),
            f"{finding.effective_rows:,.0f}",
            f"{finding.rows:,}",
            f"{finding.requests:,}",
        )

    def judge(self, finding: Finding) -> str:
        """The verdict on one finding, in a word or two."""
        if finding.alarm:
            return "drift"
        if finding.adjusted is None:
            return "too few rows"
        return "significant, but small" if finding.adjusted < self.alpha else "no drift"

    def notes(self) -> tuple[str, ...]:
        """What was not compared, and what is wrong with the record."""
        notes = [f"Ignored, as asked: {', '.join(self.ignored)}."] if self.ignored else []
        if self.not_recorded:
            notes.append(f"Not in the record (SERVE_RECORD_FIELDS): {', '.join(self.not_recorded)}.")
        if self.others:
            notes.append(f"Rows of other models and versions were not compared: {self.others}.")
        return (*notes, *record_notes(self.record))


def chance_text(p: float | None) -> str:
    """A p value in a table: in decimals, or if it is small, as a power of ten."""
    if p is None:
        return ""
    if p >= 0.01:
        return f"{p:.2f}"
    return f"{p:.1e}" if p >= _SMALLEST else f"< {_SMALLEST:g}"


def _when(finding: Finding) -> str:
    return f"{finding.window:%Y-%m-%d %H:%M}" if finding.window else "whole record"


def shares_of(variables: Sequence[Variable], whole: Window) -> tuple[VariableShares, ...]:
    """The shares of every variable that was recorded."""
    return tuple(
        VariableShares(
            name=variable.name,
            place=variable.place,
            cells=variable.cells,
            expected=_parts(variable.reference.tolist()),
            found=_parts(tally.values.counts.tolist()),
            edges=variable.edges,
            days=variable.days,
            rows=tally.values.rows,
        )
        for variable, tally in zip(variables, whole.tallies, strict=True)
        if tally.missing.rows
    )


def _parts(counts: Sequence[float]) -> tuple[float, ...]:
    whole = sum(counts) or 1.0
    return tuple(count / whole for count in counts)


def window_rows(windows: Mapping[datetime, Window]) -> tuple[WindowRows, ...]:
    """The rows of each window, in order."""
    return tuple(WindowRows(start=start, rows=window.rows) for start, window in sorted(windows.items()))
