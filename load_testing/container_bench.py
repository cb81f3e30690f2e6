"""The Locust suite against running services, such as those of `docker compose up`.

Leaves `containers.md` and `containers.json` in the reports folder. Exit status: 0 every answer was right, 1 a failed
request, skew, or no result. Figures that need the services' own processes (CPU per request, memory, cold start) are in
the report of `make bench`.
"""

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from urllib.parse import urlsplit

import msgspec

from bundle.command_line import REPORTS, Parser, real_number, whole_number
from bundle.errors import BundleError
from bundle.files import write_files
from bundle.table import Table, to_markdown, to_text
from load_testing.cpus import available_cpus
from load_testing.generator_pool import GeneratorError, GeneratorPool, generator_pool
from load_testing.payloads import read_reference
from load_testing.plan import LoadPlan, LoadResult, merge_results
from load_testing.scenarios import SCENARIOS
from load_testing.skew_measurement import measure_skew
from load_testing.skew_report import skew_table


class Line(msgspec.Struct):
    """One service under one scenario, all rounds together."""

    scenario: str
    service: str
    load: LoadResult


def measure(pool: GeneratorPool, options: argparse.Namespace) -> list[Line]:
    """Services take turns, so that a machine that gets slower in the meantime affects all of them."""
    parts: dict[tuple[str, str], list[LoadResult]] = {pair: [] for pair in product(options.scenarios, options.hosts)}
    for number, (scenario, url) in product(range(options.rounds), parts):
        plan = LoadPlan(url=url, scenario=scenario, users=options.users, seconds=options.duration)
        pool.run(msgspec.structs.replace(plan, seconds=min(1, options.duration)))  # warm-up
        parts[scenario, url].append(pool.run(plan))
        print(f"round {number + 1} {scenario:9} {name(url)}", file=sys.stderr, flush=True)
    return [Line(scenario, name(url), in_sequence(loads)) for (scenario, url), loads in parts.items()]


def in_sequence(loads: list[LoadResult]) -> LoadResult:
    """One result of rounds that ran one after the other: the times add up."""
    merged = merge_results(loads)
    return msgspec.structs.replace(merged, seconds=sum(load.seconds for load in loads), processes=loads[0].processes)


def name(url: str) -> str:
    """In compose's network, the host of a service is its name."""
    return str(urlsplit(url).hostname)


def load_table(lines: Sequence[Line]) -> Table:
    """A line per scenario and service; below it what failed."""
    heads = ("scenario", "service", "requests/s", "rows/s", "mean ms", "p50 ms", "p95 ms", "p99 ms", "failed")
    failures = (f"{line.service}, {line.scenario}: {line.load.failures}" for line in lines if line.load.failed)
    notes = tuple(failures) or ("Every answer under load was right.",)
    return Table("Under load", heads, tuple(map(cells, lines)), frozenset({0, 1}), notes=notes)


def cells(line: Line) -> tuple[str, ...]:
    """A row of the table."""
    load, latencies = line.load, line.load.latencies
    times = (latencies.mean_ms, *map(latencies.percentile_ms, (50, 95, 99)))
    rates = (f"{count / load.seconds:,.0f}" for count in (load.requests, load.rows))
    return (line.scenario, line.service, *rates, *(f"{time:.2f}" for time in times), f"{load.failed:,}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 every answer was right, 1 otherwise."""
    parser = Parser("load_testing container-bench", __doc__.partition("\n")[0])
    parser.add_argument("--hosts", nargs="+", required=True, metavar="URL", help="running services")
    parser.add_argument("--duration", type=real_number(), default=5, help="seconds of load per run")
    parser.add_argument("--rounds", type=whole_number(1), default=1, help="how often every service is measured")
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients, each with one connection")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_folders(REPORTS)
    options = parser.read(arguments)
    try:
        reference = read_reference(options.models)
        with generator_pool(options.models, available_cpus()) as pool:
            lines = measure(pool, options)
        skew = [row for url in options.hosts for row in measure_skew(name(url), url, reference)]
        tables = (load_table(lines), skew_table(skew))
        parts = ["# Load test of the containers", *(f"## {table.title}\n\n{to_markdown(table)}" for table in tables)]
        result = msgspec.json.encode({"load": lines, "skew": skew})
        write_files(options.reports, {"containers.md": "\n\n".join([*parts, ""]).encode(), "containers.json": result})
    except (BundleError, GeneratorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(*map(to_text, tables), sep="\n\n")
    return 1 if any(line.load.failed for line in lines) or not all(row.clean for row in skew) else 0
