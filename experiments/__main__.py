"""Measurements of this repository itself: `python -m experiments COMMAND`.

Exit status: 0 measured, 1 something was wrong or there is no result, 2 wrong usage, 130 interrupted.
"""

import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from importlib import import_module
from pathlib import Path

from bundle.command_line import Parser, run
from bundle.errors import BundleError
from bundle.lock import owning_reports
from experiments.errors import ExperimentError
from load_testing.generator_pool import GeneratorError
from load_testing.services import ServiceError
from training.errors import TrainingError

COMMANDS = {
    "study": ("experiments.study.study", "when ONNX is worth it: model families, batch sizes, threads"),
    "session-options": ("experiments.study.session_options", "what each option of ONNX Runtime does to the bundle"),
    "tree-costs": ("experiments.study.tree_costs", "why ONNX Runtime is no faster on large batches of trees"),
    "profile": ("experiments.load.profile", "where the microseconds of a request go"),
    "workers": ("experiments.load.second_worker", "what a second worker is worth"),
    "fairness": ("experiments.load.fairness", "what large batches cost the small requests beside them"),
    "protocols": ("experiments.load.protocols", "what a request costs by each protocol"),
    "overload": ("experiments.load.overload", "what a service does with far more clients than it can serve"),
    "soak": ("experiments.load.soak", "load, hostile input and faults at once"),
    "images": ("experiments.load.image_sizes", "how large the container images are"),
    "report": ("experiments.report.page", "one page of all reports: reports/index.html"),
    "record": ("experiments.report.record", "copy the results in reports/ into experiments/results/"),
    "tables": ("experiments.report.documents", "write the recorded tables into README.md and docs/"),
}
"""Name to (module, its help text). A module has `add_arguments(parser)` and `run(options)`."""


READING = frozenset({"report", "record", "tables"})
"""Commands that measure nothing, and may run beside a measurement."""


@contextmanager
def owning_alone(reports: Path) -> Iterator[None]:
    """Own the reports folder during a measurement. If it was created for it and stays empty, it is removed.

    Raises:
        InUseError: another process owns it.
        OSError: it can't be owned.
    """
    made = not reports.exists()
    try:
        with owning_reports(reports):
            yield
    finally:
        if made:
            with suppress(OSError):  # it has reports in it
                reports.rmdir()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; see the module for the exit status."""
    name, *given = (sys.argv[1:] if arguments is None else arguments) or [""]
    if name not in COMMANDS:
        return run("experiments", COMMANDS)
    module_name, purpose = COMMANDS[name]
    module = import_module(module_name)
    parser = Parser(f"experiments {name}", purpose)
    module.add_arguments(parser)
    options = parser.read(None if arguments is None else given)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes it started are stopped
    try:
        with nullcontext() if name in READING else owning_alone(options.reports):
            status: int = module.run(options)
    except (ExperimentError, BundleError, ServiceError, GeneratorError, TrainingError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no report", file=sys.stderr)
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
