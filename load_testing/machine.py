"""What the benchmark ran on, and how it was called."""

import platform
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil

from load_testing.cpus import available_cpus
from load_testing.results import Machine
from load_testing.services import ROOT

_LIBRARIES = (
    "locust",
    "gevent",
    "onnxruntime",
    "scikit-learn",
    "xgboost-cpu",
    "xgboost",
    "fastapi",
    "uvicorn",
    "msgspec",
)


def describe_machine() -> Machine:
    """This machine, with the CPUs that this process may use."""
    return Machine(
        processor=processor_name(),
        cpus=len(available_cpus()),
        memory_bytes=psutil.virtual_memory().total,
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries=dict(_installed()),
        commit=git_commit(),
    )


def command_line() -> str:
    """What was called, to be repeated."""
    specification = sys.modules["__main__"].__spec__
    module = ["-m", specification.name] if specification else sys.argv[:1]
    return shlex.join(["python", *module, *sys.argv[1:]])


def processor_name() -> str:
    """What the system calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _installed() -> list[tuple[str, str]]:
    found = []
    for name in _LIBRARIES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """The checkout's commit, and whether it was changed; None outside of one."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)  # noqa: S603  constant
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
