"""`make profile`: where the microseconds of a request go, measured inside the ONNX service while it is under load.

The service runs with a clock around every stage of its hot path (`profiled_onnx_service.py`). Stages are wall-clock
time, the whole is the service's CPU time; a constant answer from the same server shows what HTTP alone costs. Meant for
a machine with nothing else to do: what interrupts the service counts as a stage's time.
"""

import http.client
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import gevent  # type: ignore[import-untyped]

from bundle.command_line import Parser, file_path, real_number
from bundle.errors import BundleError
from load_testing.command_results import ProfileReport, ProfileRow, origin, write_result
from load_testing.cpus import available_cpus, on_cpus, split_cpus
from load_testing.http_client import Connection
from load_testing.payloads import Reference, batch_body, read_reference
from load_testing.process_tree import cpu_seconds
from load_testing.scenarios import Address, parse_address, render
from load_testing.services import Service, ServiceError, module_service, running

CONNECTIONS = 32
STAGES = ("decode", "predict", "encode", "metrics")
SIZES = (1, 10, 100, 1000, 10_000)
MESSAGES = 200
"""How many different requests are sent in turn, so that no cache has seen them all."""


def messages(reference: Reference, address: Address, path: str, rows: int) -> list[bytes]:
    """Rendered requests of `rows` reference rows each."""
    bodies = reference.bodies
    count = max(1, min(MESSAGES, len(bodies) // rows))
    parts = [[bodies[(i * rows + j) % len(bodies)] for j in range(rows)] for i in range(count)]
    return [render(address, path, part[0] if rows == 1 else batch_body(part)) for part in parts]


def drive(address: Address, requests: list[bytes], seconds: float, connections: int) -> int:
    """Send the requests in turn on every connection until the time is over; how many were answered."""
    deadline = time.perf_counter() + seconds

    def client(number: int) -> int:
        connection, answered = Connection(address, timeout=60), 0
        while time.perf_counter() < deadline:
            connection.exchange(requests[(number + answered) % len(requests)])
            answered += 1
        connection.close()
        return answered

    greenlets = [gevent.spawn(client, number * 7) for number in range(connections)]
    gevent.joinall(greenlets, raise_error=True)
    return sum(greenlet.value for greenlet in greenlets)


def read_stages(address: Address) -> dict[str, float]:
    """Seconds in each stage since the last time."""
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Print a row per request size. Exit status 0, or 1 with what went wrong."""
    parser = Parser("experiments profile", __doc__)
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    parser.add_argument("--reports", type=file_path, default=Path("reports"), help="folder for profile.json")
    parser.add_argument("--duration", type=real_number(), default=4.0, help="seconds of load per row of the table")
    options = parser.read(arguments)
    cpus = split_cpus(available_cpus(), 1)
    profiled: list[ProfileRow] = []
    try:
        reference = read_reference(options.models)
        spec = module_service("profiled onnx", "experiments.load.profiled_onnx_service", "onnx_packed")
        with running(spec, options.models, cpus.server, 1) as service, on_cpus(cpus.client):
            print("server CPU per request in µs; its stages; HTTP, event loop and the rest; a constant answer's CPU")
            print("  rows     whole" + "".join(f"{stage:>10}" for stage in STAGES) + "      rest  constant")
            for rows in SIZES:
                row = profile_row(service, reference, rows, options.duration)
                cells = (row.whole, *row.stages.values(), row.rest, row.constant)
                print(f"{rows:>6,}" + "".join(f"{cell:>10,.1f}" for cell in cells), flush=True)
                profiled.append(row)
        report = ProfileReport(**origin(reference.manifest), seconds=options.duration, sizes=tuple(profiled))
        path = write_result(report, options.reports, "profile")
    except (BundleError, ServiceError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(path)
    return 0
