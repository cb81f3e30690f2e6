"""The result of a benchmark: all that the reports are made from, and what `benchmark.json` holds."""

import statistics
from collections.abc import Iterable
from datetime import datetime

import msgspec

from bundle.machine import Machine
from load_testing.process_tree import Memory
from load_testing.skew_measurement import SkewRow

_BUSY = 0.9


class Spread(msgspec.Struct, frozen=True):
    """Median of the rounds, with the lowest and the highest."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of one value per round, at least one."""
        listed = list(values)
        return cls(statistics.median(listed), min(listed), max(listed))


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One service in one scenario, over all rounds.

    Latencies in milliseconds; CPU is that of the service's processes; utilisations are medians, 0 to 1, of the CPUs
    that the side could use. `failures` is {reason: count of requests}.
    """

    scenario: str
    service: str
    requests: int
    failures: dict[str, int]
    requests_per_second: Spread
    rows_per_second: Spread
    mean_ms: Spread
    p50_ms: Spread
    p95_ms: Spread
    p99_ms: Spread
    cpu_ms_per_request: Spread
    rows_per_cpu_second: Spread
    server_utilisation: float
    generator_utilisation: float

    @property
    def generator_bound(self) -> bool:
        """The generator was at its limit and the service wasn't: its requests/s say what the generator can do."""
        return self.server_utilisation < _BUSY < self.generator_utilisation

    @property
    def idle(self) -> bool:
        """Neither side was at its limit."""
        return max(self.server_utilisation, self.generator_utilisation) < _BUSY


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a service costs beside CPU. `memory` is taken after all load; `artifact` is the file that it loads."""

    service: str
    cold_start_seconds: Spread
    memory: Memory
    artifact: str
    artifact_bytes: int


class Protocol(msgspec.Struct, frozen=True, kw_only=True):
    """How it was measured: `seconds` of load per scenario, service and round, after `warm_up` uncounted ones."""

    seconds: float
    warm_up: float
    rounds: int
    users: int
    workers: int
    server_cpus: tuple[int, ...]
    client_cpus: tuple[int, ...]
    cold_starts: int

    @property
    def shared_cpu(self) -> bool:
        """Services and generators had to share a CPU."""
        return bool(set(self.server_cpus) & set(self.client_cpus))


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """A whole benchmark. `left_out` says which services were not measured, and why.

    `command` is "" in results that were written before it was recorded.
    """

    model: str
    version: str
    data_source: str
    created: datetime
    command: str = ""
    machine: Machine
    protocol: Protocol
    services: tuple[ServiceFacts, ...]
    cells: tuple[Cell, ...]
    skew: tuple[SkewRow, ...]
    left_out: tuple[str, ...]

    @property
    def failed_requests(self) -> int:
        """Requests under load that got no right answer."""
        return sum(sum(cell.failures.values()) for cell in self.cells)

    @property
    def clean(self) -> bool:
        """No failed request and no skew."""
        return not self.failed_requests and all(row.clean for row in self.skew)
