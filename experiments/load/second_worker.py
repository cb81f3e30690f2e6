"""`make workers`: how much a second worker gains, by the CPU time that a request costs the service.

One worker, then two, on the same CPU, in interleaved rounds, each worker with the same number of connections: with
fewer of them a turn of the event loop finds fewer requests waiting, and each pays a larger share of the turn. The load
generator has the other CPUs to itself, so its time is not counted. With a CPU for each worker, two serve
2 · (CPU time with one) / (CPU time with two) times as much as one.
"""

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import ClassVar

import msgspec

from bundle.command_line import real_number, whole_number
from bundle.manifest import read_manifest
from bundle.table import Table
from experiments.command import add_folders, publish
from load_testing.cpus import available_cpus, split_cpus
from load_testing.generator_pool import generator_pool
from load_testing.measurement import Run, measure_run
from load_testing.model_result import ModelResult, origin
from load_testing.results import LoadProtocol, Spread
from load_testing.scenarios import SCENARIOS
from load_testing.services import ServiceError, known_services, running

WORKERS = (1, 2)


class WorkersCell(msgspec.Struct, frozen=True, kw_only=True):
    """CPU µs that a request costs a service with one worker and with two, and how many requests failed in all."""

    scenario: str
    service: str
    one_cpu_us: Spread
    two_cpu_us: Spread
    failed: int

    @property
    def gain(self) -> float:
        """Throughput of two workers, with a CPU for each, as a multiple of that of one."""
        return 2 * self.one_cpu_us.median / self.two_cpu_us.median


class WorkersReport(ModelResult, frozen=True, kw_only=True):
    """`users` is the number of clients of each worker."""

    title: ClassVar = "A second worker"
    file: ClassVar = "workers.json"
    made_by: ClassVar = "make workers"

    seconds: float
    rounds: int
    users: int
    cells: tuple[WorkersCell, ...]

    @property
    def ok(self) -> bool:
        """No request failed."""
        return not any(cell.failed for cell in self.cells)

    def key_figures(self) -> tuple[str, ...]:
        """How much two workers serve."""
        gains = ", ".join(f"{cell.service} {cell.scenario} {cell.gain:.2f}x" for cell in self.cells)
        return (f"two workers serve: {gains}",)

    def tables(self) -> tuple[Table, ...]:
        """A line per scenario and service."""
        heads = ("requests", "service", "one worker: CPU µs", "two workers: CPU µs", "two serve", "failed")
        rows = tuple(
            (
                cell.scenario,
                cell.service,
                f"{cell.one_cpu_us.median:,.1f}",
                f"{cell.two_cpu_us.median:,.1f}",
                f"{cell.gain:.2f}x",
                f"{cell.failed:,}",
            )
            for cell in self.cells
        )
        failed = frozenset(number for number, cell in enumerate(self.cells) if cell.failed)
        return (Table("CPU time of a request", heads, rows, frozenset({0, 1}), failed),)


def measure(
    services: Sequence[str], scenarios: Sequence[str], models: Path, protocol: LoadProtocol
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=5, help="seconds of load per run")
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients of each worker")
    parser.add_argument("--rounds", type=whole_number(1), default=3)
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=["single", "batch100"])
    parser.add_argument("--services", nargs="+", default=["onnx"], help="pickle, onnx, axum")


def run(options: argparse.Namespace) -> int:
    """Measure one worker against two."""
    cpus = split_cpus(available_cpus(), 1)
    protocol = LoadProtocol(
        seconds=options.duration,
        warm_up=1,
        rounds=options.rounds,
        users=options.users,
        workers=1,
        server_cpus=tuple(sorted(cpus.server)),
        client_cpus=tuple(sorted(cpus.client)),
        cold_starts=1,
    )
    manifest = read_manifest(options.models)
    cells = summarise(measure(options.services, options.scenarios, options.models, protocol))
    plan = {"seconds": options.duration, "rounds": options.rounds, "users": options.users}
    return publish(WorkersReport(**origin(manifest), **plan, cells=cells), options.reports)
