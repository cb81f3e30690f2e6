"""`make soak`: load, hostile input and faults at once, for a long time; then one table of what became of it.

Every answer to an honest request is checked against the bundle's reference. Hostile requests, and the faults of the
service's surroundings, must leave no trace in them. The exit status is 1 if a request was lost or answered wrongly, or
if a hostile one was answered otherwise than documented.
"""

import argparse
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import msgspec

from bundle.command_line import real_number
from bundle.machine import command_line
from bundle.manifest import utc_now
from bundle.result import Result
from bundle.table import Table
from experiments.command import add_folders, publish
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


class SoakReport(Result, frozen=True, kw_only=True):
    """Every service's result."""

    title: ClassVar = "Soak"
    file: ClassVar = "soak.json"
    made_by: ClassVar = "make soak"

    results: tuple[SoakResult, ...]

    @property
    def ok(self) -> bool:
        """Nothing was lost, wrong, or answered otherwise than documented."""
        return all(result.ok for result in self.results)

    def key_figures(self) -> tuple[str, ...]:
        """What was answered, and what must be 0."""
        names = ", ".join(result.service for result in self.results)
        requests = sum(result.load.requests for result in self.results)
        lost = sum(result.load.lost for result in self.results)
        wrong = sum(result.load.wrong.total() for result in self.results)
        hostile = sum(result.hostile.unexpected.total() for result in self.results)
        return (
            f"{names}: {requests:,} requests answered rightly; {lost:,} lost, {wrong:,} wrong, {hostile:,} hostile "
            "ones answered otherwise than documented",
        )

    def tables(self) -> tuple[Table, ...]:
        """A column per service; what must be 0 is emphasised."""
        kinds = dict.fromkeys(kind for result in self.results for kind in result.faults)
        columns = [_column(result, tuple(kinds)) for result in self.results]
        rows = tuple((name, *(column[name] for column in columns)) for name in columns[0]) if columns else ()
        faults = tuple(
            f"{result.service}: {fault} ({count:,} times)"
            for result in self.results
            for fault, count in (*result.load.wrong.items(), *result.hostile.unexpected.items())
        )
        return (Table("What became of it", ("", *(result.service for result in self.results)), rows, notes=faults),)


def _column(result: SoakResult, kinds: tuple[str, ...]) -> dict[str, str]:
    load, used = result.load, result.memory
    return {
        "minutes": f"{result.seconds / 60:.1f}",
        "requests answered rightly": f"{load.requests:,}",
        "rows in them": f"{load.rows:,}",
        "hostile requests and clients tried": f"{result.hostile.tried:,}",
        "faults injected": f"{sum(result.faults.values()):,}",
        **{f"- {kind}": f"{result.faults.get(kind, 0):,}" for kind in kinds},
        "refused in bursts (503)": f"{result.shed_in_bursts:,}",
        "refused else (503), tried again": f"{load.shed:,}",
        "cut off, tried again": f"{load.cut_off:,}",
        "**lost**": f"{load.lost:,}",
        "**wrong**": f"{load.wrong.total():,}",
        "**hostile, answered otherwise than documented**": f"{result.hostile.unexpected.total():,}",
        "memory after the warm-up, MiB": _mebibytes(used.start),
        "memory at the end, MiB": _mebibytes(used.end),
        "oldest worker, start to end, MiB": f"{_mebibytes(used.oldest_start)} → {_mebibytes(used.oldest_end)}",
        "peak, MiB": _mebibytes(used.peak),
    }


def _mebibytes(size: int) -> str:
    return f"{size / _MEBIBYTE:.0f}"


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=60.0, help="seconds for each service")
    parser.add_argument("--services", nargs="*", help="names (default: all that are built)")


def run(options: argparse.Namespace) -> int:
    """Soak one service after the other."""
    allow_files(IDLE_CONNECTIONS + BURST_CONNECTIONS)
    reference = read_reference(options.models)
    specs = known_services()
    if unknown := sorted({*(options.services or ())} - {*specs}):
        raise ServiceError(f"there is no service {unknown[0]!r}; there are {', '.join(specs)}")
    results = []
    for name in options.services or specs:
        print(f"{name}: {options.duration:g} s of load, hostile input and faults", flush=True)
        results.append(soak(specs[name], reference, options.models, options.duration))
    report = SoakReport(created=utc_now(), command=command_line(), machine=describe_machine(), results=tuple(results))
    return publish(report, options.reports)
