"""The result of `make session-options`: all that its reports are made from."""

import statistics
from collections.abc import Sequence
from datetime import datetime

import msgspec

from bundle.machine import Machine


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Median µs per call, the median of its ratios to the basis in the same round, and the verdict on the ratio."""

    us: float
    ratio: float
    verdict: str


class Skew(msgspec.Struct, frozen=True, kw_only=True):
    """Against what the rows' predictions should be: the largest |Δp|, and how many labels differ."""

    rows: int
    max_difference: float
    different_labels: int


class SettingResult(msgspec.Struct, frozen=True, kw_only=True):
    """A session setting on the bundle's packed graph.

    `latency` is {rows per call: latency}; `load_ms` the median time to make a session; `bytes` what it is made of;
    `placement` says which provider runs which nodes.
    """

    name: str
    latency: dict[int, Latency]
    load_ms: float
    bytes: int
    skew: Skew
    placement: str


class QuantizationResult(msgspec.Struct, frozen=True, kw_only=True):
    """A graph before or after quantisation; `added` are the operators that it brought ("" before; "none": nothing)."""

    graph: str
    way: str
    added: str
    bytes: int
    latency: dict[int, Latency]
    skew: Skew
    f2: float
    accuracy: float


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The whole comparison. `noise` is {rows: share by which a ratio must differ from 1 to count}.

    `absent` are the providers that were asked for and that this build of ONNX Runtime doesn't have.
    """

    model: str
    version: str
    created: datetime
    command: str
    machine: Machine
    others_cpus: float
    rounds: int
    noise: dict[int, float]
    absent: tuple[str, ...]
    settings: tuple[SettingResult, ...]
    quantization: tuple[QuantizationResult, ...]


def verdict(ratios: Sequence[float], noise: float) -> str:
    """What the rounds' ratios of times say, given how far ratios of the same thing with itself stray from 1.

    Three quarters of the rounds must agree with their median, and the median must be farther from 1 than the noise.
    """
    lower, ratio, upper = statistics.quantiles(ratios, n=4)
    if abs(ratio - 1) <= noise or lower <= 1 <= upper:
        return "no difference"
    return f"{1 - ratio:.0%} less time" if ratio < 1 else f"{ratio - 1:.0%} more time"
