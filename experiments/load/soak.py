"""`make soak`: load, hostile input and faults at once, for a long time; then one table of the results.

Every answer to an honest request is checked against the bundle's reference. Hostile requests, and faults in the
service's environment, must not affect these answers. The exit status is 1 if a request was lost or answered wrongly, or
if a hostile one was answered otherwise than documented.
"""

import argparse
import shutil
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

from bundle.command_line import real_number
from bundle.result import made_now
from experiments.command import add_folders, publish
from experiments.load.soak_faults import (
    BURST_CONNECTIONS,
    FAULT_SECONDS,
    IDLE_CONNECTIONS,
    Faults,
    HostileRequests,
    Repeated,
    allow_files,
)
from experiments.load.soak_faults import workers as workers_of
from experiments.load.soak_load import HonestClients
from experiments.load.soak_report import MemoryGrowth, SoakReport, SoakResult
from load_testing.cpus import available_cpus
from load_testing.model_result import LIBRARIES
from load_testing.payloads import Reference, read_reference
from load_testing.process_tree import memory
from load_testing.scenarios import parse_address
from load_testing.services import DEFAULT_WAIT, Service, ServiceError, ServiceSpec, known_services, running

WORKERS = 2
REQUEST_SECONDS = 5
"""Short, so that slow clients have their turn often enough."""

WARM_UP_SHARE = 0.1
"""The share of the soak after which memory is measured for the first time."""


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
    time.sleep(2 * REQUEST_SECONDS)  # connections that hostile clients left behind are gone by then
    (used_start, oldest_start), (used_end, oldest_end) = start[0], _memory_now(service)
    return SoakResult(
        service=service.spec.name,
        seconds=lasted,
        load=honest.counts,
        hostile=hostile.counts,
        faults=dict(faults.injected),
        shed_in_bursts=faults.shed,
        memory=MemoryGrowth(used_start, used_end, oldest_start, oldest_end, memory(service.pid).peak),
    )


def _memory_now(service: Service) -> tuple[int, int]:
    return memory(service.pid).used, workers_of(service.pid)[0].memory_info().rss


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--duration", type=real_number(), default=60.0, help="seconds for each service")
    parser.add_argument("--services", nargs="*", help="names of services (default: all that are built)")


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
    return publish(SoakReport(**made_now(LIBRARIES), results=tuple(results)), options.reports)
