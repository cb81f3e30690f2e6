"""`make profile`: where the microseconds of a request go, measured inside the ONNX service while it is under load.

The service runs with a clock around every stage of its hot path (`profiled_service.py`). Stages are wall-clock
time, the whole is the service's CPU time; a constant answer from the same server shows what HTTP alone costs. Meant for
a machine with nothing else to do: what interrupts the service counts as a stage's time.
"""

import argparse
import http.client
import json
import time
from typing import ClassVar

import gevent  # type: ignore[import-untyped]
import msgspec

from bundle.command_line import real_number
from bundle.table import Table
from experiments.command import add_folders, publish
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.http_client import ClientConnection
from load_testing.model_result import ModelResult, origin
from load_testing.payloads import Reference, batch_body, read_reference
from load_testing.process_tree import cpu_seconds
from load_testing.scenarios import Address, parse_address, render
from load_testing.services import Service, module_service, running

CONNECTIONS = 32
STAGES = ("decode", "predict", "encode", "metrics")
SIZES = (1, 10, 100, 1000, 10_000)
MESSAGES = 200
"""How many different requests are sent in turn, so that no cache has seen them all."""


class ProfileRow(msgspec.Struct, frozen=True, kw_only=True):
    """Server CPU µs of a request with `rows` rows: the total, each stage, the rest, and a constant answer."""

    rows: int
    whole: float
    stages: dict[str, float]
    rest: float
    constant: float


class ProfileReport(ModelResult, frozen=True, kw_only=True):
    """Where the ONNX service spends its time. `seconds` is how long it was under load for each row of the table."""

    title: ClassVar = "Where the time of a request goes"
    file: ClassVar = "profile.json"
    made_by: ClassVar = "make profile"

    seconds: float
    sizes: tuple[ProfileRow, ...]

    def key_figures(self) -> tuple[str, ...]:
        """The smallest request, and what a constant answer costs."""
        return tuple(
            f"{row.rows:,} row: {row.whole:,.0f} µs of server CPU, {row.constant:,.0f} for a constant answer"
            for row in self.sizes[:1]
        )

    def tables(self) -> tuple[Table, ...]:
        """A line per size of request."""
        heads = ("rows", "whole", *STAGES, "rest", "constant")
        rows = []
        for row in self.sizes:
            times = (row.whole, *(row.stages[stage] for stage in STAGES), row.rest, row.constant)
            digits = 1 if row.rows == 1 else 0
            rows.append((f"{row.rows:,}", *(f"{microseconds:,.{digits}f}" for microseconds in times)))
        return (Table("Server CPU per request, µs", heads, tuple(rows), frozenset()),)


def messages(reference: Reference, address: Address, path: str, rows: int) -> list[bytes]:
    """Rendered requests of `rows` reference rows each."""
    bodies = reference.bodies
    count = max(1, min(MESSAGES, len(bodies) // rows))
    parts = [[bodies[(i * rows + j) % len(bodies)] for j in range(rows)] for i in range(count)]
    return [render(address, path, part[0] if rows == 1 else batch_body(part)) for part in parts]


def drive(address: Address, requests: list[bytes], seconds: float, connections: int) -> int:
    """Send the requests in turn on every connection until the time is over. Returns how many were answered."""
    deadline = time.perf_counter() + seconds

    def client(number: int) -> int:
        connection, answered = ClientConnection(address, timeout=60), 0
        while time.perf_counter() < deadline:
            connection.exchange(requests[(number + answered) % len(requests)])
            answered += 1
        connection.close()
        return answered

    greenlets = [gevent.spawn(client, number * 7) for number in range(connections)]
    gevent.joinall(greenlets, raise_error=True)
    return sum(greenlet.value for greenlet in greenlets)


def read_stages(address: Address) -> dict[str, float]:
    """Seconds in each stage since the last call."""
    connection = http.client.HTTPConnection(*address, timeout=10)
    connection.request("GET", "/profile")
    stages: dict[str, float] = json.load(connection.getresponse())
    connection.close()
    return stages


def profile_row(service: Service, reference: Reference, rows: int, seconds: float) -> ProfileRow:
    """Microseconds per request: whole, stages, HTTP and the rest, constant answer to the same requests."""
    address = parse_address(service.url)
    path = "/predict" if rows == 1 else "/predict/batch"
    connections = CONNECTIONS if rows < 1000 else 2
    constant = messages(reference, address, "/constant", rows)
    requests = messages(reference, address, path, rows)
    drive(address, requests, seconds / 4, connections)
    before = cpu_seconds(service.pid)
    answered = drive(address, constant, seconds, connections)
    floor = 1e6 * (cpu_seconds(service.pid) - before) / answered
    read_stages(address)
    before = cpu_seconds(service.pid)
    answered = drive(address, requests, seconds, connections)
    whole = 1e6 * (cpu_seconds(service.pid) - before) / answered
    seconds_in = read_stages(address)
    stages = {stage: 1e6 * seconds_in[stage] / answered for stage in STAGES}
    return ProfileRow(rows=rows, whole=whole, stages=stages, rest=whole - sum(stages.values()), constant=floor)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=4.0, help="seconds of load per row of the table")


def run(options: argparse.Namespace) -> int:
    """Measure the instrumented ONNX service at every size of request."""
    cpus = split_cpus(available_cpus(), 1)
    reference = read_reference(options.models)
    spec = module_service("profiled onnx", "experiments.load.profiled_service", "onnx_packed")
    with running(spec, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
        sizes = tuple(profile_row(service, reference, rows, options.duration) for rows in SIZES)
    report = ProfileReport(**origin(reference.manifest), seconds=options.duration, sizes=sizes)
    return publish(report, options.reports)
