"""`make fairness`: what large batches on a worker cost the small requests on the same worker.

One connection sends single rows, then health checks, a millisecond apart: first alone, then while two other clients
keep the same one-worker service busy with batches of 10,000 rows.
"""

import http.client
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.process import BaseProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from bundle.command_line import Parser, file_path, real_number
from bundle.errors import BundleError
from load_testing.command_results import FairnessCell, FairnessReport, origin, write_result
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.payloads import Reference, batch_body, read_reference
from load_testing.scenarios import Address, parse_address
from load_testing.services import Service, ServiceError, known_services, running

BATCH_ROWS = 10_000
BATCH_CLIENTS = 2
PAUSE_SECONDS = 0.001
START_SECONDS = 60.0
STOP_SECONDS = 30.0
STOPPED = -1


def latencies(address: Address, path: str, body: bytes | None, seconds: float) -> list[float]:
    """Milliseconds of one request after the other (a GET if there is no body) on one connection, sorted."""
    connection = _connect(address)
    measured = []
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        started = time.perf_counter()
        connection.request("POST" if body else "GET", path, body)
        answer = connection.getresponse()
        answer.read()
        measured.append(1e3 * (time.perf_counter() - started))
        if answer.status != 200:
            raise ServiceError(f"{path} answered {answer.status}")
        time.sleep(PAUSE_SECONDS)
    connection.close()
    return sorted(measured)


def _connect(address: Address) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(*address, timeout=60)
    connection.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def send_batches(address: Address, body: bytes, sent: "Synchronized[int]") -> None:
    """Send the batch again and again, counting in `sent`, until that is set to `STOPPED`."""
    if hasattr(os, "nice"):
        os.nice(19)  # it is the service that is measured, not who gets the client's CPU
    connection = _connect(address)
    while True:
        connection.request("POST", "/predict/batch", body)
        connection.getresponse().read()
        with sent.get_lock():
            if sent.value == STOPPED:
                return
            sent.value += 1


@contextmanager
def batch_load(address: Address, reference: Reference) -> Iterator["Synchronized[int]"]:
    """Two client processes that send large batches; the value counts those that were answered."""
    bodies = reference.bodies
    body = batch_body(bodies[i % len(bodies)] for i in range(BATCH_ROWS))
    context = multiprocessing.get_context("spawn")
    sent: Synchronized[int] = context.Value("i", 0)
    clients = [context.Process(target=send_batches, args=(address, body, sent)) for _ in range(BATCH_CLIENTS)]
    for client in clients:
        client.start()
    try:
        _await_answers(clients, sent)
        yield sent
        _check_alive(clients)
    finally:
        with sent.get_lock():
            sent.value = STOPPED
        for client in clients:
            client.join(STOP_SECONDS)
            client.kill()
            client.join()


def _await_answers(clients: Sequence[BaseProcess], sent: "Synchronized[int]") -> None:
    deadline = time.monotonic() + START_SECONDS
    while sent.value < BATCH_CLIENTS:
        _check_alive(clients)
        if time.monotonic() > deadline:
            raise ServiceError(f"{sent.value} batches were answered within {START_SECONDS:g} s: too few to load it")
        time.sleep(0.01)


def _check_alive(clients: Sequence[BaseProcess]) -> None:
    for client in clients:
        if client.exitcode is not None:
            raise ServiceError(f"a client that sends the batches ended by itself, with status {client.exitcode}")


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
        cells = [_percentile(values, share) for values in (alone, beside) for share in (0.5, 0.99)]
        yield FairnessCell(
            service=service.spec.name,
            route=path,
            alone_p50_ms=cells[0],
            alone_p99_ms=cells[1],
            beside_p50_ms=cells[2],
            beside_p99_ms=cells[3],
            batch_rows_per_second=rate,
        )


def format_line(cell: FairnessCell) -> str:
    """The cell as a line of the table in the terminal."""
    latencies = (cell.alone_p50_ms, cell.alone_p99_ms, cell.beside_p50_ms, cell.beside_p99_ms)
    numbers = "".join(f"{latency:>10.2f}" for latency in latencies)
    return f"{cell.service:<8}{cell.route:<14}{numbers}{cell.p99_ratio:>8.1f}x{cell.batch_rows_per_second:>14,.0f}"


def _percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print two rows per service. Exit status 0, or 1 with what went wrong."""
    parser = Parser("experiments fairness", __doc__)
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for fairness.json")
    parser.add_argument("--duration", type=real_number(), default=5.0, help="seconds per cell")
    options = parser.read(arguments)
    cpus = split_cpus(available_cpus(), 1)
    print("milliseconds alone, and beside batches of 10,000 rows on the same worker")
    print("service route              p50       p99  busy p50  busy p99  p99 ratio  batch rows/s")
    cells: list[FairnessCell] = []
    try:
        reference = read_reference(options.models)
        for spec in known_services().values():
            with running(spec, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
                for cell in measure(service, reference, options.duration):
                    print(format_line(cell), flush=True)
                    cells.append(cell)
        plan = {"seconds": options.duration, "batch_rows": BATCH_ROWS}
        report = FairnessReport(**origin(reference.manifest), **plan, cells=tuple(cells))
        path = write_result(report, options.reports, "fairness")
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0
