"""`make fairness`: how much large batches on a worker slow down small requests on the same worker.

One connection sends single rows, then health checks, a millisecond apart: first alone, then while two other clients
keep the same one-worker service busy with batches of 10,000 rows.
"""

import argparse
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from typing import ClassVar

import msgspec

from bundle.command_line import real_number
from bundle.table import Table
from experiments.command import add_folders, publish
from experiments.load.batch_load import BATCH_ROWS, batch_load
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.latency import LatencyHistogram
from load_testing.model_result import ModelResult, origin
from load_testing.payloads import Reference, read_reference
from load_testing.scenarios import Address, parse_address
from load_testing.services import Service, ServiceError, known_services, running

PAUSE_SECONDS = 0.001


class FairnessCell(msgspec.Struct, frozen=True, kw_only=True):
    """Latency in ms of a route, alone and beside large batches; `batch_rows_per_second` is their rate."""

    service: str
    route: str
    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    batch_rows_per_second: float

    @property
    def p99_ratio(self) -> float:
        """The p99 beside the batches as a multiple of the p99 alone."""
        return self.beside_p99_ms / self.alone_p99_ms


class FairnessReport(ModelResult, frozen=True, kw_only=True):
    """`seconds` is the time of each cell, `batch_rows` the size of the batches."""

    title: ClassVar = "Large batches beside small requests"
    file: ClassVar = "fairness.json"
    made_by: ClassVar = "make fairness"

    seconds: float
    batch_rows: int
    cells: tuple[FairnessCell, ...]

    def key_figures(self) -> tuple[str, ...]:
        """How much longer the p99s are beside the batches."""
        ratios = ", ".join(f"{cell.service} {cell.route} {cell.p99_ratio:.1f}x" for cell in self.cells)
        return (f"p99 beside batches of {self.batch_rows:,} rows: {ratios}",)

    def tables(self) -> tuple[Table, ...]:
        """A line per service and route."""
        heads = ("service", "route", "alone: p50 ms", "p99 ms", "beside: p50 ms", "p99 ms", "p99 ratio", "batch rows/s")
        rows = []
        for cell in self.cells:
            times = (cell.alone_p50_ms, cell.alone_p99_ms, cell.beside_p50_ms, cell.beside_p99_ms)
            shown = (f"{milliseconds:.2f}" for milliseconds in times)
            rate = f"{cell.batch_rows_per_second:,.0f}"
            rows.append((cell.service, cell.route, *shown, f"{cell.p99_ratio:.1f}", rate))
        return (Table("Small requests alone and beside large batches", heads, tuple(rows), frozenset({0, 1})),)


def latencies(address: Address, path: str, body: bytes | None, seconds: float) -> LatencyHistogram:
    """The latencies of requests sent one after the other on one connection (GET if there is no body)."""
    measured = []
    deadline = time.perf_counter() + seconds
    with closing(HTTPConnection(*address, timeout=60)) as connection:
        connection.connect()
        while time.perf_counter() < deadline:
            started = time.perf_counter()
            connection.request("POST" if body else "GET", path, body)
            answer = connection.getresponse()
            answer.read()
            measured.append(1e3 * (time.perf_counter() - started))
            if answer.status != 200:
                raise ServiceError(f"{path} answered {answer.status}")
            time.sleep(PAUSE_SECONDS)
    return LatencyHistogram.of(measured)


def measure(service: Service, reference: Reference, seconds: float) -> Iterator[FairnessCell]:
    """A cell per route.

    Raises:
        ServiceError: the service, or a client that sends the batches, broke down.
    """
    address = parse_address(service.url)
    calls = (("/predict", reference.bodies[0]), ("/health/live", None))
    idle = [latencies(address, path, body, seconds) for path, body in calls]
    with batch_load(address, reference) as sent:
        started, before = time.perf_counter(), sent.value
        busy = [latencies(address, path, body, seconds) for path, body in calls]
        rate = BATCH_ROWS * (sent.value - before) / (time.perf_counter() - started)
    for (path, _), alone, beside in zip(calls, idle, busy, strict=True):
        yield FairnessCell(
            service=service.spec.name,
            route=path,
            alone_p50_ms=alone.percentile_ms(50),
            alone_p99_ms=alone.percentile_ms(99),
            beside_p50_ms=beside.percentile_ms(50),
            beside_p99_ms=beside.percentile_ms(99),
            batch_rows_per_second=rate,
        )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=5.0, help="seconds per cell")


def run(options: argparse.Namespace) -> int:
    """Measure every service, one after the other."""
    cpus = split_cpus(available_cpus(), 1)
    reference = read_reference(options.models)
    cells: list[FairnessCell] = []
    for spec in known_services().values():
        with running(spec, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
            cells += measure(service, reference, options.duration)
    plan = {"seconds": options.duration, "batch_rows": BATCH_ROWS}
    return publish(FairnessReport(**origin(reference.manifest), **plan, cells=tuple(cells)), options.reports)
