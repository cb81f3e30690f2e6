"""`make overload`: what a service does with far more clients than it can serve.

Three phases on one worker: a few clients; then a crowd, each of which sends its next request as soon as it has its
answer, or, told to come again (503), after the second that `Retry-After` asks for; then the few again.
"""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gevent  # type: ignore[import-untyped]
import msgspec

from bundle.command_line import Parser, file_path, real_number, whole_number
from bundle.errors import BundleError
from experiments.load.soak_faults import allow_files
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.http_client import Connection, HttpError
from load_testing.payloads import Reference, read_reference
from load_testing.process_tree import memory
from load_testing.scenarios import Address, PreparedRequest, parse_address, prepare_requests
from load_testing.services import DEFAULT_WAIT, Service, ServiceError, known_services, running

FEW = 16
RETRY_SECONDS = 1.0
_TIMEOUT_SECONDS = 60.0


class Phase(msgspec.Struct):
    """`accepted` are the milliseconds of the requests that got a prediction, sorted once the phase is over."""

    clients: int
    seconds: float = 0.0
    accepted: list[float] = []
    refused: int = 0
    failed: int = 0


def measure(address: Address, requests: Sequence[PreparedRequest], clients: int, seconds: float) -> Phase:
    """One phase. A wrong answer, or a connection that broke, counts as failed."""
    phase = Phase(clients)
    deadline = time.perf_counter() + seconds

    def send_on(first: int) -> None:
        connection = Connection(address, _TIMEOUT_SECONDS)
        turn = first
        while (started := time.perf_counter()) < deadline:
            request = requests[turn % len(requests)]
            turn += clients
            try:
                status, body = connection.exchange(request.message)
            except HttpError:
                phase.failed += 1
                gevent.sleep(RETRY_SECONDS)
                continue
            if status == 503:
                phase.refused += 1
                gevent.sleep(RETRY_SECONDS)
            elif status == 200 and request.check(body) is None:
                phase.accepted.append(1e3 * (time.perf_counter() - started))
            else:
                phase.failed += 1
        connection.close()

    started = time.perf_counter()
    gevent.joinall([gevent.spawn(send_on, first) for first in range(clients)], raise_error=True)
    phase.seconds = time.perf_counter() - started
    phase.accepted.sort()
    return phase


def rows(service: Service, reference: Reference, crowd: int, seconds: float) -> list[str]:
    """The lines of the table for one service."""
    address = parse_address(service.url)
    requests = prepare_requests(reference, address, 1)
    lines = []
    for clients in (FEW, crowd, FEW):
        phase = measure(address, requests, clients, seconds)
        median, p99 = (_percentile(phase.accepted, share) for share in (0.5, 0.99))
        rate = len(phase.accepted) / phase.seconds
        used = memory(service.pid).used / (1 << 20)
        lines.append(
            f"| {service.spec.name} | {clients:,} | {rate:,.0f} | {phase.refused / phase.seconds:,.0f} | {median:.1f} "
            f"| {p99:.1f} | {phase.failed} | {used:.0f} |"
        )
    return lines


def _percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table. Exit status 0, or 1 with what went wrong."""
    parser = Parser("experiments overload", __doc__)
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--duration", type=real_number(), default=10.0, help="seconds per phase")
    parser.add_argument("--clients", type=whole_number(1), default=2000, help="the crowd")
    options = parser.read(arguments)
    cpus = split_cpus(available_cpus(), 1)
    print("| service | clients | predictions/s | refused/s | p50 ms | p99 ms | failed | memory MiB |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    try:
        allow_files(options.clients)
        reference = read_reference(options.models)
        for spec in known_services().values():
            refusing = replace(spec, environment=(*spec.environment, DEFAULT_WAIT))
            with running(refusing, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
                for line in rows(service, reference, options.clients, options.duration):
                    print(line, flush=True)
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0
