"""`make soak`: load, hostile input and faults at once, for a long time; then one table of what became of it.

Every answer to an honest request is checked against the bundle's reference. Hostile requests, and the faults of the
service's surroundings, must leave no trace in them. The exit status is 1 if a request was lost or answered wrongly, or
if a hostile one was answered otherwise than documented.
"""

import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import msgspec

from bundle.command_line import Parser, file_path, real_number
from bundle.errors import BundleError
from bundle.files import encode_result, write_files
from bundle.machine import Machine, command_line
from bundle.manifest import utc_now
from experiments.load.soak_faults import (
    BURST_CONNECTIONS,
    FAULT_SECONDS,
    IDLE_CONNECTIONS,
    Faults,
    HostileCounts,
    HostileRequests,
    Repeated,
    allow_files,
)
from experiments.load.soak_faults import workers as workers_of
from experiments.load.soak_load import HonestClients, LoadCounts
from load_testing.cpus import available_cpus
from load_testing.machine import describe_machine
from load_testing.payloads import Reference, read_reference
from load_testing.process_tree import memory
from load_testing.scenarios import parse_address
from load_testing.services import DEFAULT_WAIT, Service, ServiceError, ServiceSpec, known_services, running

WORKERS = 2
REQUEST_SECONDS = 5
"""So that slow clients come round often enough."""

WARM_UP_SHARE = 0.1
"""How much of the soak is over when memory is measured for the first time."""

_MEBIBYTE = 1 << 20


class Memory(msgspec.Struct):
    """Bytes: proportional set size of all processes after the warm-up and at the end, resident set of the oldest worker
    at the same times, and the sum of the processes' highest resident sets.
    """

    start: int
    end: int
    oldest_start: int
    oldest_end: int
    peak: int


class SoakResult(msgspec.Struct):
    """What became of one service."""

    service: str
    seconds: float
    load: LoadCounts
    hostile: HostileCounts
    faults: dict[str, int]
    shed_in_bursts: int
    memory: Memory

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, wrong, or answered otherwise than documented."""
        return not (self.load.lost or self.load.wrong or self.hostile.unexpected)


class SoakReport(msgspec.Struct):
    """What `soak.json` holds: every service's result, when and where it was measured, and the command that did it."""

    created: datetime
    command: str
    machine: Machine
    results: list[SoakResult]


def soak(spec: ServiceSpec, reference: Reference, models: Path, seconds: float) -> SoakResult:
    """Soak one service, which gets a copy of the bundle.

    Raises:
        ServiceError: it couldn't be started, or ended by itself.
    """
    spec = replace(spec, environment=(*spec.environment, ("SERVE_REQUEST_SECONDS", str(REQUEST_SECONDS)), DEFAULT_WAIT))
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        copy = Path(shutil.copytree(models, Path(folder) / "models", symlinks=True))
        with running(spec, copy, available_cpus(), WORKERS) as service:
            return _soak(service, reference, copy, seconds)


def _soak(service: Service, reference: Reference, models: Path, seconds: float) -> SoakResult:
    address = parse_address(service.url)
    honest = HonestClients(reference, address)
    hostile = HostileRequests(reference, address)
    faults = Faults(service, address, models, reference.bodies[0])
    threads = (Repeated(hostile.turns(), 0.0), Repeated(faults.turns(), FAULT_SECONDS))
    start: list[tuple[int, int]] = []
    first = threading.Timer(WARM_UP_SHARE * seconds, lambda: start.append(_memory_now(service)))
    for thread in (*threads, first):
        thread.start()
    started = time.monotonic()
    honest.run(seconds)
    for thread in threads:
        thread.stop()
    first.join()
    lasted = time.monotonic() - started
    time.sleep(2 * REQUEST_SECONDS)  # what hostile clients left behind is gone by then
    (used_start, oldest_start), (used_end, oldest_end) = start[0], _memory_now(service)
    return SoakResult(
        service=service.spec.name,
        seconds=lasted,
        load=honest.counts,
        hostile=hostile.counts,
        faults=dict(faults.injected),
        shed_in_bursts=faults.shed,
        memory=Memory(used_start, used_end, oldest_start, oldest_end, memory(service.pid).peak),
    )


