"""What the page draws of each variable: places and heights, worked out here so that the template only writes them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import get_args

from monitoring.drift.findings import Finding, What
from monitoring.drift.report import DriftReport, VariableShares

WIDTH, HEIGHT = 320.0, 110.0
"""The size of a chart's area in the units of its picture; the text below it takes 18 more."""

MOST_BARS = 8
"""The most bars of a chart; if there are more categories, the last bar is for all others."""

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True)
class Column:
    """A pair of columns side by side, or a single one (`now` alone): left end, width of each, heights, and a title."""

    x: float
    width: float
    then: float
    now: float
    title: str
    kind: str = "now"


@dataclass(frozen=True)
class Label:
    """A text below a chart, and where its middle, start or end stands."""

    x: float
    text: str
    anchor: str = "middle"


@dataclass(frozen=True)
class Bar:
    """A category with its two shares, as parts of `longest`."""

    name: str
    then: float
    now: float


@dataclass(frozen=True)
class Timeline:
    """An effect in every window, up to `highest`; thresholds are at the heights `limits`."""

    title: str
    columns: tuple[Column, ...]
    limits: tuple[float, ...]


@dataclass(frozen=True)
class Card:
    """A variable of the page. `columns` (of numbers) or `bars` (of categories) are its distribution."""

    title: str
    alarm: bool
    lines: tuple[tuple[str, bool], ...]
    columns: tuple[Column, ...]
    labels: tuple[Label, ...]
    bars: tuple[Bar, ...]
    longest: float
    timelines: tuple[Timeline, ...]
    time_labels: tuple[Label, ...]


def cards(report: DriftReport) -> list[Card]:
    """A card for each variable: those with an alarm first, then by the index."""
    made = []
    for variable in report.variables:
        own = [f for f in report.findings if (f.name, f.place) == (variable.name, variable.place)]
        whole = next((f.effect for f in own if f.window is None and f.what == "distribution"), 0.0)
        made.append(((not any(f.alarm for f in own), -whole), _card(report, variable, own)))
    return [card for _, card in sorted(made, key=lambda entry: entry[0])]


def _card(report: DriftReport, variable: VariableShares, findings: Sequence[Finding]) -> Card:
    columns, labels = _histogram(variable) if variable.edges else ((), ())
    bars = () if variable.edges else _bars(variable)
    timelines = (
        _timeline(report, [f for f in findings if f.window and f.what == what], what) for what in get_args(What)
    )
    return Card(
        title=variable.name if variable.place == "feature" else f"{variable.name} (the model's)",
        alarm=any(finding.alarm for finding in findings),
        lines=tuple((_line(report, f), f.alarm) for f in findings if f.window is None),
        columns=columns,
        labels=labels,
        bars=bars,
        longest=max([bar.then for bar in bars] + [bar.now for bar in bars], default=1.0),
        timelines=tuple(filter(None, timelines)),
        time_labels=_time_labels(report),
    )


def _line(report: DriftReport, finding: Finding) -> str:
    verdict = report.judge(finding)
    if finding.expected is None or finding.found is None:
        return f"PSI {finding.effect:.3f} ({finding.by_chance:.3f} by chance): {verdict}"
    return f"{finding.what} {100 * finding.found:.2f} %, expected {100 * finding.expected:.2f} %: {verdict}"


def _histogram(variable: VariableShares) -> tuple[tuple[Column, ...], tuple[Label, ...]]:
    count = len(variable.cells)
    slot = WIDTH / count
    tallest = max(*variable.expected, *variable.found)
    columns = tuple(
        Column(
            x=slot * place + slot * 0.1,
            width=slot * 0.4,
            then=HEIGHT * then / tallest,
            now=HEIGHT * now / tallest,
            title=f"{_cell(variable, place)}: expected {100 * then:.1f} %, recorded {100 * now:.1f} %",
        )
        for place, (then, now) in enumerate(zip(variable.expected, variable.found, strict=True))
    )
    step = max(1, -(-len(variable.edges) // 4))
    labels = tuple(
        Label(slot * (place + 1), _number(variable, edge))
        for place, edge in enumerate(variable.edges)
        if place % step == step // 2
    )
    return columns, labels


def _cell(variable: VariableShares, place: int) -> str:
    if place < len(variable.edges):
        return f"to {_number(variable, variable.edges[place])}"
    return f"above {_number(variable, variable.edges[-1])}"


def _number(variable: VariableShares, value: float) -> str:
    return str(_EPOCH + timedelta(days=value)) if variable.days else f"{value:,.6g}"


def _bars(variable: VariableShares) -> tuple[Bar, ...]:
    every = sorted(
        zip(variable.cells, variable.expected, variable.found, strict=True), key=lambda cell: -max(cell[1], cell[2])
    )
    every = [cell for cell in every if cell[1] or cell[2]]
    shown = every if len(every) <= MOST_BARS else every[: MOST_BARS - 1]
    rest = every[len(shown) :]
    bars = [Bar(*cell) for cell in shown]
    if rest:
        bars.append(Bar(f"{len(rest)} more", sum(cell[1] for cell in rest), sum(cell[2] for cell in rest)))
    return tuple(bars)


def _timeline(report: DriftReport, findings: Sequence[Finding], what: What) -> Timeline | None:
    """The index by window, always; a rate by window, if any of them is an alarm."""
    if not findings or (what != "distribution" and not any(finding.alarm for finding in findings)):
        return None
    expected = findings[0].expected
    least = report.index if expected is None else expected + report.rate
    heights = [f.effect if f.found is None else f.found for f in findings]
    highest = max([least * 1.2, *(height for height, f in zip(heights, findings, strict=True) if f.p is not None)])
    places = {window.start: place for place, window in enumerate(report.windows)}
    slot = WIDTH / max(1, len(places))
    columns = tuple(
        Column(
            x=slot * places[finding.window] + slot * 0.15,
            width=slot * 0.7,
            then=0.0,
            now=HEIGHT * min(1.0, height / highest),
            title=f"{finding.window:%Y-%m-%d %H:%M}: {_line(report, finding)}, {finding.rows:,} rows",
            kind="alarm" if finding.alarm else "few" if finding.p is None else "now",
        )
        for finding, height in zip(findings, heights, strict=True)
        if finding.window is not None
    )
    if expected is None:
        return Timeline(f"PSI by window, to {highest:.2g}", columns, (HEIGHT * (1 - least / highest),))
    title = f"{what.capitalize()} by window, to {100 * highest:.2g} %"
    around = (end for end in (expected - report.rate, least) if end > 0)
    return Timeline(title, columns, tuple(HEIGHT * (1 - end / highest) for end in around))


def _time_labels(report: DriftReport) -> tuple[Label, ...]:
    form = "%m-%d" if report.window_hours >= 24 else "%m-%d %H:%M"
    first, last = report.windows[0], report.windows[-1]
    return (Label(0.0, first.start.strftime(form), "start"), Label(WIDTH, last.start.strftime(form), "end"))
