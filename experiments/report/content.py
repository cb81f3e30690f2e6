"""All that the markers may name."""

import re
import textwrap
from collections.abc import Callable

from experiments.report import benchmark_blocks, capacity, study_blocks
from experiments.report.errors import ClaimError
from experiments.report.figures import named_figures
from experiments.report.markers import Content
from experiments.report.recorded_results import Results

WIDTH = 120
TABLES: dict[str, Callable[[Results], list[str]]] = {
    "benchmark": benchmark_blocks.main_table,
    "start-and-memory": benchmark_blocks.costs_table,
    "workers": benchmark_blocks.workers_table,
    "fairness": benchmark_blocks.fairness_table,
    "profile": benchmark_blocks.profile_table,
    "capacity": capacity.capacity_table,
    "families": study_blocks.families_table,
    "families-on-two-threads": study_blocks.families_on_two_threads_table,
    "large-numbers": study_blocks.large_numbers_table,
    "tree-costs": study_blocks.trees_table,
    "session-options": study_blocks.settings,
    "quantisation": study_blocks.quantized,
}
PARAGRAPHS: dict[str, Callable[[Results], str]] = {
    "skew": benchmark_blocks.skew_sentence,
    "images": benchmark_blocks.images_sentence,
    "capacity-of-batches": capacity.batch_sentence,
    "agreement": study_blocks.agreement_sentence,
    "benchmark-setup": benchmark_blocks.setup,
    "performance-setup": benchmark_blocks.performance_setup,
    "study-setup": study_blocks.setup,
}


def content_of(results: Results) -> Content:
    """Every figure and block.

    Raises:
        ClaimError: a result lacks a service, an image or a scenario that the documentation speaks of.
    """
    try:
        paragraphs = {name: build(results) for name, build in PARAGRAPHS.items()}
        tables = {name: _table(build(results)) for name, build in TABLES.items()}
        figures = named_figures(results)
    except (KeyError, StopIteration, IndexError, ValueError) as error:
        raise ClaimError(f"the results lack what the documentation speaks of: {error!r}") from error
    return Content(figures, tables | {name: _wrapped(text) for name, text in paragraphs.items()})


def _table(lines: list[str]) -> str:
    return "\n".join(line if line.startswith("|") else _wrapped(line) for line in lines)


def _wrapped(text: str) -> str:
    """Lines of the documents' width; what is in backticks stays on one."""
    whole = re.sub(r"`[^`]*`", lambda code: code[0].replace(" ", "\0"), text)
    return "\n".join(textwrap.wrap(whole, WIDTH, break_long_words=False, break_on_hyphens=False)).replace("\0", " ")
