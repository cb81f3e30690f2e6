"""The benchmark: every service under the same load, every answer checked, one report.

    python -m load_testing bench --duration 5 --users 32 --rounds 3

Exit status: 0 every answer was right, 1 a failed request, skew, or no result.
"""

import argparse
import signal
import sys
import textwrap
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import product
from pathlib import Path

from bundle.command_line import REPORTS, Parser, real_number, whole_number
from bundle.errors import BundleError
from bundle.lock import owning_reports
from bundle.manifest import Manifest
from load_testing.benchmark_result import Benchmark
from load_testing.cpus import available_cpus, split_cpus
from load_testing.generator_pool import GeneratorError, GeneratorPool, generator_pool
from load_testing.measurement import Run, measure_run, order_runs, summarise
from load_testing.model_result import origin
from load_testing.payloads import read_reference
from load_testing.process_tree import memory
from load_testing.report import write_reports
from load_testing.results import LoadCell, LoadProtocol, ServiceFacts, Spread
from load_testing.scenarios import SCENARIOS
from load_testing.services import PEERS, Service, ServiceError, ServiceSpec, running, usable_services
from load_testing.skew_measurement import measure_skew


def benchmark(options: argparse.Namespace) -> Benchmark:
    """Run the whole protocol.

    Raises:
        BundleError: there is no usable bundle.
        ServiceError, GeneratorError: a process couldn't be started, or broke down.
    """
    reference = read_reference(options.models)
    manifest = reference.manifest
    specs, left_out = choose_services(options.services, manifest, baselines=options.baselines, peers=options.peers)
    protocol = plan_protocol(options)
    with ExitStack() as stack:
        services, cold_starts = start_services(stack, specs, options.models, protocol)
        pool = stack.enter_context(generator_pool(options.models, frozenset(protocol.client_cpus)))
        cells = measure_cells(pool, services, options.scenarios, protocol)
        facts = [describe_service(service, cold_starts[service.spec.name], manifest) for service in services]
        say("comparing every reference row")
        skew = [row for service in services for row in measure_skew(service.spec.name, service.url, reference)]
    return Benchmark(
        **origin(manifest),
        protocol=protocol,
        services=tuple(facts),
        cells=tuple(cells),
        skew=tuple(skew),
        left_out=left_out,
    )


def choose_services(
    names: Sequence[str], manifest: Manifest, *, baselines: bool = False, peers: bool = False
) -> tuple[list[ServiceSpec], tuple[str, ...]]:
    """The services with these names (all, if no name is given), and what is left out and why.

    Raises:
        ServiceError: a name is unknown, or nothing is left.
        OSError: the environment of a peer couldn't be made.
    """
    others = PEERS if peers else [name for name in PEERS if name in names]
    known, left_out = usable_services(manifest, baselines=baselines or bool(names), peers=others)
    told = {sentence.partition(":")[0]: sentence for sentence in left_out}
    unknown = sorted({*names} - {*known, *told})
    if unknown:
        raise ServiceError(f"there is no service {unknown[0]!r}; there are {', '.join({**known, **PEERS})}")
    chosen = [spec for name, spec in known.items() if not names or name in names]
    missing = tuple(sentence for name, sentence in told.items() if not names or name in names)
    if not chosen:
        raise ServiceError(f"none of the services that were asked for can be measured ({'; '.join(missing)})")
    return chosen, missing


