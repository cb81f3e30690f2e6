"""Load generators as processes: started once, given plan after plan, their results merged."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from load_testing.cpus import on_cpus
from load_testing.plan import LoadPlan, LoadResult, merge_results, split_plan
from load_testing.services import ROOT

_STOP_SECONDS = 10.0


class GeneratorError(Exception):
    """A generator process ended or answered nonsense; what it wrote to standard error says why."""


class GeneratorPool:
    """Generator processes side by side. One Python process uses one CPU, so there is one per CPU."""

    def __init__(self, processes: list[subprocess.Popen[bytes]]) -> None:
        self._processes = processes

    def run(self, plan: LoadPlan) -> LoadResult:
        """Put the load on, and wait for the result. The processes start within a millisecond of each other.

        Raises:
            GeneratorError: a generator broke down.
        """
        plans = split_plan(plan, len(self._processes))
        busy = self._processes[: len(plans)]
        for process, part in zip(busy, plans, strict=True):
            _write(process, part)
        return merge_results([_read(process) for process in busy])


@contextmanager
def generator_pool(models: Path, cpus: frozenset[int]) -> Iterator[GeneratorPool]:
    """One generator process per CPU of the set, ended at the end."""
    command = [sys.executable, "-m", "load_testing.generator_process"]
    environment = os.environ | {"MODEL_DIR": str(models.resolve())}
    with ExitStack() as stack:
        processes = []
        for _ in cpus:
            with on_cpus(cpus):
                process = subprocess.Popen(  # noqa: S603  our own module
                    command,
                    env=environment,
                    cwd=ROOT,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    start_new_session=True,  # Ctrl-C is for the benchmark, which ends its generators itself
                )
            stack.callback(_stop, process)
            processes.append(process)
        yield GeneratorPool(processes)


def _write(process: subprocess.Popen[bytes], plan: LoadPlan) -> None:
    assert process.stdin is not None  # noqa: S101  it was started with a pipe
    try:
        process.stdin.write(msgspec.json.encode(plan) + b"\n")
        process.stdin.flush()
    except OSError as error:
        raise GeneratorError("a load generator has ended; what it wrote above says why") from error


def _read(process: subprocess.Popen[bytes]) -> LoadResult:
    assert process.stdout is not None  # noqa: S101  it was started with a pipe
    line = process.stdout.readline()
    try:
        return msgspec.json.decode(line, type=LoadResult)
    except msgspec.DecodeError as error:
        raise GeneratorError("a load generator broke down; what it wrote above says why") from error


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.communicate(timeout=_STOP_SECONDS)  # it ends at the end of its input
    except (subprocess.TimeoutExpired, OSError):
        process.kill()
        process.communicate()
