"""Latency histograms."""

import math

import msgspec
import numpy as np
import pytest

from load_testing.latency import LatencyHistogram, merge


@pytest.mark.parametrize("scale", [0.001, 0.05, 1, 40, 9000])
@pytest.mark.parametrize("percent", [50, 95, 99, 100])
def test_percentiles_are_within_one_percent_at_every_magnitude(scale, percent):
    samples = scale * np.random.default_rng(0).lognormal(sigma=0.5, size=5000)
    exact = np.percentile(samples, percent, method="inverted_cdf")
    assert LatencyHistogram.of(samples).percentile_ms(percent) == pytest.approx(exact, rel=0.006)


def test_mean_is_exact():
    assert LatencyHistogram.of([1.0, 2.0, 6.0]).mean_ms == 3


def test_merged_histogram_is_that_of_all_samples():
    left, right = [0.2, 0.4, 7.0], [0.4, 90.0]
    merged = merge([LatencyHistogram.of(left), LatencyHistogram.of(right)])
    assert merged == LatencyHistogram.of(left + right)


def test_no_samples_have_no_percentile():
    assert LatencyHistogram.of([]) == merge([]) == LatencyHistogram()
    assert math.isnan(LatencyHistogram().percentile_ms(50))
    assert math.isnan(LatencyHistogram().mean_ms)


def test_histogram_survives_json():
    latencies = LatencyHistogram.of([0.2, 300.0])
    assert msgspec.json.decode(msgspec.json.encode(latencies), type=LatencyHistogram) == latencies


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_merged_percentiles_are_those_of_all_samples(percent):
    """Two generators of very different speed, each folding its samples in pieces and sending them as messages."""
    random = np.random.default_rng(1)
    samples = [0.3 * random.lognormal(sigma=0.4, size=30_000), 20 * random.lognormal(sigma=1.0, size=700)]
    sent = [msgspec.msgpack.encode(merge(map(LatencyHistogram.of, np.array_split(own, 7)))) for own in samples]
    merged = merge(msgspec.msgpack.decode(message, type=LatencyHistogram) for message in sent)
    everything = np.concatenate(samples)
    assert merged.buckets == LatencyHistogram.of(everything).buckets
    assert merged.count == len(everything)
    exact = np.percentile(everything, percent, method="inverted_cdf")
    assert merged.percentile_ms(percent) == pytest.approx(exact, rel=0.006)
