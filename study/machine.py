"""What the study ran on."""

import os
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path

import msgspec
import psutil

from training.description import library_versions

ROOT = Path(__file__).resolve().parent.parent


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
        processor=_processor(),
        cpus=available_cpus(),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        libraries=library_versions() | {"skl2onnx": version("skl2onnx")},
        commit=_commit(),
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


def available_cpus() -> int:
    """How many CPUs this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603  constant
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
