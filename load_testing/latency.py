"""Latencies as a histogram with logarithmic buckets: small, mergeable, and exact to 0.6 % at every magnitude.

Locust itself rounds response times to whole milliseconds, and above 100 to two digits.
"""

from collections import Counter
from collections.abc import Iterable
from functools import reduce

import msgspec
import numpy as np
from numpy.typing import ArrayLike

_PER_DOUBLING = 64


class LatencyHistogram(msgspec.Struct, frozen=True):
    """`buckets` is {index: count}; bucket i holds the latencies from 2^(i/64) to 2^((i+1)/64) microseconds."""

    count: int = 0
    total_ms: float = 0.0
    buckets: dict[int, int] = {}

    @classmethod
    def of(cls, milliseconds: ArrayLike) -> "LatencyHistogram":
        """The histogram of samples in milliseconds [n], all positive."""
        samples = np.asarray(milliseconds, dtype=np.float64)
        indices = np.floor(np.log2(samples * 1000) * _PER_DOUBLING).astype(np.int64)
        values, counts = np.unique(indices, return_counts=True)
        buckets = dict(zip(values.tolist(), counts.tolist(), strict=True))
        return cls(count=samples.size, total_ms=float(samples.sum()), buckets=buckets)

    @property
    def mean_ms(self) -> float:
        """The mean; NaN without samples."""
        return self.total_ms / self.count if self.count else float("nan")

    def percentile_ms(self, percent: float) -> float:
        """The latency that `percent` of the samples don't exceed; NaN without samples."""
        wanted, seen = percent / 100 * self.count, 0
        for index, count in sorted(self.buckets.items()):
            seen += count
            if seen >= wanted:
                return float(2 ** ((index + 0.5) / _PER_DOUBLING) / 1000)
        return float("nan")


def merge(parts: Iterable[LatencyHistogram]) -> LatencyHistogram:
    """All samples of all parts."""

    def add(left: LatencyHistogram, right: LatencyHistogram) -> LatencyHistogram:
        buckets = dict(Counter(left.buckets) + Counter(right.buckets))
        return LatencyHistogram(left.count + right.count, left.total_ms + right.total_ms, buckets)

    return reduce(add, parts, LatencyHistogram())
