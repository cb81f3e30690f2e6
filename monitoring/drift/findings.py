"""What the counts say: a finding for each variable and window, and which of them are alarms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from monitoring.drift.counting import Tally, Window
from monitoring.drift.statistics import (
    ClusteredCounts,
    holm,
    index_by_chance,
    same_distribution,
    same_rate,
    stability_index,
)
from monitoring.drift.variables import Place, Variable

What = Literal["distribution", "missing", "unseen"]


@dataclass(frozen=True)
class Thresholds:
    """When a finding is an alarm: its adjusted p is below `alpha`, and its effect is at least `index` (of a
    distribution), or `rate` (of a missing or unseen rate). With fewer effective rows or requests nothing is tested.
    """

    alpha: float = 0.01
    index: float = 0.1
    rate: float = 0.01
    least_rows: int = 200
    least_requests: int = 30


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One comparison with the training rows. `window` is the start of its span of time, None for the whole record.

    `expected` and `found` are rates, None for a distribution. `effect` is the population stability index, or the
    difference of the rates; `by_chance` is what the index is on average without any drift. `p` is None where there are
    too few rows or requests for a test, `adjusted` is `p` corrected for all tests of the report.
    """

    window: datetime | None
    name: str
    place: Place
    what: What
    rows: int
    requests: int
    effective_rows: float
    effect: float
    by_chance: float | None = None
    expected: float | None = None
    found: float | None = None
    p: float | None = None
    adjusted: float | None = None
    alarm: bool = False

    @property
    def label(self) -> str:
        """The variable, and what of it was compared."""
        name = self.name if self.place == "feature" else f"{self.name} (the model's)"
        return name if self.what == "distribution" else f"{name}: {self.what}"


def find(
    variables: Sequence[Variable], whole: Window, windows: Mapping[datetime, Window], thresholds: Thresholds
) -> tuple[Finding, ...]:
    """All findings, of the whole record first, corrected together.

    A single window is the whole record: it is not tested twice.
    """
    spans: list[tuple[datetime | None, Window]] = [(None, whole)]
    if len(windows) > 1:
        spans += sorted(windows.items())
    found = [
        finding
        for start, window in spans
        for variable, tally in zip(variables, window.tallies, strict=True)
        for finding in _compare(start, variable, tally, thresholds)
    ]
    return _corrected(found, thresholds)


def _compare(start: datetime | None, variable: Variable, tally: Tally, thresholds: Thresholds) -> list[Finding]:
    found = []
    if tally.values.rows and variable.reference.sum() and len(variable.cells) > 1:
        found.append(_of_distribution(start, variable, tally.values, thresholds))
    if tally.missing.rows and variable.missing is not None:
        found.append(_of_rate(start, variable, "missing", variable.missing, tally.missing, thresholds))
    if tally.unseen.rows and variable.unseen is not None:
        found.append(_of_rate(start, variable, "unseen", variable.unseen, tally.unseen, thresholds))
    return found


def _of_distribution(
    start: datetime | None, variable: Variable, counts: ClusteredCounts, thresholds: Thresholds
) -> Finding:
    effective = counts.effective_rows
    tested = effective >= thresholds.least_rows and counts.requests >= thresholds.least_requests
    p = same_distribution(variable.reference, counts.counts, effective, ordered=variable.ordered) if tested else None
    filled = int(((variable.reference + counts.counts) > 0).sum())
    return Finding(
        window=start,
        name=variable.name,
        place=variable.place,
        what="distribution",
        rows=counts.rows,
        requests=counts.requests,
        effective_rows=effective,
        effect=stability_index(variable.reference, counts.counts),
        by_chance=index_by_chance(filled, float(variable.reference.sum()), effective),
        p=p,
    )


def _of_rate(
    start: datetime | None, variable: Variable, what: What, reference: int, counts: ClusteredCounts,
    thresholds: Thresholds,
) -> Finding:  # fmt: skip
    hits, rows, effective = float(counts.counts[1]), counts.rows, counts.effective_rows
    expected, found = reference / max(variable.rows, 1), hits / rows
    tested = effective >= thresholds.least_rows and counts.requests >= thresholds.least_requests
    return Finding(
        window=start,
        name=variable.name,
        place=variable.place,
        what=what,
        rows=rows,
        requests=counts.requests,
        effective_rows=effective,
        effect=found - expected,
        expected=expected,
        found=found,
        p=same_rate(reference, variable.rows, hits, rows, effective) if tested else None,
    )


def _corrected(findings: Sequence[Finding], thresholds: Thresholds) -> tuple[Finding, ...]:
    """The findings with p values that are corrected for the number of tests, and the alarms among them."""
    tested = [finding.p for finding in findings if finding.p is not None]
    adjusted = iter(holm(tested))
    judged = []
    for finding in findings:
        if finding.p is None:
            judged.append(finding)
            continue
        value = next(adjusted)
        least = thresholds.index if finding.what == "distribution" else thresholds.rate
        alarm = value < thresholds.alpha and abs(finding.effect) >= least
        judged.append(msgspec.structs.replace(finding, adjusted=value, alarm=alarm))
    return tuple(judged)
