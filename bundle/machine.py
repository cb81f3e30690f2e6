"""Where and how a result was made: what every result file records besides its figures."""

import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from bundle.cpus import usable_cpus

_ROOT = Path(__file__).resolve().parent.parent


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it ran. `cpus` are those that the process could use; `libraries` is {distribution: version}; `commit` is
    None outside a git checkout, and ends in `-dirty` if the checkout was changed.
    """

    processor: str
    cpus: int
    memory_bytes: int
    system: str
    python: str
    libraries: dict[str, str]
    commit: str | None

    def __str__(self) -> str:
        versions = ", ".join(f"{name} {number}" for name, number in self.libraries.items())
        at = f", commit `{self.commit}`" if self.commit else ""
        memory = f"{self.memory_bytes / 1e9:.0f} GB"
        return f"{self.processor}, {self.cpus} CPUs, {memory}, {self.system}; Python {self.python}, {versions}{at}"


def describe_machine(libraries: Iterable[str]) -> Machine:
    """This machine as this process sees it, with the versions of those libraries that are installed."""
    return Machine(
        processor=_processor_name(),
        cpus=usable_cpus(),
        memory_bytes=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        libraries=dict(_installed(libraries)),
        commit=_git_commit(),
    )


def command_line() -> str:
    """The command that was run, so that it can be repeated."""
    specification = sys.modules["__main__"].__spec__
    module = ["-m", specification.name.removesuffix(".__main__")] if specification else sys.argv[:1]
    return shlex.join(["python", *module, *sys.argv[1:]])


def _processor_name() -> str:
    """What the system calls the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _installed(libraries: Iterable[str]) -> list[tuple[str, str]]:
    found = []
    for name in libraries:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found


def _git_commit() -> str | None:
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=True)  # noqa: S603  constant
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
