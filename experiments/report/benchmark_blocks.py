"""The README's and docs/performance.md's tables and sentences of what was measured over HTTP."""

from experiments.report.commands import as_make
from experiments.report.numbers import count, kernel, rounded
from experiments.report.provenance import by_place
from experiments.report.recorded_results import Results
from load_testing.report import figure
from load_testing.results import Cell

LABELS = {
    "typical_pickle": "FastAPI + pickle, as usually written",
    "pickle": "**pickle service**",
    "typical_onnx": "FastAPI + ONNX, as usually written",
    "typical_onnx_1t": "the same, ONNX Runtime held to one thread",
    "onnx": "**ONNX service**",
    "axum": "**Rust service** (axum)",
}
BARE = {"pickle": "pickle", "onnx": "ONNX", "axum": "Rust"}
SCENARIOS = {"single": "one row: requests/s", "batch100": "batch of 100: rows/s"}
BOUND, IDLE = "†", "‡"


def setup(results: Results) -> str:
    """Date, machine, protocol and command of the benchmark."""
    measured, plan, machine = results.benchmark, results.benchmark.protocol, results.benchmark.machine
    trials = results.training.manifest.study.trials
    rest = "the same core" if plan.shared_cpu else f"the other{'s' if len(plan.client_cpus) > 1 else ''}"
    rounds = f"medians of {count(plan.rounds, 'interleaved round')}" if plan.rounds > 1 else "one round"
    wrong = f"{measured.failed_requests:,} FAILED" if measured.failed_requests else "none wrong"
    place = f"{machine.processor}, {kernel(machine.system)}) and {machine.memory_bytes / 1e9:.0f} GB"
    split = f"{count(plan.workers, 'worker')} on {count(len(plan.server_cpus), 'core')}"
    return (
        f"Measured on {measured.created:%Y-%m-%d} on a machine with {count(machine.cpus, 'core')} ({place}: {split}, "
        f"the load generator ({plan.users} clients) on {rest}, {rounds}, every answer checked, {wrong}. By "
        f"`{as_make(measured.command)}`, the model being that of {trials} trials "
        f"({measured.data_source} data):"
    )


def main_table(results: Results) -> list[str]:
    """A line per service: one row and batches of 100; and what its marks mean."""
    cells = {(cell.service, cell.scenario): cell for cell in results.benchmark.cells}
    heads = " | ".join(f"{head} | p99 ms | CPU µs/request" for head in SCENARIOS.values())
    lines = [f"| | {heads} |", "|---" + "|---:" * 3 * len(SCENARIOS) + "|"]
    for service, label in LABELS.items():
        shown = [_cells(cells[service, scenario]) for scenario in SCENARIOS if (service, scenario) in cells]
        if len(shown) == len(SCENARIOS):
            lines.append(f"| {label} | {' | '.join(shown)} |")
    marks = {
        BOUND: "the load generator was the bottleneck.",
        IDLE: "neither side was at its limit: too few clients, or the machine was busy with something else.",
    }
    used = [f"{mark} {text}" for mark, text in marks.items() if any(mark in line for line in lines)]
    return [*lines, "", " ".join(used)] if used else lines


def _cells(cell: Cell) -> str:
    mark = f" {BOUND}" if cell.generator_bound else f" {IDLE}" if cell.idle else ""
    rates = cell.requests_per_second if cell.scenario == "single" else cell.rows_per_second
    rate = f"{rates.median:,.0f}{mark}"
    return f"{rate} | {figure(cell.p99_ms.median)} | {rounded(1000 * cell.cpu_ms_per_request.median)}"


def costs_table(results: Results) -> list[str]:
    """Cold start and memory of the three services."""
    lines = ["| | cold start to ready | memory after load | peak |", "|---|---:|---:|---:|"]
    for facts in results.benchmark.services:
        if facts.service in BARE:
            memory = f"{facts.memory.used / 1e6:.0f} MB | {facts.memory.peak / 1e6:.0f} MB"
            name = f"{BARE[facts.service]} service"
            lines.append(f"| {name} | {facts.cold_start_seconds.median:.2f} s | {memory} |")
    return lines


