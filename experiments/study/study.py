"""`make study`: when ONNX is worth it, by model family, batch size and threads."""

import argparse
from collections.abc import Sequence

from bundle.command_line import whole_number
from experiments.command import add_folders, publish
from experiments.study.arguments import add_data_arguments, load
from experiments.study.cells import StudyProtocol
from experiments.study.charts import draw_speedup
from experiments.study.comparison import compare, steps
from experiments.study.families import Family, all_families
from experiments.study.machine import OthersClock
from experiments.study.results import StudyResult
from load_testing.cpus import available_cpus
from training.data.prepare import PreparedRows
from training.progress import progress_bar

BATCH_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
FAST_ROWS = 12_000
THRESHOLD = 0.5


def protocol(*, fast: bool, threads: Sequence[int]) -> StudyProtocol:
    """Seconds of rounds per cell, and the limit over which a cell is not measured."""
    return StudyProtocol(
        fast=fast,
        seconds=0.3 if fast else 2.0,
        limit=12.0 if fast else 60.0,
        least_rounds=3 if fast else 5,
        most_rounds=15 if fast else 51,
        threads=tuple(threads),
        batch_rows=BATCH_ROWS,
        threshold=THRESHOLD,
    )


def study(rows: PreparedRows, families: Sequence[Family], plan: StudyProtocol, *, seed: int) -> StudyResult:
    """Measure, with a progress bar on standard error."""
    clock = OthersClock()
    with progress_bar("study", "step", total=steps(families, plan)) as bar:

        def progress(what: str) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update()

        facts, cells = compare(rows, families, plan, seed=seed, progress=progress)
    return StudyResult(
        dataset=rows.dataset.name,
        data_source=rows.description.source,
        training_rows=rows.training.height,
        held_out_rows=rows.held_out.height,
        **clock.origin(),
        protocol=plan,
        families=tuple(facts),
        cells=tuple(cells),
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    names = list(dict.fromkeys(family.name for family in all_families()))
    add_folders(parser, models=False)
    add_data_arguments(parser)
    parser.add_argument(
        "--threads", type=whole_number(1), nargs="+", help="default: 1, and 2 where there are as many CPUs"
    )
    parser.add_argument("--families", nargs="+", choices=names, metavar="NAME", help="only these (default: all)")


def run(options: argparse.Namespace) -> int:
    """Measure the families."""
    families = [family for family in all_families() if not options.families or family.name in options.families]
    threads = options.threads or [count for count in (1, 2) if count <= len(available_cpus())]
    plan = protocol(fast=options.fast, threads=threads)
    most_rows = FAST_ROWS if options.fast else None
    rows = load(options.dataset, options.data, options.data_dir, seed=options.seed, most_rows=most_rows)
    result = study(rows, families, plan, seed=options.seed)
    return publish(result, options.reports, {"speedup.svg": draw_speedup(result)})
