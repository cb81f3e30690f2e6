"""The messages between the benchmark and its load generators: plans and results."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from load_testing.latency import LatencyHistogram, merge


class LoadPlan(msgspec.Struct, frozen=True, kw_only=True):
    """One run: `users` clients, each with one connection, send the scenario's requests for `seconds`."""

    url: str
    scenario: str
    users: int
    seconds: float


class LoadResult(msgspec.Struct, frozen=True, kw_only=True):
    """One run as the clients saw it, from the first request to the last answer.

    `requests` counts all, failed ones too; `failures` is {reason: count}. `processes` generator processes took
    `cpu_seconds` of CPU time together.
    """

    requests: int
    rows: int
    failures: dict[str, int]
    seconds: float
    cpu_seconds: float
    processes: int
    latencies: LatencyHistogram

    @property
    def failed(self) -> int:
        """Number of failed requests."""
        return sum(self.failures.values())

    @property
    def cpu_utilisation(self) -> float:
        """Share of its processes' CPUs that the generator used, 0 to 1: near 1 it was the bottleneck."""
        return self.cpu_seconds / (self.seconds * self.processes)


def merge_results(parts: Sequence[LoadResult]) -> LoadResult:
    """The result of generators that ran side by side."""
    return LoadResult(
        requests=sum(part.requests for part in parts),
        rows=sum(part.rows for part in parts),
        failures=dict(sum((Counter(part.failures) for part in parts), Counter[str]())),
        seconds=max(part.seconds for part in parts),
        cpu_seconds=sum(part.cpu_seconds for part in parts),
        processes=sum(part.processes for part in parts),
        latencies=merge(part.latencies for part in parts),
    )


def split_plan(plan: LoadPlan, processes: int) -> list[LoadPlan]:
    """The plan's users, spread over at most `processes` processes; no process gets a plan without users."""
    share, rest = divmod(plan.users, processes)
    counts = [share + (i < rest) for i in range(processes)]
    return [msgspec.structs.replace(plan, users=count) for count in counts if count]
