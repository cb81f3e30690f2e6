"""`make workers`: what a second worker is worth, by the CPU time that a request costs the service.

One worker, then two, on the same CPU, in interleaved rounds, each worker with the same number of connections: with
fewer of them a turn of the event loop finds fewer requests waiting, and each pays a larger share of the turn. The load
generator has the other CPUs to itself, so it is no part of the count. With a CPU for each worker, two serve
2 · (CPU time with one) / (CPU time with two) times as much as one.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec

from bundle.command_line import Parser, file_path, real_number, whole_number
from bundle.errors import BundleError
from bundle.manifest import read_manifest
from load_testing.command_results import WorkersCell, WorkersReport, origin, write_result
from load_testing.cpus import available_cpus, split_cpus
from load_testing.generator_pool import GeneratorError, generator_pool
from load_testing.measurement import Run, measure_run
from load_testing.results import Protocol, Spread
from load_testing.scenarios import SCENARIOS
from load_testing.services import ServiceError, known_services, running

WORKERS = (1, 2)


def measure(
    services: Sequence[str], scenarios: Sequence[str], models: Path, protocol: Protocol
) -> dict[tuple[str, str, int], list[Run]]:
    """(Scenario, service, number of workers) to its runs. `protocol.users` is the number of clients of each worker.

    Raises:
        ServiceError, GeneratorError: a process couldn't be started, or broke down.
    """
    specs = known_services()
    if unknown := sorted({*services} - {*specs}):
        raise ServiceError(f"there is no service {unknown[0]!r}; there are {', '.join(specs)}")
    cpus = frozenset(protocol.server_cpus)
    runs: dict[tuple[str, str, int], list[Run]] = {}
    with ExitStack() as stack:
        pool = stack.enter_context(generator_pool(models, frozenset(protocol.client_cpus)))
        started = [
            (count, stack.enter_context(running(specs[name], models, cpus, count)))
            for name in services
            for count in WORKERS
        ]
        for _ in range(protocol.rounds):
            for scenario in scenarios:
                for count, service in started:
                    of_count = msgspec.structs.replace(protocol, users=protocol.users * count)
                    run = measure_run(pool, service, scenario, of_count)
                    runs.setdefault((scenario, service.spec.name, count), []).append(run)
    return runs


def summarise(runs: dict[tuple[str, str, int], list[Run]]) -> tuple[WorkersCell, ...]:
    """The runs of each scenario and service."""
    cells = []
    for scenario, service in dict.fromkeys(key[:2] for key in runs):
        of_counts = [runs[scenario, service, count] for count in WORKERS]
        one, two = (Spread.of(1e6 * r.server_cpu_seconds / r.load.requests for r in rs) for rs in of_counts)
        failed = sum(run.load.failed for of_count in of_counts for run in of_count)
        cells.append(WorkersCell(scenario=scenario, service=service, one_cpu_us=one, two_cpu_us=two, failed=failed))
    return tuple(cells)


def format_table(cells: Sequence[WorkersCell]) -> str:
    """A Markdown table: median CPU µs of a request with one and two workers, and what two workers are worth."""
    lines = [
        "| requests | service | one worker: CPU µs | two workers: CPU µs | two serve | failed |",
        "|---|---|---:|---:|---:|---:|",
    ]
    for cell in cells:
        one, two = cell.one_cpu_us.median, cell.two_cpu_us.median
        lines.append(
            f"| {cell.scenario} | {cell.service} | {one:,.1f} | {two:,.1f} | {cell.gain:.2f}x | {cell.failed} |"
        )
    return "\n".join(lines)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("experiments workers", __doc__.partition("\n")[0])
    parser.add_argument("--duration", type=real_number(), default=3, help="seconds of load per run")
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients of each worker")
    parser.add_argument("--rounds", type=whole_number(1), default=3)
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=["single", "batch100"])
    parser.add_argument("--services", nargs="+", default=["onnx"], help="pickle, onnx, axum")
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for workers.json")
    return parser.read(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 measured, 1 a failed request or no result."""
    given = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes it started are stopped
    cpus = split_cpus(available_cpus(), 1)
    protocol = Protocol(
        seconds=given.duration,
        warm_up=1,
        rounds=given.rounds,
        users=given.users,
        workers=1,
        server_cpus=tuple(sorted(cpus.server)),
        client_cpus=tuple(sorted(cpus.client)),
        cold_starts=1,
    )
    try:
        manifest = read_manifest(given.models)
        cells = summarise(measure(given.services, given.scenarios, given.models, protocol))
        plan = {"seconds": given.duration, "rounds": given.rounds, "users": given.users}
        path = write_result(WorkersReport(**origin(manifest), **plan, cells=cells), given.reports, "workers")
    except (BundleError, ServiceError, GeneratorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(format_table(cells), path, sep="\n\n")
    return 1 if any(cell.failed for cell in cells) else 0
