"""What a request costs replicas and the proxy before them, and who notices that one is killed.

    python -m experiments replicas --host http://127.0.0.1:8080 --container NAME... [--kill NAME]

The containers run already, in a Docker engine on this machine. Their CPU time is read from their processes; the load
generator has the same CPUs as they, so that requests/s say less than CPU time per request. With `--kill`, that
container gets SIGKILL (or `--signal TERM`) when a third of the time is over.
"""

import argparse
import threading
from collections.abc import Sequence
from typing import ClassVar

import msgspec
import psutil

from bundle.command_line import real_number, whole_number
from bundle.manifest import read_manifest
from bundle.table import Table
from experiments.command import add_folders, publish
from experiments.errors import ExperimentError
from experiments.load.docker import docker
from load_testing.cpus import available_cpus
from load_testing.generator_pool import GeneratorPool, generator_pool
from load_testing.model_result import ModelResult, origin
from load_testing.plan import LoadPlan, LoadResult
from load_testing.process_tree import cpu_seconds
from load_testing.scenarios import SCENARIOS, parse_address

_WARM_UP_SECONDS = 1.0


class ReplicasReport(ModelResult, frozen=True, kw_only=True):
    """The load, and {container: CPU seconds that it cost it}."""

    title: ClassVar = "Replicas"
    file: ClassVar = "replicas.json"
    made_by: ClassVar = "python -m experiments replicas"

    host: str
    load: LoadResult
    cpu_seconds: dict[str, float]

    @property
    def ok(self) -> bool:
        """No request failed."""
        return not self.load.failed

    def key_figures(self) -> tuple[str, ...]:
        """Rate, and failures."""
        return (f"{self.load.requests / self.load.seconds:,.0f} requests/s, {self.load.failed:,} failed",)

    def tables(self) -> tuple[Table, ...]:
        """What the clients saw, and what it cost each container."""
        load = self.load
        times = (f"{load.latencies.percentile_ms(percent):.2f}" for percent in (50, 99, 100))
        seen = (self.host, f"{load.requests:,}", f"{load.requests / load.seconds:,.0f}", *times, f"{load.failed:,}")
        heads = ("host", "requests", "requests/s", "p50 ms", "p99 ms", "max ms", "failed")
        reasons = tuple(f"{count:,} failed: {reason}" for reason, count in load.failures.items())
        costs = tuple((name, f"{1e6 * used / load.requests:.1f}") for name, used in self.cpu_seconds.items())
        return (
            Table("Under load", heads, (seen,), notes=reasons),
            Table("CPU time, a share of all requests", ("container", "CPU µs/request"), costs),
        )


def main_process(container: str) -> int:
    """The process id of a running container's first process.

    Raises:
        ExperimentError: there is no such container, or it doesn't run.
    """
    pid = int(docker("inspect", "--format={{.State.Pid}}", container))
    if not pid:
        raise ExperimentError(f"the container {container} is not running")
    return pid


def measure(
    pool: GeneratorPool, plan: LoadPlan, containers: Sequence[str], killed: str | None, signal: str
) -> tuple[LoadResult, dict[str, float]]:
    """The load, and the CPU seconds that it cost each container; not of the one that is killed, which takes them along.

    Raises:
        ExperimentError, GeneratorError: a container was not there or has ended, a generator broke down.
    """
    pool.run(msgspec.structs.replace(plan, seconds=_WARM_UP_SECONDS))
    pids = {name: main_process(name) for name in containers}
    victim = main_process(killed) if killed else None
    killer = threading.Timer(plan.seconds / 3, docker, ("kill", f"--signal={signal}", killed)) if killed else None
    try:
        before = {name: cpu_seconds(pid) for name, pid in pids.items()}
        if killer:
            killer.start()
        load = pool.run(plan)
        used = {name: cpu_seconds(pid) - before[name] for name, pid in pids.items() if name != killed}
    except psutil.NoSuchProcess as error:
        raise ExperimentError("a container ended under load") from error
    if killed and int(docker("inspect", "--format={{.State.Pid}}", killed)) == victim:
        raise ExperimentError(f"the container {killed} has not ended")
    return load, used


def address(text: str) -> str:
    """An option's `http://host:port`."""
    try:
        parse_address(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's options."""
    add_folders(parser)
    parser.add_argument("--host", type=address, required=True, help="http://host:port of the proxy, or of a replica")
    parser.add_argument("--container", nargs="+", default=[], metavar="NAME", help="containers whose CPU time is read")
    parser.add_argument("--kill", metavar="NAME", help="a container that gets a signal under load")
    parser.add_argument("--signal", choices=["KILL", "TERM"], default="KILL", help="the signal that it gets")
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="single")
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients, each with one connection")
    parser.add_argument("--duration", type=real_number(), default=5, metavar="SECONDS")


def run(options: argparse.Namespace) -> int:
    """Measure the containers that run."""
    plan = LoadPlan(url=options.host, scenario=options.scenario, users=options.users, seconds=options.duration)
    manifest = read_manifest(options.models)
    with generator_pool(options.models, available_cpus()) as pool:
        load, used = measure(pool, plan, options.container, options.kill, options.signal)
    report = ReplicasReport(**origin(manifest), host=options.host, load=load, cpu_seconds=used)
    return publish(report, options.reports)