def skew_sentence(results: Results) -> str:
    """How far the services' answers are from the model's."""
    parity, data, rows = results.training.manifest.parity, results.training.manifest.data, results.skew.skew
    singles = max((row.result.rows for row in rows if row.route == "/predict"), default=0)
    services = list(dict.fromkeys(row.service for row in rows))
    largest = {name: max(row.result.max_abs_difference for row in rows if row.service == name) for name in services}
    groups: dict[str, list[str]] = {}
    for name, value in largest.items():
        groups.setdefault(f"{value:.1e}" if value else "0", []).append(BARE.get(name, name))
    differences = ", ".join(f"{value} for {' and '.join(names)}" for value, names in groups.items())
    match = min(min(row.result.prediction_match, row.result.probability_match) for row in rows)
    agree = f"match 100.000 % for all {count(len(services), 'service')}"
    if not all(row.clean for row in rows):
        failed = sum(sum(row.failures.values()) for row in rows)
        agree = f"**differ** (the lowest match is {match:.3f} %; {failed} requests failed)"
    return (
        f"**Skew**, over HTTP, on every reference row (`make skew`; {data.held_out_rows:,} held-out rows and "
        f"{parity.edge_case_rows:,} edge cases through `/predict/batch`, {singles:,} of them through `/predict`): "
        f"predictions and probabilities {agree}; largest difference of a probability {differences}."
    )


def images_sentence(results: Results) -> str:
    """Sizes of the services' images, and what the smallest adds to its base."""
    sizes = {image.image: image for image in results.images.images if image.image in BARE}
    texts = []
    for name in ("onnx", "pickle", "axum"):
        if name not in sizes:
            texts.append(f"{BARE[name]} not measured")
            continue
        image = sizes[name]
        own = (
            ""
            if image.base_bytes is None
            else f" ({(image.bytes - image.base_bytes) / 1e6:,.0f} MB on top of its base)"
        )
        texts.append(f"{BARE[name]} {image.bytes / 1e6:,.0f} MB{own}")
    return f"**Images** (`make images`): {', '.join(texts)}."


def performance_setup(results: Results) -> str:
    """Which tables of docs/performance.md were measured when and where."""
    return (
        "What made the services fast, in the order in which it mattered, and what was tried and dropped. The tables "
        f"that name a command are {by_place((results.profile, results.fairness, results.workers))}, service "
        "on one core and load on the other."
    )


def workers_table(results: Results) -> list[str]:
    """CPU time of a request with one worker and with two."""
    return [
        "| requests | service | one worker: CPU µs | two workers: CPU µs | two serve | failed |",
        "|---|---|---:|---:|---:|---:|",
        *(
            f"| {cell.scenario} | {cell.service} | {cell.one_cpu_us.median:,.1f} | {cell.two_cpu_us.median:,.1f} "
            f"| {cell.gain:.2f}x | {cell.failed} |"
            for cell in results.workers.cells
        ),
    ]


def fairness_table(results: Results) -> list[str]:
    """Latencies alone and beside large batches."""
    routes = {"/predict": "one row", "/health/live": "health"}
    lines = [
        "| | alone: p50 | p99 | beside: p50 | p99 | p99 ratio | batch rows/s |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for cell in results.fairness.cells:
        times = (cell.alone_p50_ms, cell.alone_p99_ms, cell.beside_p50_ms, cell.beside_p99_ms)
        rate = f"{cell.batch_rows_per_second:,.0f} " if cell.route == "/predict" else ""
        shown = " | ".join(f"{milliseconds:.2f}" for milliseconds in times)
        name = f"{BARE.get(cell.service, cell.service)}, {routes.get(cell.route, cell.route)}"
        lines.append(f"| {name} | {shown} | {cell.p99_ratio:.1f} | {rate}|")
    return lines


def profile_table(results: Results) -> list[str]:
    """Where the CPU time of a request goes."""
    stages = list(results.profile.sizes[0].stages)
    lines = [f"| rows | whole | {' | '.join(stages)} | rest | constant |", "|---:" * (4 + len(stages)) + "|"]
    for row in results.profile.sizes:
        digits = 1 if row.rows == 1 else 0
        times = (row.whole, *row.stages.values(), row.rest, row.constant)
        lines.append(f"| {row.rows:,} | {' | '.join(f'{microseconds:,.{digits}f}' for microseconds in times)} |")
    return lines
