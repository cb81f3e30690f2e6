"""Runs under load: their order, one run, and the summary of all runs of a service in a scenario."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import psutil

from load_testing.generator_pool import GeneratorPool
from load_testing.plan import LoadPlan, LoadResult
from load_testing.process_tree import cpu_seconds
from load_testing.results import LoadCell, LoadProtocol, Spread
from load_testing.services import Service, ServiceError


@dataclass(frozen=True)
class Run:
    """One service under one scenario's load, once; `server_cpu_seconds` is all CPU time that the service used."""

    scenario: str
    service: str
    load: LoadResult
    server_cpu_seconds: float


def order_runs(scenarios: Sequence[str], services: Sequence[Service], rounds: int) -> list[tuple[int, str, Service]]:
    """(Round, scenario, service). Services alternate, and which one comes first changes from round to round.

    So a machine that gets slower or busier in the meantime affects all of them.
    """
    order = []
    for number in range(rounds):
        first = number % len(services)
        order += list(product([number], scenarios, [*services[first:], *services[:first]]))
    return order


def measure_run(pool: GeneratorPool, service: Service, scenario: str, protocol: LoadProtocol) -> Run:
    """Warm up, then measure. The server's CPU time is read while it is idle before and after, so none is missed.

    Raises:
        ServiceError: the service ended, or answered nothing at all.
        GeneratorError: a generator broke down.
    """
    try:
        if protocol.warm_up:
            pool.run(LoadPlan(url=service.url, scenario=scenario, users=protocol.users, seconds=protocol.warm_up))
        before = cpu_seconds(service.pid)
        load = pool.run(LoadPlan(url=service.url, scenario=scenario, users=protocol.users, seconds=protocol.seconds))
        used = cpu_seconds(service.pid) - before
    except psutil.NoSuchProcess as error:
        raise ServiceError(f"the {service.spec.name} service ended under load") from error
    if not load.requests:
        raise ServiceError(f"the {service.spec.name} service answered nothing within {protocol.seconds:g} s")
    return Run(scenario, service.spec.name, load, used)


def summarise(runs: Sequence[Run], protocol: LoadProtocol) -> LoadCell:
    """All rounds of one service in one scenario."""
    loads = [run.load for run in runs]
    server_cpus = min(protocol.workers, len(protocol.server_cpus))
    server = Spread.of(run.server_cpu_seconds / (run.load.seconds * server_cpus) for run in runs)
    return LoadCell(
        scenario=runs[0].scenario,
        service=runs[0].service,
        requests=sum(load.requests for load in loads),
        failures=dict(sum((Counter(load.failures) for load in loads), Counter[str]())),
        requests_per_second=Spread.of(load.requests / load.seconds for load in loads),
        rows_per_second=Spread.of(load.rows / load.seconds for load in loads),
        mean_ms=Spread.of(load.latencies.mean_ms for load in loads),
        p50_ms=Spread.of(load.latencies.percentile_ms(50) for load in loads),
        p95_ms=Spread.of(load.latencies.percentile_ms(95) for load in loads),
        p99_ms=Spread.of(load.latencies.percentile_ms(99) for load in loads),
        cpu_ms_per_request=Spread.of(1000 * run.server_cpu_seconds / run.load.requests for run in runs),
        # CPU time has a resolution of 10 ms: a run so short that it shows none is counted as one tick
        rows_per_cpu_second=Spread.of(run.load.rows / max(run.server_cpu_seconds, 0.01) for run in runs),
        server_utilisation=server.median,
        generator_utilisation=Spread.of(load.cpu_utilisation for load in loads).median,
    )
