"""`make protocols`: what a request costs a service in each protocol that it speaks.

The same rows, one request after the other on one connection: as JSON to /predict, in the Open Inference Protocol in
JSON and in binary, and by gRPC if the service has it. All services run at the same time, on the same CPUs, and one
cell after the other is measured, in interleaved rounds. The client has other CPUs, and its time is not counted.
"""

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, ClassVar

import grpc
import msgspec

from bundle.command_line import real_number, whole_number
from bundle.table import Table
from experiments.command import add_folders, publish
from experiments.load.protocol_requests import ProtocolRequest, make_requests
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.model_result import ModelResult, origin
from load_testing.payloads import Reference, read_reference
from load_testing.process_tree import cpu_seconds
from load_testing.results import Spread
from load_testing.scenarios import Address, parse_address
from load_testing.services import Service, ServiceError, known_services, reserved_port, running

ROWS = (1, 100, 10_000)
INFER = "/inference.GRPCInferenceService/ModelInfer"
GRPC_SERVICE = "axum"


class ProtocolCell(msgspec.Struct, frozen=True, kw_only=True):
    """CPU µs of the service for a request, rows/s on the one connection, and the bytes of the request."""

    service: str
    protocol: str
    rows: int
    request_bytes: int
    cpu_us: Spread
    rows_per_second: Spread


class ProtocolsReport(ModelResult, frozen=True, kw_only=True):
    """`seconds` is the time of each cell in each round."""

    title: ClassVar = "Protocols"
    file: ClassVar = "protocols.json"
    made_by: ClassVar = "make protocols"

    seconds: float
    rounds: int
    cells: tuple[ProtocolCell, ...]

    def key_figures(self) -> tuple[str, ...]:
        """How much the binary form saves for the largest batches."""
        most = max(cell.rows for cell in self.cells)
        costs = {(cell.service, cell.protocol): cell.cpu_us.median for cell in self.cells if cell.rows == most}
        ratios = (
            f"{service} {protocol} {cost / costs[service, 'JSON /predict']:.2f}"
            for (service, protocol), cost in costs.items()
            if protocol != "JSON /predict"
        )
        return (f"CPU time of {most:,} rows, JSON to /predict being 1: {', '.join(ratios)}",)

    def tables(self) -> tuple[Table, ...]:
        """A line per service and protocol."""
        sizes = sorted({cell.rows for cell in self.cells})
        heads = ["service", "protocol"]
        for size in sizes:
            heads += [f"{size:,} row{'s' if size > 1 else ''}: CPU µs", "rows/s", "bytes"]
        found = {(cell.service, cell.protocol, cell.rows): cell for cell in self.cells}
        lines = []
        for service, protocol in dict.fromkeys(key[:2] for key in found):
            line = [service, protocol]
            for size in sizes:
                cell = found[service, protocol, size]
                line += [f"{cell.cpu_us.median:,.0f}", f"{cell.rows_per_second.median:,.0f}", f"{cell.request_bytes:,}"]
            lines.append(tuple(line))
        return (Table("CPU time of a request by protocol", tuple(heads), tuple(lines), frozenset({0, 1})),)


Answer = tuple[bytes, Any]
"""An answer's body and headers."""


@contextmanager
def by_http(address: Address, request: ProtocolRequest) -> Iterator[Callable[[], Answer]]:
    """A function that sends the request on a connection of its own, and returns the answer."""
    with closing(HTTPConnection(*address, timeout=60)) as connection:

        def send() -> Answer:
            connection.request("POST", request.path or "", request.body, request.headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise ServiceError(f"{request.protocol}: {answer.status} {content[:200]!r}")
            return content, answer.headers

        yield send


@contextmanager
def by_grpc(port: int, request: ProtocolRequest) -> Iterator[Callable[[], Answer]]:
    """A function that sends the request by gRPC on a channel of its own, and returns the answer."""
    options = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options) as channel:
        call = channel.unary_unary(INFER)
        yield lambda: (call(request.body), None)


