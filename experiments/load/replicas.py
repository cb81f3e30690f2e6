"""What a request costs replicas and the proxy before them, and who notices that one is killed.

    python -m experiments replicas --host http://127.0.0.1:8080 --container NAME... [--kill NAME]

The containers run already, in a Docker engine on this machine. Their CPU time is read from their processes; the load
generator has the same CPUs as they, so that requests/s say less than CPU time per request. With `--kill`, that
container gets SIGKILL (or `--signal TERM`) when a third of the time is over.
"""

import argparse
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec
import psutil

from bundle.command_line import Parser, file_path, real_number, whole_number
from bundle.errors import BundleError
from bundle.manifest import read_manifest
from load_testing.cpus import available_cpus
from load_testing.generator_pool import GeneratorError, GeneratorPool, generator_pool
from load_testing.plan import LoadPlan, LoadResult
from load_testing.process_tree import cpu_seconds
from load_testing.scenarios import SCENARIOS, parse_address

_WARM_UP_SECONDS = 1.0


class ContainerError(Exception):
    """The engine or a container is not as it must be; the message names it."""


def docker(*arguments: str) -> str:
    """What Docker's command line prints.

    Raises:
        ContainerError: there is no such program, or it failed.
    """
    try:
        done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except OSError as error:
        raise ContainerError(f"docker: {error.strerror}") from error
    if done.returncode:
        raise ContainerError(f"docker {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def main_process(container: str) -> int:
    """The process id of a running container's first process.

    Raises:
        ContainerError: there is no such container, or it doesn't run.
    """
    pid = int(docker("inspect", "--format={{.State.Pid}}", container))
    if not pid:
        raise ContainerError(f"the container {container} is not running")
    return pid


def measure(
    pool: GeneratorPool, plan: LoadPlan, containers: Sequence[str], killed: str | None, signal: str
) -> tuple[LoadResult, dict[str, float]]:
    """The load, and the CPU seconds that it cost each container; not of the one that is killed, which takes them along.

    Raises:
        ContainerError, GeneratorError: a container was not there or has ended, a generator broke down.
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
        raise ContainerError("a container ended under load") from error
    if killed and int(docker("inspect", "--format={{.State.Pid}}", killed)) == victim:
        raise ContainerError(f"the container {killed} has not ended")
    return load, used


def format_result(load: LoadResult, used: dict[str, float]) -> str:
    """A line about the load and one for each container."""
    lines = [
        f"{load.requests:,} requests in {load.seconds:.1f} s ({load.requests / load.seconds:,.0f}/s), "
        f"{load.failed:,} failed {load.failures or ''}".rstrip(),
        f"p50 {load.latencies.percentile_ms(50):.2f} ms, p99 {load.latencies.percentile_ms(99):.2f} ms, "
        f"max {load.latencies.percentile_ms(100):.1f} ms",
    ]
    lines += [
        f"{name}: {1e6 * seconds / load.requests:.1f} CPU µs per request of all" for name, seconds in used.items()
    ]
    return "\n".join(lines)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("experiments replicas", __doc__.partition("\n")[0])
    parser.add_argument("--host", required=True, help="http://host:port of the proxy, or of a replica")
    parser.add_argument("--container", nargs="+", default=[], metavar="NAME", help="whose CPU time is read")
    parser.add_argument("--kill", metavar="NAME", help="a container that gets a signal under load")
    parser.add_argument("--signal", choices=["KILL", "TERM"], default="KILL", help="which one it gets")
    parser.add_argument("--scenario", choices=list(SCENARIOS), default="single")
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients, each with one connection")
    parser.add_argument("--duration", type=real_number(), default=5, metavar="SECONDS")
    parser.add_argument("--models", type=file_path, default=Path("models"), help="folder of the bundle")
    given = parser.read(arguments)
    try:
        parse_address(given.host)
    except ValueError as error:
        parser.error(f"--host: {error}")
    return given


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 every answer was right, 1 a failed request or no result."""
    given = parse_arguments(arguments)
    plan = LoadPlan(url=given.host, scenario=given.scenario, users=given.users, seconds=given.duration)
    try:
        read_manifest(given.models)
        with generator_pool(given.models, available_cpus()) as pool:
            load, used = measure(pool, plan, given.container, given.kill, given.signal)
    except (BundleError, ContainerError, GeneratorError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(format_result(load, used))
    return 1 if load.failed else 0
