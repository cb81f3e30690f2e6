"""The merged result of a run: percentiles of all samples, and why a run counts as failed."""

import msgspec
import numpy as np
import pytest

from bundle.manifest import utc_now
from load_testing.distributed.messages import BundleIdentity, Node, WorkerReport
from load_testing.distributed.report import notes, summary, write_load_report
from load_testing.distributed.result import LoadReport, WorkerResult
from load_testing.latency import Latencies, merge
from load_testing.machine import describe_machine
from load_testing.plan import LoadResult


def worker(name="a#0", *, samples=(1.0,), users=2, state="complete", cpu=1.0, waiting=0.0, seconds=10.0, **more):
    count = len(samples)
    load = LoadResult(
        requests=count, rows=count, failures=more.pop("failures", {}), seconds=seconds, cpu_seconds=cpu, processes=1,
        latencies=Latencies.of(samples), checked=count, waiting_seconds=waiting, **more,
    )  # fmt: skip
    return WorkerResult(
        name=name, state=state, report=WorkerReport(node=Node("a", 1), users=users, load=load, final=True)
    )


def report(*workers, users=4, errors=()):
    return LoadReport(
        model="m", bundle=BundleIdentity("abc123", "f" * 64), data_source="synthetic", created=utc_now(),
        command="locust", machine=describe_machine(), service="http://127.0.0.1:1", scenarios=("single",), users=users,
        seconds=10.0, workers=workers, errors=errors,
    )  # fmt: skip


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_merged_percentiles_are_those_of_all_samples_after_many_reports(percent):
    """Two workers of very different speed, each folding its samples in pieces and sending them as messages."""
    random = np.random.default_rng(1)
    samples = [0.3 * random.lognormal(sigma=0.4, size=30_000), 20 * random.lognormal(sigma=1.0, size=700)]
    sent = [msgspec.msgpack.encode(merge(map(Latencies.of, np.array_split(own, 7)))) for own in samples]
    merged = merge(msgspec.msgpack.decode(message, type=Latencies) for message in sent)
    everything = np.concatenate(samples)
    assert merged.buckets == Latencies.of(everything).buckets
    assert merged.count == len(everything)
    exact = np.percentile(everything, percent, method="inverted_cdf")
    assert merged.percentile_ms(percent) == pytest.approx(exact, rel=0.006)


def test_a_run_in_which_all_was_right_is_clean(tmp_path):
    clean = report(worker(largest_difference=2e-7), worker("b#1", samples=(1.0, 3.0), largest_difference=3e-7))
    assert clean.clean
    assert clean.load.requests == clean.load.checked == 3
    assert clean.load.largest_difference == 3e-7
    markdown, page = (path.read_text() for path in write_load_report(clean, tmp_path)[1:])
    assert "Every answer was right" in markdown
    assert "| 3 | 0 | 3.0e-07 |" in markdown
    assert "b#1" in page
    assert not list(tmp_path.glob("*.new"))


@pytest.mark.parametrize(
    ("result", "fault"),
    [
        (report(worker(failures={"HTTP 500": 1}, users=4)), "1 of 1 requests failed, 0 of them wrong answers."),
        (report(worker(), worker("b#1", state="lost")), "b#1 was lost: the 1 requests of its first 10.0 s"),
        (report(worker(), WorkerResult(name="b#1", state="lost", report=None)), "lost: nothing that it did is in"),
        (report(worker(), worker("b#1", state="left")), "Worker b#1 ended before the run did"),
        (report(worker(users=1), worker(users=2)), "Only 3 of the 4 users had been started"),
        (report(worker(samples=())), "No request was answered."),
        (report(worker(users=4), errors=("boom",)), "A user broke off: boom"),
    ],
)  # fmt: skip
def test_what_was_not_right_is_said_everywhere(result, fault, tmp_path):
    assert not result.clean
    assert any(line.startswith("FAILED: ") and fault in line for line in summary(result))
    assert all(fault in path.read_text() for path in write_load_report(result, tmp_path)[1:])


def test_a_generator_at_its_limit_is_named_even_if_it_only_waited_for_a_cpu():
    bound = report(worker(cpu=5.0, waiting=4.5), worker("b#1", cpu=5.0))
    (note,) = [note for note in notes(bound) if "bottleneck" in note]
    assert "a#0" in note
    assert "b#1" not in note


def test_a_worker_that_started_late_is_named():
    assert "b#1 had users for 8.0 of 10.0 s only." in notes(report(worker(), worker("b#1", seconds=8.0)))
