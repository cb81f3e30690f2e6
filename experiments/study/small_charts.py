"""Charts of results that come without: SVG with axes, on white."""

import io
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

COLORS = ("#ea580c", "#fdba74", "#2563eb", "#93c5fd")
BLUE, GREY = "#2563eb", "#94a3b8"
PLAIN = {"facecolor": "white", "edgecolor": "none", "pad": 1}


def bars(title: str, values: Mapping[str, float], unit: str) -> bytes:
    """A bar per value, from above; the first is the basis, at which a line stands."""
    figure = Figure(figsize=(7.2, 1.3 + 0.3 * len(values)), layout="constrained")
    axes = figure.subplots()
    names = list(values)[::-1]
    drawn = axes.barh(names, [values[name] for name in names], color=BLUE)
    axes.bar_label(drawn, fmt="{:,.1f}", padding=3, fontsize=8, bbox=PLAIN)
    axes.axvline(next(iter(values.values()), 0), color=GREY, linewidth=1, linestyle="--")
    axes.margins(x=0.12)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel(unit)
    return _svg(figure, title)


def lines(title: str, across: Sequence[float], series: Mapping[str, Sequence[float]], units: tuple[str, str]) -> bytes:
    """A line per series over `across`, both axes logarithmic."""
    figure = Figure(figsize=(7.2, 4.4), layout="constrained")
    axes = figure.subplots()
    for color, (name, values) in zip(COLORS, series.items(), strict=True):
        axes.plot(across, values, "o-", color=color, markersize=4, label=name)
    axes.set(xscale="log", yscale="log", xlabel=units[0], ylabel=units[1])
    axes.set_xticks(across, [f"{value:,}" for value in across])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.grid(axis="y", color="#e2e8f0")
    axes.legend(frameon=False)
    return _svg(figure, title)


def _svg(figure: Figure, title: str) -> bytes:
    figure.axes[0].spines[["top", "right"]].set_visible(False)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    drawn = io.BytesIO()
    figure.savefig(drawn, format="svg")
    return drawn.getvalue()
