"""The Pareto front of the score against latency, as a picture."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from optuna.trial import FrozenTrial, TrialState

from bundle.training_record import FrontTrial, Study
from training.model.score import label_of

BLUE, ORANGE, GREY = "#2563eb", "#ea580c", "#94a3b8"


def draw_front(axes: Axes, study: Study, trials: Sequence[FrozenTrial]) -> None:
    """All complete trials, the front, and the published trial. The front sets the scale: worse ones lie below."""
    front, label = study.front, label_of(study.score)
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    axes.scatter([t.values[1] for t in complete], [t.values[0] for t in complete], s=16, color=GREY, label="trial")
    axes.plot(*_points(front), "o-", color=BLUE, markersize=5, drawstyle="steps-post", label="Pareto front")
    published = next((t for t in complete if t.number == study.chosen_trial), None)
    if published is not None:
        place = (published.values[1], published.values[0])
        axes.plot(*place, "o", color=ORANGE, markersize=9, label=f"published: trial {published.number}")
    axes.axhline(
        front[0].score - front[0].standard_error, color=ORANGE, linewidth=1, linestyle="--",
        label=f"best {label} less its standard error",
    )  # fmt: skip
    values = [one.score for one in front] + ([published.values[0]] if published else [])
    margin = 0.08 * (max(values) - min(values)) or 0.01
    axes.set(xscale="log", xlabel="ONNX Runtime, µs/row (one row a call, one thread)", ylabel=f"{label}, out of fold")
    axes.set_ylim(min(values) - margin, max(values) + margin)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 4, 5, 7)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.legend(frameon=False, loc="lower right")


def _points(front: Sequence[FrontTrial]) -> tuple[list[float], list[float]]:
    """From the fastest to the slowest."""
    return [one.us_per_row for one in front][::-1], [one.score for one in front][::-1]
