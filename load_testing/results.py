"""The parts of a benchmark: services in scenarios, a service's costs other than CPU, and the protocol."""

import statistics
from collections.abc import Iterable

import msgspec

from bundle.table import three_digits
from load_testing.process_tree import Memory

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

    def __str__(self) -> str:
        """Median, with lowest and highest if they differ from it as written."""
        median, lowest, highest = map(three_digits, (self.median, self.lowest, self.highest))
        return median if lowest == highest else f"{median} ({lowest} to {highest})"


class LoadCell(msgspec.Struct, frozen=True, kw_only=True):
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
    def failed(self) -> int:
        """Requests that got no right answer."""
        return sum(self.failures.values())

    @property
    def generator_bound(self) -> bool:
        """The generator was at its limit and the service wasn't: its requests/s show the generator's limit."""
        return self.server_utilisation < _BUSY < self.generator_utilisation

    @property
    def idle(self) -> bool:
        """Neither side was at its limit."""
        return max(self.server_utilisation, self.generator_utilisation) < _BUSY


class ServiceFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A service's costs other than CPU. `memory` is taken after all load; `artifact` is the file that it loads."""

    service: str
    cold_start_seconds: Spread
    memory: Memory
    artifact: str
    artifact_bytes: int


class LoadProtocol(msgspec.Struct, frozen=True, kw_only=True):
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
