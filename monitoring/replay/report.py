"""What a replay found: its figures, tables and verdict."""

from typing import ClassVar

import msgspec

from bundle.table import Table, three_digits
from load_testing.model_result import ModelResult
from monitoring.record.summary import RecordSummary, record_notes
from monitoring.replay.comparison import STEPS, DifferingRow, ServiceRows, Tally

INTERVALS = ("none", *(f"to {step:g}" for step in STEPS[1:]), f"above {STEPS[-1]:g}")


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that one version recorded, answered again in one way. `same_version`: by that same version.

    `confusion[i][j]` counts the rows of recorded class i that are now of class j; `histogram` counts rows by
    `INTERVALS` of their difference, as `Tally` defines it. `mean_signed` is now - recorded, of the value or of the last
    class's probability. `refused` and `failed` are rows by reason.
    """

    way: str
    recorded_version: str
    same_version: bool
    rows: int
    changed: int
    beyond_tolerance: int
    largest: float
    mean: float
    mean_signed: float
    histogram: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]
    services: dict[str, ServiceRows]
    differing: tuple[DifferingRow, ...]
    refused: dict[str, int]
    failed: dict[str, int]
    most_changed: float | None

    @property
    def changed_share(self) -> float:
        """The part of the replayed rows that were answered differently or refused."""
        refused = sum(self.refused.values())
        return (self.changed + refused) / max(1, self.rows + refused)

    @property
    def skewed(self) -> bool:
        """Whether the version that recorded the rows answers differently now."""
        return self.same_version and bool(self.changed or self.beyond_tolerance or self.refused)

    @property
    def ok(self) -> bool:
        """No skew, and no more changed rows than are allowed."""
        if self.same_version:
            return not self.skewed
        return self.most_changed is None or self.changed_share <= self.most_changed

    @property
    def verdict(self) -> str:
        """In a few words."""
        if self.same_version:
            return "skew" if self.skewed else "no skew"
        share = f"{100 * self.changed_share:.3g} % changed"
        limit = "" if self.ok or self.most_changed is None else f", more than {100 * self.most_changed:g} %"
        return share + limit


def replayed(way: str, version: str, tally: Tally, *, same_version: bool, most_changed: float | None) -> Replayed:
    """The result of a tally."""
    return Replayed(
        way=way,
        recorded_version=version,
        same_version=same_version,
        rows=tally.rows,
        changed=tally.changed,
        beyond_tolerance=tally.beyond,
        largest=tally.largest,
        mean=tally.total / max(1, tally.rows),
        mean_signed=tally.signed / max(1, tally.rows),
        histogram=tuple(tally.histogram.tolist()),
        confusion=tuple(map(tuple, tally.confusion.tolist())),
        services=tally.services,
        differing=tally.differing,
        refused=dict(tally.refused),
        failed=dict(tally.failed),
        most_changed=most_changed,
    )


class ReplayReport(ModelResult, frozen=True, kw_only=True):
    """Recorded rows through the model or service that `model` and `version` name. `left_out` are rows by the reason why
    they can't be asked again.
    """

    title: ClassVar = "Replay"
    file: ClassVar = "replay.json"
    made_by: ClassVar = "make replay"

    classes: tuple[str, ...]
    tolerance: float
    changed_by: float
    record: RecordSummary
    results: tuple[Replayed, ...]
    left_out: dict[str, int]
    said: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """No skew, and nowhere more changed rows than are allowed."""
        return all(result.ok for result in self.results)

    def facts(self) -> dict[str, str]:
        """The model, and the record."""
        return {**super().facts(), "record": str(self.record)}

    def verdicts(self) -> tuple[str, ...]:
        """The verdict of each comparison."""
        return tuple(f"**{figure}.**" for figure in self.key_figures())

    def key_figures(self) -> tuple[str, ...]:
        """The verdict of each comparison."""
        return tuple(f"{r.way}: {r.verdict}, {r.rows:,} rows of {r.recorded_version}" for r in self.results)

    def tables(self) -> tuple[Table, ...]:
        """All comparisons, then the services, histograms, classes and rows of each."""
        return (self.overview(), *(table for result in self.results for table in self.details(result)))

    def overview(self) -> Table:
        """A line per comparison."""
        changed = "other label" if self.classes else f"changed by {self.changed_by:g}"
        rows = tuple(
            (
                r.way,
                r.verdict,
                f"{r.recorded_version}{', the same' if r.same_version else ''}",
                f"{r.rows:,}",
                f"{r.changed:,}",
                f"{r.beyond_tolerance:,}",
                three_digits(r.largest) if r.largest > 1e-3 else f"{r.largest:.1e}",
                f"{r.mean:.1e}",
                f"{sum(r.refused.values()):,}",
                f"{sum(r.failed.values()):,}",
            )
            for r in self.results
        )
        heads = (
            "answered again by", "verdict", "recorded version", "rows", changed, f"difference > {self.tolerance:g}",
            "largest", "mean", "refused", "failed",
        )  # fmt: skip
        bad = frozenset(number for number, result in enumerate(self.results) if not result.ok)
        return Table("Comparisons", heads, rows, frozenset({0, 1, 2}), bad, self._reasons())

    def _reasons(self) -> tuple[str, ...]:
        return tuple(
            f"{result.way}, {result.recorded_version}: {count:,} rows {word}: {reason}"
            for result in self.results
            for word, reasons in (("refused", result.refused), ("failed", result.failed))
            for reason, count in reasons.items()
        )

    def details(self, result: Replayed) -> list[Table]:
        """The tables of one comparison: which services, how far apart, which classes, which rows."""
        return [
            table
            for table in (self._services(result), self._histogram(result), self._confusion(result), self._rows(result))
            if table.rows
        ]

    def _name(self, what: str, result: Replayed) -> str:
        return f"{what}: {result.way}, recorded by {result.recorded_version}"

    def _services(self, result: Replayed) -> Table:
        rows = tuple(
            (name, f"{s.rows:,}", f"{s.changed:,}", f"{s.beyond:,}", f"{s.largest:.1e}")
            for name, s in sorted(result.services.items())
        )
        heads = ("recorded by", "rows", "changed", f"difference > {self.tolerance:g}", "largest")
        return Table(self._name("Services", result), heads, rows)

    def _histogram(self, result: Replayed) -> Table:
        share = [f"{100 * count / max(1, result.rows):.2f}" for count in result.histogram]
        rows = tuple(zip(INTERVALS, (f"{count:,}" for count in result.histogram), share, strict=True))
        what = "|Δp|" if self.classes else "|Δ| relative"
        return Table(self._name(f"Histogram of {what}", result), (what, "rows", "%"), rows)

    def _confusion(self, result: Replayed) -> Table:
        rows = tuple(
            (f"recorded {label}", *(f"{count:,}" for count in counts))
            for label, counts in zip(self.classes, result.confusion, strict=True)
        )
        return Table(self._name("Labels", result), ("", *(f"now {label}" for label in self.classes)), rows)

    def _rows(self, result: Replayed) -> Table:
        rows = tuple(
            (
                f"{row.difference:.2g}", self._answer(row.recorded_label, row.recorded),
                self._answer(row.label, row.answered), row.request_id, str(row.row), f"{row.time:%Y-%m-%d %H:%M:%S}",
                row.service,
            )
            for row in result.differing
        )  # fmt: skip
        heads = ("difference", "recorded", "now", "request id", "row", "time, UTC", "service")
        return Table(self._name("Rows that differ most", result), heads, rows, frozenset({0, 1, 2, 3, 5, 6}))

    def _answer(self, label: int, number: float | None) -> str:
        text = "not finite" if number is None else f"{number:.7g}"
        if not self.classes:
            return text
        return f"{self.classes[label] if label >= 0 else 'no class'}, P {text}"

    def notes(self) -> tuple[str, ...]:
        """What was not asked again, and what is wrong with the record."""
        left_out = (f"{count:,} rows were not asked again: {reason}." for reason, count in self.left_out.items())
        return (*self.said, *left_out, *record_notes(self.record))
