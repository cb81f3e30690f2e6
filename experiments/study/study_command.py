"""`make study`: when ONNX is worth it, by model family, batch size and threads.

    python -m experiments study --data auto --fast

Exit status: 0 measured, 1 no result because of an error, 130 interrupted.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from bundle.command_line import Parser, whole_number
from bundle.machine import command_line
from bundle.manifest import utc_now
from experiments.study.arguments import add_data_arguments, load, report_or_fail
from experiments.study.comparison import compare, steps
from experiments.study.families import Family, all_families
from experiments.study.machine import OthersClock, describe_machine
from experiments.study.report import write_report
from experiments.study.results import Protocol, StudyResult
from load_testing.cpus import available_cpus
from training.data.prepare import PreparedRows

BATCH_ROWS = (1, 10, 100, 1_000, 10_000, 100_000)
FAST_ROWS = 12_000
THRESHOLD = 0.5


def protocol(*, fast: bool, threads: Sequence[int]) -> Protocol:
    """Seconds of rounds per cell, and the limit of what is measured at all."""
    return Protocol(
        fast=fast,
        seconds=0.3 if fast else 2.0,
        limit=12.0 if fast else 60.0,
        least_rounds=3 if fast else 5,
        most_rounds=15 if fast else 51,
        threads=tuple(threads),
        batch_rows=BATCH_ROWS,
        threshold=THRESHOLD,
    )


def study(rows: PreparedRows, families: Sequence[Family], plan: Protocol, *, seed: int) -> StudyResult:
    """Measure, with a progress bar on standard error."""
    clock = OthersClock()
    with tqdm(total=steps(families, plan), unit="step", dynamic_ncols=True) as bar:

        def progress(what: str) -> None:
            bar.set_postfix_str(what, refresh=False)
            bar.update()

        facts, cells = compare(rows, families, plan, seed=seed, progress=progress)
    return StudyResult(
        dataset=rows.dataset.name,
        data_source=rows.description.source,
        training_rows=rows.training.height,
        held_out_rows=rows.held_out.height,
        created=utc_now(),
        command=command_line(),
        machine=describe_machine(),
        others_cpus=clock.cpus(),
        protocol=plan,
        families=tuple(facts),
        cells=tuple(cells),
    )


def parse_arguments(arguments: list[str] | None) -> tuple[argparse.Namespace, tuple[Family, ...]]:
    """The command line, and the families that it names."""
    parser = Parser("experiments study", __doc__.partition("\n")[0])
    add_data_arguments(parser)
    parser.add_argument(
        "--threads", type=whole_number(1), nargs="+", help="default: 1, and 2 if there are as many CPUs"
    )
    parser.add_argument("--families", nargs="+", metavar="NAME", help="only these (default: all)")
    given = parser.read(arguments)
    given.threads = given.threads or [count for count in (1, 2) if count <= len(available_cpus())]
    names = list(dict.fromkeys(family.name for family in all_families()))
    if unknown := [name for name in given.families or () if name not in names]:
        parser.error(f"--families: there is no {unknown[0]!r}; there are {', '.join(names)}")
    return given, tuple(family for family in all_families() if family.name in (given.families or names))


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 measured, 1 no result because of an error, 130 interrupted."""
    given, families = parse_arguments(arguments)
    plan = protocol(fast=given.fast, threads=given.threads)

    def measure() -> list[Path]:
        most_rows = FAST_ROWS if given.fast else None
        rows = load(given.dataset, given.data, given.data_dir, seed=given.seed, most_rows=most_rows)
        return write_report(study(rows, families, plan, seed=given.seed), given.reports)

    return report_or_fail(measure)
