"""How many CPUs this process may really use: the host's count says nothing inside a container."""

import math
import os
from pathlib import Path

CGROUP = Path("/sys/fs/cgroup")


def usable_cpus(cgroup: Path = CGROUP) -> int:
    """The smaller of the CPU affinity and the cgroup quota (version 2 or 1), rounded down, at least 1."""
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, math.floor(quota)))


def _quota(cgroup: Path) -> float | None:
    """CPUs that the cgroup grants per period; None where nothing limits them.

    Files and their meaning: Linux kernel documentation, admin-guide/cgroup-v2 (`cpu.max`), scheduler/sched-bwc (v1).
    """
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        return quota_us / int((cgroup / "cpu" / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