@dataclass(frozen=True)
class Measured:
    """A request with `rows` rows that is sent to a service again and again."""

    service: Service
    grpc_port: int | None
    request: ProtocolRequest
    rows: int

    def connected(self) -> AbstractContextManager[Callable[[], Answer]]:
        """A function that sends it, on a new connection."""
        if self.request.path is None and self.grpc_port is not None:
            return by_grpc(self.grpc_port, self.request)
        return by_http(parse_address(self.service.url), self.request)

    def answer(self) -> list[float]:
        """The model's numbers."""
        with self.connected() as send:
            return self.request.read(*send())


def prepare(service: Service, grpc_port: int | None, reference: Reference, sizes: Sequence[int]) -> Iterator[Measured]:
    """All requests that are measured on a service, each answered correctly once.

    Raises:
        ServiceError: an answer is an error, or another one than that of /predict.
    """
    for size in sizes:
        bodies = [reference.bodies[i % len(reference.bodies)] for i in range(size)]
        requests = make_requests(reference.manifest, bodies)
        spoken = [request for request in requests if request.path is not None or grpc_port is not None]
        all_measured = [Measured(service, grpc_port, request, size) for request in spoken]
        wanted = all_measured[0].answer()
        for measured in all_measured:
            if measured.answer() != wanted:
                name = measured.request.protocol
                raise ServiceError(f"{service.spec.name}: {name} has other answers than /predict")
        yield from all_measured


def measure_once(measured: Measured, seconds: float) -> tuple[float, float]:
    """CPU seconds of a request, and rows/s."""
    with measured.connected() as send:
        send()
        before, started, sent = cpu_seconds(measured.service.pid), time.perf_counter(), 0
        while (elapsed := time.perf_counter() - started) < seconds or not sent:
            send()
            sent += 1
    return (cpu_seconds(measured.service.pid) - before) / sent, sent * measured.rows / elapsed


def measure(
    reference: Reference, models: Path, seconds: float, rounds: int, sizes: Sequence[int]
) -> tuple[ProtocolCell, ...]:
    """A cell for each service, protocol and number of rows.

    Raises:
        ServiceError: a service couldn't be started, broke down, or answered wrongly.
    """
    cpus = split_cpus(available_cpus(), 1)
    with ExitStack() as stack:
        todo: list[Measured] = []
        for spec in known_services().values():
            service_spec, port = spec, None
            if spec.name == GRPC_SERVICE:
                port = stack.enter_context(reserved_port())
                environment = (*spec.environment, ("SERVE_GRPC_PORT", str(port)))
                service_spec = replace(spec, environment=environment)
            service = stack.enter_context(running(service_spec, models, cpus.server, 1))
            todo += prepare(service, port, reference, sizes)
        stack.enter_context(on_cpus(cpus.client))
        figures: list[list[tuple[float, float]]] = [[] for _ in todo]
        for _ in range(rounds):
            for measured, found in zip(todo, figures, strict=True):
                found.append(measure_once(measured, seconds))
    return tuple(
        ProtocolCell(
            service=measured.service.spec.name,
            protocol=measured.request.protocol,
            rows=measured.rows,
            request_bytes=len(measured.request.body),
            cpu_us=Spread.of(1e6 * cpu for cpu, _ in found),
            rows_per_second=Spread.of(rate for _, rate in found),
        )
        for measured, found in zip(todo, figures, strict=True)
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=2.0, help="seconds per cell and round")
    parser.add_argument("--rounds", type=whole_number(1), default=5)
    parser.add_argument("--rows", type=whole_number(1), nargs="+", default=list(ROWS), help="rows in a request")


def run(options: argparse.Namespace) -> int:
    """Measure all protocols of all services."""
    reference = read_reference(options.models)
    cells = measure(reference, options.models, options.duration, options.rounds, options.rows)
    plan = {"seconds": options.duration, "rounds": options.rounds}
    return publish(ProtocolsReport(**origin(reference.manifest), **plan, cells=cells), options.reports)
