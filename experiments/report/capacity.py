"""How many cores, pods and machines a load needs: arithmetic from the benchmark's CPU time of a request.

docs/scaling.md states the assumptions.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from experiments.report.markers import Figure
from experiments.report.numbers import rounded, whole
from experiments.report.recorded_results import Results

RATES = (1_000, 100_000, 10_000_000)
SERVICES = {"onnx": "ONNX", "axum": "Rust", "pickle": "pickle"}
BUSY = 0.5
POD_CORES, POD_GB, PODS_OF_MACHINE, LEAST = 2, 2, 15, 2
NIGHT_RATE = 1e9 / (8 * 3600)
SERIES_OF_POD = 120
CONNECTIONS_OF_WORKER = 4096


@dataclass(frozen=True)
class Capacity:
    """What a service needs for `rate` requests/s of `microseconds` each, as written with three digits."""

    rate: float
    microseconds: float

    @property
    def busy(self) -> float:
        """Cores at work on average."""
        return self.rate * self.microseconds / 1e6

    @property
    def cores(self) -> float:
        """Cores of which half are at work."""
        return self.busy / BUSY

    @property
    def pods(self) -> int:
        """Pods of two cores, never fewer than two."""
        return max(LEAST, math.ceil(self.cores / POD_CORES))

    @property
    def machines(self) -> int:
        """Machines of 15 pods, never fewer than two."""
        return max(LEAST, math.ceil(self.pods / PODS_OF_MACHINE))


def capacity(results: Results, service: str, rate: float, scenario: str = "single") -> Capacity:
    """What the service needs for so many requests/s of the scenario."""
    cell = next(c for c in results.benchmark.cells if (c.service, c.scenario) == (service, scenario))
    return Capacity(rate, float(f"{1000 * cell.cpu_ms_per_request.median:.3g}"))


def cores_text(cores: float) -> str:
    """0.11, 5.5, 1,076."""
    return f"{cores:,.{2 if cores < 1 else 1 if cores < 100 else 0}f}"


def bytes_text(gigabytes: float) -> str:
    """12 GB, 1.1 TB."""
    return f"{gigabytes:,.0f} GB" if gigabytes < 1000 else f"{float(f'{gigabytes / 1000:.2g}'):,g} TB"


def capacity_table(results: Results) -> list[str]:
    """A line per rate and service: one row per request."""
    lines = [
        "| requests/s | service | µs | cores at 50 % | pods | limit of memory | machines |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for rate in RATES:
        for service, name in SERVICES.items():
            need = capacity(results, service, rate)
            pods, machines = (
                f"{number:,}" + (" (for availability)" if enough else "")
                for number, enough in (
                    (need.pods, need.cores <= POD_CORES),
                    (need.machines, need.pods <= PODS_OF_MACHINE),
                )
            )
            lines.append(
                f"| {f'{rate:,}' if service == 'onnx' else ''} | {name} | {rounded(need.microseconds)} "
                f"| {cores_text(need.cores)} | {pods} | {bytes_text(need.pods * POD_GB)} | {machines} |"
            )
    return [line.replace("|  |", "| |") for line in lines]


def batch_sentence(results: Results) -> str:
    """What the highest rate of rows costs in batches of 100."""
    rate = RATES[-1] // 100
    need = {service: capacity(results, service, rate, "batch100") for service in SERVICES}
    onnx = need["onnx"]
    saved = 1 - onnx.machines / capacity(results, "onnx", RATES[-1]).machines
    return (
        f"The same ten million rows a second as {rate:,} batches of 100: ONNX {rate:,} × "  # noqa: RUF001
        f"{rounded(onnx.microseconds)} µs = {cores_text(onnx.busy)} busy cores, {cores_text(onnx.cores)} at 50 % "
        f"({onnx.pods:,} pods, {onnx.machines} machines); Rust {cores_text(need['axum'].cores)}; pickle "
        f"{cores_text(need['pickle'].cores)}. A client that can wait for a few milliseconds and send its rows together "
        f"saves {100 * saved:.0f} % of the ONNX service's machines."
    )


def capacity_figures(results: Results) -> Iterator[tuple[str, Figure]]:
    """What the sentences beside the table quote of it, and a billion rows in a night."""
    images = {image.image: image.bytes / 1e9 for image in results.images.images}
    for rate in RATES:
        for service in SERVICES:
            need, name = capacity(results, service, rate), f"scale.{rate}.{service}"
            yield f"{name}.cores", Figure(need.cores, cores_text(need.cores))
            yield f"{name}.pods", whole(need.pods)
            yield f"{name}.machines", whole(need.machines)
            if service in images:
                yield f"{name}.pull", Figure(need.machines, bytes_text(need.machines * images[service]))
            yield f"{name}.surge", whole(math.ceil(need.machines / 4))
            series = float(f"{need.pods * SERIES_OF_POD:.2g}")
            yield f"{name}.series", whole(series)
            yield f"{name}.connections", whole(need.pods * POD_CORES * CONNECTIONS_OF_WORKER)
    for service in SERVICES:
        for scenario, rows in (("single", 1), ("batch100", 100)):
            need, name = capacity(results, service, NIGHT_RATE / rows, scenario), f"night.{service}.{scenario}"
            yield f"{name}.us-per-row", Figure(need.microseconds / rows, rounded(need.microseconds / rows))
            yield f"{name}.busy", Figure(need.busy, cores_text(need.busy))
            yield f"{name}.cores", Figure(need.cores, f"{need.cores:,.{1 if need.cores < 100 else 0}f}")
