"""A made-up benchmark, for the tests of what reports say of one."""

from datetime import UTC, datetime

from bundle.machine import Machine
from load_testing.benchmark_result import Benchmark
from load_testing.process_tree import Memory
from load_testing.results import LoadCell, LoadProtocol, ServiceFacts, Spread
from load_testing.skew import Mismatch, SkewResult
from load_testing.skew_measurement import SkewRow

CREATED = datetime(2030, 1, 2, 3, 4, tzinfo=UTC)
MACHINE = Machine(
    processor="Abacus 9",
    cpus=2,
    memory_bytes=16_000_000_000,
    system="Linux 6",
    python="3.11.7",
    libraries={"locust": "2.47.0"},
    commit="c0ffee",
)


def flat(value):
    return Spread(value, value, value)


def make_cell(service, scenario, rate, cpu, *, failures=(), generator=0.5):
    """`rate` in requests/s, of which the rounds are 10 % around; `cpu` in milliseconds per request."""
    return LoadCell(
        scenario=scenario,
        service=service,
        requests=1000,
        failures=dict(failures),
        requests_per_second=Spread(rate, 0.9 * rate, 1.1 * rate),
        rows_per_second=flat(rate),
        mean_ms=flat(4.0),
        p50_ms=flat(3.5),
        p95_ms=flat(7.25),
        p99_ms=flat(12.5),
        cpu_ms_per_request=flat(cpu),
        rows_per_cpu_second=flat(1000 / cpu),
        server_utilisation=0.8 if generator > 0.9 else 0.99,
        generator_utilisation=generator,
    )


def make_skew_row(service, *, wrong=0):
    mismatch = Mismatch(
        row=7,
        case="<missing>",
        expected_label=1,
        served_label=0,
        expected_probability=0.75,
        served_probability=None,
    )
    result = SkewResult(
        rows=200, equal_labels=200 - wrong, equal_probabilities=200, mismatches=(mismatch,) if wrong else ()
    )
    return SkewRow(service=service, route="/predict", result=result, failures={}, seconds=1.5)


def make_result(*, cells, skew, left_out=("axum: its release binary isn't built (make build-axum)",)):
    facts = [
        ServiceFacts(
            service=name,
            cold_start_seconds=Spread(1.5, 1.25, 2.0),
            memory=Memory(used=150_000_000, peak=200_000_000),
            artifact="m.pkl",
            artifact_bytes=437_000,
        )
        for name in dict.fromkeys(cell.service for cell in cells)
    ]
    return Benchmark(
        model="m",
        version="abc123",
        data_source="synthetic",
        created=CREATED,
        command="python -m load_testing bench --users 32",
        machine=MACHINE,
        protocol=LoadProtocol(
            seconds=5, warm_up=1, rounds=3, users=32, workers=1, server_cpus=(0,), client_cpus=(1,), cold_starts=3
        ),
        services=tuple(facts),
        cells=tuple(cells),
        skew=tuple(skew),
        left_out=left_out,
    )
