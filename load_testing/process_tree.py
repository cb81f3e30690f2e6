"""CPU time and memory of a process and of all processes that it started."""

from contextlib import suppress
from pathlib import Path

import msgspec
import psutil


class Memory(msgspec.Struct, frozen=True):
    """`used` is the proportional set size (pages shared by n processes count 1/n each), `peak` the sum of the highest
    resident set sizes so far, which count shared pages in full. Bytes; where the system lacks either, the resident set.
    """

    used: int
    peak: int


def cpu_seconds(pid: int) -> float:
    """User and system time of the tree so far, including children that have ended.

    Raises:
        psutil.NoSuchProcess: there is no such process.
    """
    total = 0.0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            # the times of ended children went to the parent that waited for them; living ones are in the tree
            total += times.user + times.system + times.children_user + times.children_system
    return total


def memory(pid: int) -> Memory:
    """Memory of the tree now, and its peak.

    Raises:
        psutil.NoSuchProcess: there is no such process.
    """
    used = peak = 0
    for process in _tree(pid):
        with suppress(psutil.NoSuchProcess):
            information = process.memory_full_info()
            used += getattr(information, "pss", information.rss)
            peak += _peak_resident(process.pid) or information.rss
    return Memory(used, peak)


def _tree(pid: int) -> list[psutil.Process]:
    """The process and its descendants; one of these may end before it is looked at."""
    root = psutil.Process(pid)
    return [root, *root.children(recursive=True)]


def _peak_resident(pid: int) -> int | None:
    """Linux's `VmHWM` (man proc_pid_status), in bytes."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return None
    _, found, rest = status.partition("\nVmHWM:")
    return int(rest.split()[0]) * 1024 if found else None
