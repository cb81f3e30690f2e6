"""The result of `make session-options`, from which all its reports are made."""

import statistics
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from bundle.table import Table
from experiments.study.cells import count_rows
from experiments.study.machine import ResultBesideOthers


class OptionLatency(msgspec.Struct, frozen=True, kw_only=True):
    """Median µs per call, the median of its ratios to the basis in the same round, and the verdict on the ratio."""

    us: float
    ratio: float
    verdict: str


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """Against what the rows' predictions should be: the largest |Δp|, and how many labels differ."""

    rows: int
    max_difference: float
    different_labels: int


class SettingResult(msgspec.Struct, frozen=True, kw_only=True):
    """A session setting on the bundle's packed graph.

    `latency` is {rows per call: latency}; `load_ms` the median time to make a session; `bytes` what it is made of;
    `placement` says which nodes it runs.
    """

    name: str
    latency: dict[int, OptionLatency]
    load_ms: float
    bytes: int
    skew: Skew
    placement: str


class QuantizationResult(msgspec.Struct, frozen=True, kw_only=True):
    """A graph before or after quantisation; `added` are the operators added ("" before; "none": nothing)."""

    graph: str
    way: str
    added: str
    bytes: int
    latency: dict[int, OptionLatency]
    skew: Skew
    f2: float
    accuracy: float


class SessionResult(ResultBesideOthers, frozen=True, kw_only=True):
    """The whole comparison. `noise` is {rows: share by which a ratio must differ from 1 to count}."""

    title: ClassVar = "Session options"
    file: ClassVar = "study/session_options.json"
    made_by: ClassVar = "make session-options"

    model: str
    version: str
    rounds: int
    noise: dict[int, float]
    settings: tuple[SettingResult, ...]
    quantization: tuple[QuantizationResult, ...]

    def facts(self) -> dict[str, str]:
        """Model, protocol, and what else the machine did."""
        noise = ", ".join(f"{share:.1%} for {count_rows(rows)}" for rows, share in self.noise.items())
        return {
            "model": f"{self.model} {self.version}, the packed graph",
            "protocol": f"changes of the product's own settings in {self.rounds} interleaved rounds; times are "
            f"medians; a ratio to the product's settings counts that is farther from 1 than the noise ({noise}), if "
            "three quarters of the rounds agree",
        } | super().facts()

    def key_figures(self) -> tuple[str, ...]:
        """Settings that differ from the product's."""
        found = [
            f"{setting.name}: {latency.verdict} ({count_rows(rows)})"
            for setting in self.settings
            for rows, latency in setting.latency.items()
            if latency.verdict not in {"basis", "no difference"}
        ]
        return ("; ".join(found) or f"none of {len(self.settings)} settings differs from the product's",)

    def tables(self) -> tuple[Table, ...]:
        """Settings, the nodes that they run, and quantisation."""
        sizes = len(self.noise)
        settings = ("setting", *self._heads(), "load ms", "KB", "max diff", "labels that differ")
        graphs = ("graph", "as", "operators added", "KB", *self._heads(), "max diff", "labels that differ", "F2",
                  "accuracy")  # fmt: skip
        placed: dict[str, list[str]] = {}
        for setting in self.settings:
            placed.setdefault(setting.placement, []).append(setting.name)
        nodes = tuple((", ".join(names), placement) for placement, names in placed.items())
        settings_words = frozenset({0, *range(2, 1 + 2 * sizes, 2)})
        graph_words = frozenset({0, 1, 2, *range(5, 4 + 2 * sizes, 2)})
        return (
            Table("Settings", settings, tuple(map(self._setting, self.settings)), settings_words),
            Table("Nodes", ("settings", "nodes"), nodes, frozenset({0, 1})),
            Table("Quantisation", graphs, tuple(map(self._graph, self.quantization)), graph_words),
        )

    def _heads(self) -> tuple[str, ...]:
        return tuple(head for rows in self.noise for head in (f"{count_rows(rows)}: µs", "verdict"))

    def _latencies(self, latency: dict[int, OptionLatency]) -> tuple[str, ...]:
        found = (latency.get(rows) for rows in self.noise)
        return tuple(text for one in found for text in ((f"{one.us:,.1f}", one.verdict) if one else ("-", "")))

    def _setting(self, one: SettingResult) -> tuple[str, ...]:
        skew = (f"{one.skew.max_difference:.1e}", f"{one.skew.different_labels:,}")
        return (one.name, *self._latencies(one.latency), f"{one.load_ms:.1f}", f"{one.bytes / 1e3:,.0f}", *skew)

    def _graph(self, one: QuantizationResult) -> tuple[str, ...]:
        skew = (f"{one.skew.max_difference:.1e}", f"{one.skew.different_labels:,} of {one.skew.rows:,}")
        scores = (f"{one.f2:.4f}", f"{one.accuracy:.4f}")
        size = f"{one.bytes / 1e3:,.0f}"
        return (one.graph, one.way, one.added or "none", size, *self._latencies(one.latency), *skew, *scores)


def verdict(ratios: Sequence[float], noise: float) -> str:
    """The verdict on the rounds' time ratios, given how far ratios of a setting to itself deviate from 1.

    Three quarters of the rounds must agree with their median, and the median must be farther from 1 than the noise.
    """
    lower, ratio, upper = statistics.quantiles(ratios, n=4)
    if abs(ratio - 1) <= noise or lower <= 1 <= upper:
        return "no difference"
    return f"{1 - ratio:.0%} less time" if ratio < 1 else f"{ratio - 1:.0%} more time"
