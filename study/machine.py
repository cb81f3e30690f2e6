"""What the study ran on."""

import os
import platform
import time
from importlib.metadata import version

import msgspec
import psutil

from load_testing.cpus import available_cpus
from load_testing.machine import git_commit, processor_name
from training.description import library_versions


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran. `cpus` are those that this process may use; `commit` is None outside a git checkout."""

    processor: str
    cpus: int
    memory_bytes: int
    system: str
    libraries: dict[str, str]
    commit: str | None

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        memory = f"{self.memory_bytes / 1e9:.0f} GB"
        at = f", commit `{self.commit}`" if self.commit else ""
        return f"{self.processor}, {self.cpus} CPUs, {memory}, {self.system}; {versions}{at}"


def describe_machine() -> Machine:
    """This machine, as this process sees it."""
    return Machine(
        processor=processor_name(),
        cpus=len(available_cpus()),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        libraries=library_versions() | {"skl2onnx": version("skl2onnx")},
        commit=git_commit(),
    )


class OthersClock:
    """How many CPUs other processes keep busy on average, since it was made."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.perf_counter(), _busy_seconds(), _own_seconds()

    def cpus(self) -> float:
        """The average until now."""
        others = (_busy_seconds() - self._busy) - (_own_seconds() - self._own)
        return max(0.0, others / (time.perf_counter() - self._started))


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own_seconds() -> float:
    used = os.times()
    return used.user + used.system
