"""The statistics of drift against what is known of them, and how often they cry wolf."""

import numpy as np
import pytest
from scipy import stats

from monitoring.drift.statistics import (
    ClusteredCounts,
    holm,
    index_by_chance,
    same_distribution,
    same_rate,
    stability_index,
)


def count(cells, requests, values):
    counts = ClusteredCounts(cells)
    counts.add(np.asarray(requests, dtype=np.int64), np.asarray(values, dtype=np.int64))
    return counts


def test_the_index_is_that_of_the_textbook():
    p, q = np.array([0.2, 0.3, 0.5]), np.array([0.25, 0.25, 0.5])
    expected = ((q - p) * np.log(q / p)).sum()
    assert stability_index(p * 1e9, q * 1e9) == pytest.approx(expected, rel=1e-6)
    assert stability_index(p * 1000, p * 1000) == 0
    assert np.isfinite(stability_index(np.array([10.0, 0.0]), np.array([0.0, 10.0])))


def test_the_index_by_chance_is_its_mean_without_drift():
    draw = np.random.default_rng(0)
    shares = np.full(14, 1 / 14)
    found = [stability_index(draw.multinomial(5000, shares), draw.multinomial(1000, shares)) for _ in range(400)]
    assert np.mean(found) == pytest.approx(index_by_chance(14, 5000, 1000), rel=0.1)


def test_rows_of_their_own_requests_are_worth_a_row_each():
    draw = np.random.default_rng(0)
    counts = count(4, np.arange(3000), draw.integers(0, 4, 3000))
    assert counts.effective_rows == pytest.approx(3000, rel=0.001)
    assert (counts.rows, counts.requests) == (3000, 3000)


def test_equal_rows_in_a_request_are_worth_one():
    draw = np.random.default_rng(0)
    counts = count(4, np.repeat(np.arange(300), 10), np.repeat(draw.integers(0, 4, 300), 10))
    assert counts.effective_rows == pytest.approx(300, rel=0.01)


def test_independent_rows_in_requests_lose_nothing_much():
    draw = np.random.default_rng(1)
    counts = count(4, np.repeat(np.arange(300), 10), draw.integers(0, 4, 3000))
    assert counts.effective_rows == pytest.approx(3000, rel=0.15)
    assert counts.effective_rows <= 3000


def test_where_all_rows_are_alike_a_request_is_worth_one_row():
    assert count(2, np.repeat(np.arange(300), 10), np.zeros(3000)).effective_rows == 300
    assert count(2, np.zeros(50), np.arange(50) % 2).effective_rows == 1
    assert ClusteredCounts(3).effective_rows == 0


def test_counts_add_up_however_they_are_cut():
    draw = np.random.default_rng(2)
    requests, values = np.repeat(np.arange(200), 7), draw.integers(0, 5, 1400)
    whole, parts = count(5, requests, values), ClusteredCounts(5)
    for start in range(0, 200, 50):
        chosen = (requests >= start) & (requests < start + 50)
        parts.merge(count(5, requests[chosen] - start, values[chosen]))
    assert parts.effective_rows == pytest.approx(whole.effective_rows)
    assert parts.counts.tolist() == whole.counts.tolist()
    assert parts.requests == whole.requests == 200


def test_tests_are_scipys_on_effective_rows():
    reference, found = np.array([400.0, 300.0, 300.0]), np.array([50.0, 30.0, 20.0])
    expected = stats.chi2_contingency([reference, found], correction=False).pvalue
    assert same_distribution(reference, found, 100, ordered=True) == pytest.approx(expected)
    assert same_distribution(reference, found * 10, 100, ordered=True) == pytest.approx(expected)
    assert same_rate(5, 1000, 4, 100, 100) == pytest.approx(stats.fisher_exact([[5, 995], [4, 96]]).pvalue)
    assert same_rate(5, 1000, 40, 1000, 100) == pytest.approx(stats.fisher_exact([[5, 995], [4, 96]]).pvalue)


@pytest.mark.parametrize("ordered", [True, False])
def test_small_cells_are_pooled_and_nothing_to_compare_is_no_difference(ordered):
    rare = same_distribution(np.array([9000.0, 3, 2, 1]), np.array([900.0, 0, 0, 1]), 901, ordered=ordered)
    assert rare == 1
    assert same_distribution(np.array([10.0, 0]), np.array([10.0, 0]), 10, ordered=ordered) == 1
    new = same_distribution(np.array([5000.0, 5000, 0]), np.array([450.0, 450, 100]), 1000, ordered=ordered)
    assert new < 1e-50


def test_holms_correction_is_the_published_one():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def drawn(draw, cells, requests, size, alike):
    """Rows of requests; with chance `alike` a row is that of its request's first row."""
    shares = draw.dirichlet(np.full(cells, 3.0))
    values = draw.choice(cells, (requests, size), p=shares)
    values = np.where(draw.random((requests, size)) < alike, values[:, :1], values)
    return shares, count(cells, np.repeat(np.arange(requests), size), values.ravel())


@pytest.mark.parametrize(("size", "alike"), [(1, 0.0), (10, 0.0), (10, 0.5), (50, 0.9)])
def test_a_test_without_drift_is_significant_as_rarely_as_it_promises(size, alike):
    """600 features: at 5 % about 30 are significant; more than 50 have a chance of 1 in 10,000."""
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(600):
        shares, counts = drawn(draw, int(draw.integers(2, 15)), 200, size, alike)
        reference = draw.multinomial(5000, shares).astype(float)
        found += same_distribution(reference, counts.counts, counts.effective_rows, ordered=False) < 0.05
    assert found <= stats.binom.ppf(0.9999, 600, 0.05)
    assert found >= 5  # it is not blind either


def test_without_the_correction_for_requests_it_would_cry_wolf():
    draw = np.random.default_rng(3)
    found = 0
    for _ in range(100):
        shares, counts = drawn(draw, 8, 200, 10, 0.5)
        reference = draw.multinomial(5000, shares).astype(float)
        found += same_distribution(reference, counts.counts, counts.rows, ordered=False) < 0.05
    assert found > 50
