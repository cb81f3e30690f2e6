"""What `make skew`, `make workers`, `make fairness` and `make profile` leave in `reports/` beside the benchmark."""

from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from bundle.files import encode_result, write_files
from bundle.machine import Machine, command_line
from bundle.manifest import Manifest, utc_now
from load_testing.machine import describe_machine
from load_testing.results import Spread
from load_testing.skew_measurement import SkewRow


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What all of them record: the bundle, when and where it was measured, and by which command."""

    model: str
    version: str
    data_source: str
    created: datetime
    command: str
    machine: Machine


class SkewReport(Result, frozen=True, kw_only=True):
    """`skew.json`: every reference row through `/predict/batch`, and a sample through `/predict`."""

    skew: tuple[SkewRow, ...]
    left_out: tuple[str, ...]


class WorkersCell(msgspec.Struct, frozen=True, kw_only=True):
    """CPU µs that a request costs a service with one worker and with two, and how many requests failed in all."""

    scenario: str
    service: str
    one_cpu_us: Spread
    two_cpu_us: Spread
    failed: int

    @property
    def gain(self) -> float:
        """How many times as much two workers serve as one, with a CPU for each."""
        return 2 * self.one_cpu_us.median / self.two_cpu_us.median


class WorkersReport(Result, frozen=True, kw_only=True):
    """`workers.json`. `users` is the number of clients of each worker."""

    seconds: float
    rounds: int
    users: int
    cells: tuple[WorkersCell, ...]


class FairnessCell(msgspec.Struct, frozen=True, kw_only=True):
    """Latency in ms of a route alone and beside large batches, of which so many rows/s were answered meanwhile."""

    service: str
    route: str
    alone_p50_ms: float
    alone_p99_ms: float
    beside_p50_ms: float
    beside_p99_ms: float
    batch_rows_per_second: float

    @property
    def p99_ratio(self) -> float:
        """How many times as long the p99 is beside the batches."""
        return self.beside_p99_ms / self.alone_p99_ms


class FairnessReport(Result, frozen=True, kw_only=True):
    """`fairness.json`. `seconds` is the time of each cell, `batch_rows` the size of the batches."""

    seconds: float
    batch_rows: int
    cells: tuple[FairnessCell, ...]


class ProfileRow(msgspec.Struct, frozen=True, kw_only=True):
    """Server CPU µs of a request of so many rows: the whole, {stage: its time}, the rest, and a constant answer's."""

    rows: int
    whole: float
    stages: dict[str, float]
    rest: float
    constant: float


class ProfileReport(Result, frozen=True, kw_only=True):
    """`profile.json`, of the ONNX service."""

    seconds: float
    sizes: tuple[ProfileRow, ...]


def origin(manifest: Manifest) -> dict[str, Any]:
    """The fields of `Result`, for a measurement of this bundle that this process has just made."""
    return {
        "model": manifest.name,
        "version": manifest.version,
        "data_source": manifest.data_source,
        "created": utc_now(),
        "command": command_line(),
        "machine": describe_machine(),
    }


def write_result(result: Result, folder: Path, name: str) -> Path:
    """Write it as `<name>.json`, whole or not at all, and return the path. Raises OSError if that can't be done."""
    return write_files(folder, {f"{name}.json": encode_result(result)})[0]
