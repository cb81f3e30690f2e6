"""The texts of a study's Pareto front, for whoever shows it as a table."""

from bundle.training_record import FrontTrial, Study

HEADS = ("trial", "F2", "± SE", "µs/row", "µs/row of 100", "trees", "depth", "nodes", "KB")


def front_cells(study: Study, published: str) -> tuple[tuple[str, ...], ...]:
    """A line of texts per trial of the front, under `HEADS`; `published` is how the published trial's number is
    written, such as `*{}`.
    """
    return tuple(
        (published.format(one.trial) if one.trial == study.chosen_trial else f"{one.trial}", *_measured(one))
        for one in study.front
    )


def _measured(one: FrontTrial) -> tuple[str, ...]:
    return (
        f"{one.f2:.4f}",
        f"{one.standard_error:.4f}",
        f"{one.us_per_row:.1f}",
        f"{one.us_per_row_of_100:.2f}",
        f"{one.trees}",
        f"{one.depth}",
        f"{one.nodes:,}",
        f"{one.graph_bytes / 1e3:,.0f}",
    )
