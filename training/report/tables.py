"""The tables of a training run, for terminal, report and page."""

from bundle.table import Table
from bundle.training_record import FrontTrial, Metrics, Study
from training.model.score import label_of, number_text

_COUNTS = ("true_", "false_")


def score_table(metrics: Metrics) -> Table:
    """A line per score that both sets of rows have; the counts of the confusion matrix have a picture instead."""
    out_of_fold, held_out = metrics.out_of_fold, metrics.held_out
    names = [name for name in out_of_fold if name in held_out and not name.startswith(_COUNTS)]
    rows = tuple((name, number_text(out_of_fold[name]), number_text(held_out[name])) for name in names)
    return Table("Scores", ("score", "out of sample", "held out"), rows)


def parameter_table(study: Study) -> Table:
    """What the study chose."""
    values = study.best_parameters.items()
    rows = tuple((name, f"{value:.5g}" if isinstance(value, float) else f"{value}") for name, value in values)
    return Table("Parameters that the study chose", ("parameter", "value"), rows)


def front_table(study: Study) -> Table:
    """The Pareto front, out of fold: what could have been published instead. The published trial has an asterisk."""
    heads = ("trial", label_of(study.score), "± SE", "µs/row", "µs/row of 100", "trees", "depth", "nodes", "KB")
    rows = tuple((f"*{one.trial}" if one.trial == study.chosen_trial else f"{one.trial}", *_cells(one))
                 for one in study.front)  # fmt: skip
    published = f"Published: trial {study.chosen_trial}, {study.choice}."
    return Table(
        "Accuracy against latency: the Pareto front, out of fold", heads, rows, frozenset(), notes=(published,)
    )


def _cells(one: FrontTrial) -> tuple[str, ...]:
    return (
        f"{one.score:.4f}",
        f"{one.standard_error:.4f}",
        f"{one.us_per_row:.1f}",
        f"{one.us_per_row_of_100:.2f}",
        f"{one.trees}",
        f"{one.depth}",
        f"{one.nodes:,}",
        f"{one.graph_bytes / 1e3:,.0f}",
    )
