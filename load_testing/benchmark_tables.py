"""The tables of a benchmark."""

from collections.abc import Sequence

from bundle.table import Table, byte_size, three_digits
from load_testing.results import LoadCell, ServiceFacts
from load_testing.scenarios import SCENARIOS

BOUND, IDLE = "†", "‡"
MARKS = {
    BOUND: "† The load generator was the bottleneck: the service could do more.",
    IDLE: "‡ Neither side was at its limit: too few clients, or something else took CPU time.",
}
LABELS = {
    "tutorial-pickle": "FastAPI + pickle, as usually written",
    "pickle": "**pickle service**",
    "tutorial-onnx": "FastAPI + ONNX, as usually written",
    "tutorial-onnx-one-thread": "FastAPI + ONNX on one thread, as usually written",
    "bentoml": "BentoML + ONNX on one thread",
    "litserve": "LitServe + ONNX on one thread",
    "mlserver": "MLServer + ONNX on one thread",
    "onnx": "**ONNX service**",
    "axum": "**Rust service** (axum)",
}
SIDE_BY_SIDE = {"single": "one row: requests/s", "batch100": "batch of 100: requests/s"}


def scenario_title(scenario: str) -> str:
    """`One row per request`, as a heading; the name itself of a scenario that is not ours."""
    sizes = SCENARIOS.get(scenario, {})
    if len(sizes) > 1:
        return "Mixed: mostly one row per request, now and then a batch"
    rows = next(iter(sizes), 0)
    return f"{rows} rows per request" if rows > 1 else "One row per request" if rows else scenario


def overview_table(services: Sequence[str], cells: Sequence[LoadCell]) -> Table:
    """A line per service: one row and batches of 100, or the first two scenarios if these weren't measured."""
    measured = list(dict.fromkeys(cell.scenario for cell in cells))
    scenarios = [name for name in SIDE_BY_SIDE if name in measured] or measured[:2]
    heads = (head for name in scenarios for head in (SIDE_BY_SIDE.get(name, name), "p99 ms", "CPU µs/request"))
    by_place = {(cell.service, cell.scenario): cell for cell in cells}
    order = [*(name for name in LABELS if name in services), *(name for name in services if name not in LABELS)]
    rows = []
    for service in order:
        shown = (_overview(by_place[service, name]) for name in scenarios)
        rows.append((LABELS.get(service, service), *(text for texts in shown for text in texts)))
    return Table("Services side by side", ("", *heads), tuple(rows), notes=_marks(rows))


def scenario_table(scenario: str, cells: Sequence[LoadCell], basis: str) -> Table:
    """A line per service, compared with the basis; below it what failed."""
    against = next(cell for cell in cells if cell.service == basis)
    heads = (
        "service", "requests/s", f"against {basis}", "rows/s", "mean ms", "p50 ms", "p95 ms", "p99 ms",
        "server CPU ms/request", f"against {basis}", "rows per CPU second", "failed",
    )  # fmt: skip
    rows = tuple(_compared(cell, against) for cell in cells)
    failures = (f"{cell.service}: {count:,} failed: {why}" for cell in cells for why, count in cell.failures.items())
    failed = frozenset(number for number, cell in enumerate(cells) if cell.failures)
    return Table(scenario_title(scenario), heads, rows, failed=failed, notes=(*_marks(rows), *failures))


def cost_table(services: Sequence[ServiceFacts]) -> Table:
    """Cold start, memory and size of each service."""
    heads = ("service", "cold start s", "memory after load", "peak", "artifact", "size")
    rows = tuple(
        (
            facts.service,
            str(facts.cold_start_seconds),
            byte_size(facts.memory.used),
            byte_size(facts.memory.peak),
            facts.artifact,
            byte_size(facts.artifact_bytes),
        )
        for facts in services
    )
    explained = (
        "Cold start: from the start of the process until it says that it is ready.",
        "Memory: proportional set size of all processes of the service; peak: the sum of their highest resident sets, "
        "in which shared pages count in full.",
    )
    return Table("Memory, start, size", heads, rows, frozenset({0, 4}), notes=explained)


def _overview(cell: LoadCell) -> tuple[str, str, str]:
    microseconds = float(f"{1000 * cell.cpu_ms_per_request.median:.3g}")
    rate = f"{cell.requests_per_second.median:,.0f}{_mark(cell)}"
    return rate, three_digits(cell.p99_ms.median), three_digits(microseconds)


def _compared(cell: LoadCell, against: LoadCell) -> tuple[str, ...]:
    rate_ratio, cpu_ratio = compare(cell, against)
    latencies = (cell.mean_ms, cell.p50_ms, cell.p95_ms, cell.p99_ms)
    return (
        cell.service,
        f"{cell.requests_per_second}{_mark(cell)}",
        rate_ratio,
        three_digits(cell.rows_per_second.median),
        *(three_digits(latency.median) for latency in latencies),
        str(cell.cpu_ms_per_request),
        cpu_ratio,
        three_digits(cell.rows_per_cpu_second.median),
        f"{cell.failed:,}",
    )


def compare(cell: LoadCell, against: LoadCell) -> tuple[str, str]:
    """Against the basis, in requests/s and in CPU; both "" for the basis itself."""
    if cell is against:
        return "", ""
    rate = three_digits(cell.requests_per_second.median / against.requests_per_second.median)
    own, other = cell.cpu_ms_per_request.median, against.cpu_ms_per_request.median
    if not own or not other:  # a run so short that the kernel's clock showed no CPU time
        return f"{rate}x", ""
    return f"{rate}x", f"{three_digits(other / own)}x less" if own <= other else f"{three_digits(own / other)}x more"


def _mark(cell: LoadCell) -> str:
    return f" {BOUND}" if cell.generator_bound else f" {IDLE}" if cell.idle else ""


def _marks(rows: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """The meaning of the marks that occur in the rows."""
    return tuple(text for mark, text in MARKS.items() if any(cell.endswith(mark) for row in rows for cell in row))