def _memory_now(service: Service) -> tuple[int, int]:
    return memory(service.pid).used, workers_of(service.pid)[0].memory_info().rss


def format_table(results: Sequence[SoakResult]) -> str:
    """A Markdown table, a column per service."""
    head = ["| | " + " | ".join(result.service for result in results) + " |", "|---|" + "---:|" * len(results)]
    return "\n".join([*head, *(f"| {name} | {' | '.join(cells)} |" for name, cells in table_rows(results).items())])


def table_rows(results: Sequence[SoakResult]) -> dict[str, list[str]]:
    """{what is counted or measured: a text per service}; what must be 0 is between asterisks."""
    rows = {
        "minutes": [f"{result.seconds / 60:.1f}" for result in results],
        "requests answered rightly": [f"{result.load.requests:,}" for result in results],
        "rows in them": [f"{result.load.rows:,}" for result in results],
        "hostile requests and clients tried": [f"{result.hostile.tried:,}" for result in results],
        "faults injected": [f"{sum(result.faults.values()):,}" for result in results],
    }
    kinds = dict.fromkeys(kind for result in results for kind in result.faults)
    rows |= {f"- {kind}": [f"{result.faults.get(kind, 0):,}" for result in results] for kind in kinds}
    return rows | {
        "refused in bursts (503)": [f"{result.shed_in_bursts:,}" for result in results],
        "refused else (503), tried again": [f"{result.load.shed:,}" for result in results],
        "cut off, tried again": [f"{result.load.cut_off:,}" for result in results],
        "**lost**": [f"{result.load.lost:,}" for result in results],
        "**wrong**": [f"{result.load.wrong.total():,}" for result in results],
        "**hostile, answered otherwise than documented**": [
            f"{result.hostile.unexpected.total():,}" for result in results
        ],
        "memory after the warm-up, MiB": [_mebibytes(result.memory.start) for result in results],
        "memory at the end, MiB": [_mebibytes(result.memory.end) for result in results],
        "oldest worker, start to end, MiB": [
            f"{_mebibytes(result.memory.oldest_start)} → {_mebibytes(result.memory.oldest_end)}" for result in results
        ],
        "peak, MiB": [_mebibytes(result.memory.peak) for result in results],
    }


def _mebibytes(size: int) -> str:
    return f"{size / _MEBIBYTE:.0f}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status 0, or 1 if something was lost, wrong, or went wrong."""
    parser = Parser("experiments soak", __doc__)
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for soak.json and soak.md")
    parser.add_argument("--duration", type=real_number(), default=60.0, help="seconds for each service")
    parser.add_argument("--services", nargs="+", help="names (default: all that are built)")
    options = parser.read(arguments)
    results: list[SoakResult] = []
    try:
        allow_files(IDLE_CONNECTIONS + BURST_CONNECTIONS)
        reference = read_reference(options.models)
        specs = known_services()
        if unknown := sorted({*(options.services or ())} - {*specs}):
            raise ServiceError(f"there is no service {unknown[0]!r}; there are {', '.join(specs)}")
        for name in options.services or specs:
            print(f"{name}: {options.duration:g} s of load, hostile input and faults", flush=True)
            results.append(soak(specs[name], reference, options.models, options.duration))
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    table = format_table(results)
    print(f"\n{table}\n")
    _write(results, table, options.reports)
    for result in results:
        for fault, count in (*result.load.wrong.items(), *result.hostile.unexpected.items()):
            print(f"{result.service}: {fault} ({count} times)", file=sys.stderr)
    return 0 if all(result.ok for result in results) else 1


def _write(results: list[SoakResult], table: str, folder: Path) -> None:
    report = SoakReport(created=utc_now(), command=command_line(), machine=describe_machine(), results=results)
    machine = f"{report.machine.processor}, {report.machine.cpus} CPUs, Python {report.machine.python}"
    about = f"{report.created:%Y-%m-%d %H:%M} UTC, {machine}"
    contents = {"soak.md": f"# Soak\n\n{about}\n\n{table}\n".encode(), "soak.json": encode_result(report)}
    write_files(folder, contents)
