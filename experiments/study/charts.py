"""The chart of the families' comparison."""

import io
import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullLocator

from experiments.study.cells import title
from experiments.study.results import StudyResult

SLOWER = "#fee2e2"
PALETTE = (
    "#94a3b8", "#0f172a", "#059669", "#b45309", "#7c3aed", "#db2777", "#22d3ee", "#0ea5e9", "#2563eb", "#4338ca",
    "#172554",
)  # fmt: skip
HOLLOW = "hollow: other processes left too few CPUs\n(such a point may lie beyond the chart)\n"
MARKERS = "osD^vPX<>ph"


def draw_speedup(result: StudyResult) -> bytes:
    """Speed-up over batch size, a panel per number of threads and a line per family."""
    panels = result.protocol.threads
    figure = Figure(figsize=(5.2 * len(panels) + 2.6, 5.4), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, threads in zip(row, panels, strict=True):
        _speedup_panel(axes, result, threads)
    figure.axes[0].set_ylabel("native time / ONNX time")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    legend = {"title": HOLLOW, "alignment": "left"} if any(cell.speedup and cell.note for cell in result.cells) else {}
    figure.legend(
        handles, labels, loc="outside right upper", frameon=False, fontsize=8.5, labelspacing=0.9, title_fontsize=8.5,
        **legend,
    )  # fmt: skip
    figure.suptitle("Speed-up of ONNX Runtime over the native pipeline", x=0.01, ha="left", fontweight="bold")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    return drawn.getvalue()


def _speedup_panel(axes: Axes, result: StudyResult, threads: int) -> None:
    for index, family in enumerate(result.families):
        cells = [cell for cell in result.cells_of(family, threads) if cell.speedup is not None]
        color, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
        axes.plot(
            [cell.rows for cell in cells], [cell.speedup or math.nan for cell in cells],
            color=color, marker=marker, markersize=5, linewidth=1.4, label=title(family),
        )  # fmt: skip
        disturbed = [(cell.rows, cell.speedup) for cell in cells if cell.note]
        if disturbed:
            axes.plot(*zip(*disturbed, strict=True), color=color, marker=marker, markersize=5, markerfacecolor="white",
                      linestyle="none")  # fmt: skip
    trusted = [cell.speedup for cell in result.cells if cell.speedup and not cell.note]
    lowest, highest = min([0.5, *trusted]) * 0.7, max([2.0, *trusted]) * 1.3
    axes.axhspan(lowest, 1, color=SLOWER, zorder=0)
    axes.axhline(1, color="#b91c1c", linewidth=1)
    axes.text(0.02, 0.015, "ONNX Runtime is slower", ha="left", va="bottom", color="#b91c1c", fontsize=9,
              transform=axes.transAxes)  # fmt: skip
    axes.set(xscale="log", yscale="log", ylim=(lowest, highest))
    axes.set_title("one thread" if threads == 1 else f"{threads} threads", loc="left", fontsize=10)
    axes.set_xlabel("rows per call")
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500) if lowest <= tick <= highest]
    axes.set_yticks(ticks)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}x"))
    _rows_axis(axes, result)


def _rows_axis(axes: Axes, result: StudyResult) -> None:
    axes.set_xticks(result.protocol.batch_rows)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value / 1000:g}k" if value >= 1000 else f"{value:g}")
    )
    axes.grid(visible=True, color="#e2e8f0", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