def plan_protocol(options: argparse.Namespace) -> LoadProtocol:
    """Half of the CPUs for the services (or as many as `--workers`), a worker on each; the rest for the generators."""
    available = available_cpus()
    workers = options.workers or max(1, len(available) // 2)
    cpus = split_cpus(available, workers)
    return LoadProtocol(
        seconds=options.duration,
        warm_up=options.warm_up,
        rounds=options.rounds,
        users=options.users,
        workers=workers,
        server_cpus=tuple(sorted(cpus.server)),
        client_cpus=tuple(sorted(cpus.client)),
        cold_starts=options.cold_starts,
    )


def start_services(
    stack: ExitStack, specs: Sequence[ServiceSpec], models: Path, protocol: LoadProtocol
) -> tuple[list[Service], dict[str, Spread]]:
    """Start each service `cold_starts` times, one after the other, and leave the last one running."""
    cpus = frozenset(protocol.server_cpus)
    seconds: dict[str, list[float]] = {spec.name: [] for spec in specs}
    for _, spec in product(range(protocol.cold_starts - 1), specs):
        with running(spec, models, cpus, protocol.workers) as service:
            seconds[spec.name].append(service.cold_start_seconds)
    services = [stack.enter_context(running(spec, models, cpus, protocol.workers)) for spec in specs]
    for service in services:
        seconds[service.spec.name].append(service.cold_start_seconds)
        say(f"{service.spec.name}: ready after {service.cold_start_seconds:.2f} s")
    return services, {name: Spread.of(values) for name, values in seconds.items()}


def measure_cells(
    pool: GeneratorPool, services: Sequence[Service], scenarios: Sequence[str], protocol: LoadProtocol
) -> list[LoadCell]:
    """All runs, and their summary by scenario and service."""
    order = order_runs(scenarios, services, protocol.rounds)
    width = max(len(service.spec.name) for service in services)
    runs: dict[tuple[str, str], list[Run]] = {(name, s.spec.name): [] for name in scenarios for s in services}
    for number, (round_number, scenario, service) in enumerate(order, start=1):
        run = measure_run(pool, service, scenario, protocol)
        runs[scenario, service.spec.name].append(run)
        rate, milliseconds = run.load.requests / run.load.seconds, 1000 * run.server_cpu_seconds / run.load.requests
        say(
            f"[{number}/{len(order)}] round {round_number + 1} {scenario:9} {service.spec.name:{width}} "
            f"{rate:9,.0f} requests/s {milliseconds:8.3f} server CPU ms/request {run.load.failed:6,} failed"
        )
    return [summarise(of_cell, protocol) for of_cell in runs.values()]


def describe_service(service: Service, cold_start: Spread, manifest: Manifest) -> ServiceFacts:
    """Cold start, memory after the load, and the artifact's size from the manifest."""
    artifact = manifest.artifacts[service.spec.artifact]
    return ServiceFacts(
        service=service.spec.name,
        cold_start_seconds=cold_start,
        memory=memory(service.pid),
        artifact=Path(artifact.file).name,
        artifact_bytes=artifact.bytes,
    )


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = Parser("load_testing bench", __doc__.partition("\n")[0])
    parser.add_argument("--duration", type=real_number(), default=5, help="seconds of load per run")
    parser.add_argument(
        "--warm-up", type=real_number(above=False), default=1, help="seconds of load before each run that don't count"
    )
    parser.add_argument("--users", type=whole_number(1), default=32, help="clients, each with one connection")
    parser.add_argument("--rounds", type=whole_number(1), default=3, help="how often every service is measured")
    parser.add_argument("--cold-starts", type=whole_number(1), default=3, help="starts of each service to time")
    parser.add_argument("--scenarios", nargs="+", choices=list(SCENARIOS), default=list(SCENARIOS))
    parser.add_argument(
        "--services", nargs="+", default=[], help="pickle, onnx, axum, a baseline or a peer (default: our own)"
    )
    parser.add_argument(
        "--workers", type=whole_number(1), help="worker processes of each service (default: half of the CPUs)"
    )
    parser.add_argument("--baselines", action="store_true", help="measure the services of load_testing/baselines too")
    parser.add_argument("--peers", action="store_true", help="measure BentoML, LitServe and MLServer too")
    parser.add_folders(REPORTS)
    return parser.read(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Exit status: 0 every answer was right, 1 a failed request, skew, or no result, 130 interrupted."""
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the processes it started are stopped
    try:
        with owning_reports(options.reports):
            result = benchmark(options)
            paths = write_reports(result, options.reports)
    except (BundleError, ServiceError, GeneratorError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: no report", file=sys.stderr)
        return 130
    question, verdict, paragraphs = result.answer()
    print(*map(textwrap.fill, (f"{question} {verdict}", *paragraphs)), sep="\n\n")
    print("", *paths, sep="\n")
    if not result.ok:
        print("FAILED: wrong or missing answers, see the report", file=sys.stderr)
    return 0 if result.ok else 1
