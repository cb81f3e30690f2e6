"""`make overload`: how a service behaves with far more clients than it can serve.

Three phases on one worker: a few clients; then a crowd; then the few again. Each client of the crowd sends its next
request as soon as it has its answer or, after a 503, one second later, as `Retry-After` asks.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import gevent  # type: ignore[import-untyped]
import msgspec

from bundle.command_line import real_number, whole_number
from bundle.table import Table
from experiments.command import add_folders, publish
from experiments.load.attempt import SHED, attempt
from experiments.load.soak_faults import allow_files
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.http_client import ClientConnection
from load_testing.latency import LatencyHistogram
from load_testing.model_result import ModelResult, origin
from load_testing.payloads import Reference, read_reference
from load_testing.process_tree import memory
from load_testing.scenarios import Address, PreparedRequest, parse_address, prepare_requests
from load_testing.services import DEFAULT_WAIT, Service, known_services, running

FEW = 16
RETRY_SECONDS = 1.0
_TIMEOUT_SECONDS = 60.0


@dataclass
class Phase:
    """`accepted` are the milliseconds of the requests that got a prediction."""

    seconds: float = 0.0
    accepted: list[float] = field(default_factory=list)
    refused: int = 0
    failed: int = 0


class OverloadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A phase: predictions and refusals per second, latencies of the predictions, and the service's bytes after it."""

    service: str
    clients: int
    predictions_per_second: float
    refused_per_second: float
    p50_ms: float
    p99_ms: float
    failed: int
    memory: int


class OverloadReport(ModelResult, frozen=True, kw_only=True):
    """`seconds` is the time of each phase."""

    title: ClassVar = "Overload"
    file: ClassVar = "overload.json"
    made_by: ClassVar = "make overload"

    seconds: float
    phases: tuple[OverloadRow, ...]

    @property
    def ok(self) -> bool:
        """No wrong answer, and no connection that broke."""
        return not any(phase.failed for phase in self.phases)

    def key_figures(self) -> tuple[str, ...]:
        """How many requests are still answered under the largest crowd."""
        largest = max((phase.clients for phase in self.phases), default=0)
        crowds = (phase for phase in self.phases if phase.clients == largest)
        rates = ", ".join(f"{phase.service} {phase.predictions_per_second:,.0f}" for phase in crowds)
        return (f"{largest:,} clients, predictions/s: {rates}",)

    def tables(self) -> tuple[Table, ...]:
        """A line per service and phase."""
        heads = ("service", "clients", "predictions/s", "refused/s", "p50 ms", "p99 ms", "failed", "memory MB")
        rows = tuple(
            (
                phase.service,
                f"{phase.clients:,}",
                f"{phase.predictions_per_second:,.0f}",
                f"{phase.refused_per_second:,.0f}",
                f"{phase.p50_ms:.1f}",
                f"{phase.p99_ms:.1f}",
                f"{phase.failed:,}",
                f"{phase.memory / 1e6:.0f}",
            )
            for phase in self.phases
        )
        failed = frozenset(number for number, phase in enumerate(self.phases) if phase.failed)
        return (Table("A few clients, a crowd, and the few again", heads, rows, failed=failed),)


def measure(address: Address, requests: Sequence[PreparedRequest], clients: int, seconds: float) -> Phase:
    """One phase. A wrong answer, or a connection that broke, counts as failed."""
    phase = Phase()
    deadline = time.perf_counter() + seconds

    def send_on(first: int) -> None:
        connection = ClientConnection(address, _TIMEOUT_SECONDS)
        turn = first
        while (started := time.perf_counter()) < deadline:
            request = requests[turn % len(requests)]
            turn += clients
            fault = attempt(connection, request, RETRY_SECONDS)
            if fault is None:
                phase.accepted.append(1e3 * (time.perf_counter() - started))
            elif fault == SHED:
                phase.refused += 1
            else:
                phase.failed += 1
        connection.close()

    started = time.perf_counter()
    gevent.joinall([gevent.spawn(send_on, first) for first in range(clients)], raise_error=True)
    phase.seconds = time.perf_counter() - started
    return phase


def measure_phases(service: Service, reference: Reference, crowd: int, seconds: float) -> list[OverloadRow]:
    """A few clients, the crowd, and the few again."""
    address = parse_address(service.url)
    requests = prepare_requests(reference, address, 1)
    rows = []
    for clients in (FEW, crowd, FEW):
        phase = measure(address, requests, clients, seconds)
        latencies = LatencyHistogram.of(phase.accepted)
        rows.append(
            OverloadRow(
                service=service.spec.name,
                clients=clients,
                predictions_per_second=latencies.count / phase.seconds,
                refused_per_second=phase.refused / phase.seconds,
                p50_ms=latencies.percentile_ms(50),
                p99_ms=latencies.percentile_ms(99),
                failed=phase.failed,
                memory=memory(service.pid).used,
            )
        )
    return rows


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=10.0, help="seconds per phase (default: %(default)s)")
    parser.add_argument(
        "--clients", type=whole_number(1), default=2000, help="clients in the crowd (default: %(default)s)"
    )


def run(options: argparse.Namespace) -> int:
    """Measure every service, one after the other."""
    allow_files(options.clients)
    cpus = split_cpus(available_cpus(), 1)
    reference = read_reference(options.models)
    phases: list[OverloadRow] = []
    for spec in known_services().values():
        refusing = replace(spec, environment=(*spec.environment, DEFAULT_WAIT))
        with running(refusing, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
            phases += measure_phases(service, reference, options.clients, options.duration)
    report = OverloadReport(**origin(reference.manifest), seconds=options.duration, phases=tuple(phases))
    return publish(report, options.reports)
