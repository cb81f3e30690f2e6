"""Which CPUs the services get and which the load generators."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class CpuSplit(NamedTuple):
    """CPU numbers. With a single CPU both sets are the same, and the two sides share it."""

    server: frozenset[int]
    client: frozenset[int]


def available_cpus() -> frozenset[int]:
    """The CPUs that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


def split_cpus(available: frozenset[int], wanted: int) -> CpuSplit:
    """The first `wanted` CPUs for the services, the others for the generators, and at least one for each side."""
    ordered = sorted(available)
    if len(ordered) == 1:
        return CpuSplit(frozenset(ordered), frozenset(ordered))
    servers = min(wanted, len(ordered) - 1)
    return CpuSplit(frozenset(ordered[:servers]), frozenset(ordered[servers:]))


@contextmanager
def on_cpus(cpus: frozenset[int]) -> Iterator[None]:
    """Processes that the calling thread starts within this block have this affinity from their first instruction on.

    Setting it on a process after its start would miss the workers that it has started by then. On a system without
    affinity (macOS), this does nothing.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
