"""Plans and results of several generators."""

import pytest

from load_testing.latency import LatencyHistogram
from load_testing.plan import LoadPlan, LoadResult, merge_results, split_plan

PLAN = LoadPlan(url="http://127.0.0.1:1", scenario="single", users=7, seconds=2)


@pytest.mark.parametrize(("processes", "users"), [(1, [7]), (2, [4, 3]), (3, [3, 2, 2]), (9, [1] * 7)])
def test_users_are_spread_over_the_processes(processes, users):
    assert [part.users for part in split_plan(PLAN, processes)] == users


def test_merged_result_adds_up():
    def part(requests, failures, seconds, cpu_seconds):
        latencies = LatencyHistogram.of([1.0] * requests)
        return LoadResult(
            requests=requests,
            rows=10 * requests,
            failures=failures,
            seconds=seconds,
            cpu_seconds=cpu_seconds,
            processes=1,
            latencies=latencies,
        )

    merged = merge_results([part(3, {"HTTP 500": 1}, 2.0, 1.0), part(5, {"HTTP 500": 2, "HTTP 503": 1}, 2.5, 2.0)])
    assert (merged.requests, merged.rows, merged.seconds, merged.latencies.count) == (8, 80, 2.5, 8)
    assert merged.failures == {"HTTP 500": 3, "HTTP 503": 1}
    assert merged.failed == 4
    assert merged.cpu_utilisation == pytest.approx(3.0 / (2.5 * 2))
