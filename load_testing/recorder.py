"""Counts and times the requests of this process: Locust's own statistics round what is below a millisecond."""

import time
from array import array
from collections import Counter
from pathlib import Path

from load_testing.latency import Latencies, merge
from load_testing.plan import LoadResult
from load_testing.responses import Answers
from load_testing.scenarios import SCENARIOS, request_name
from load_testing.service_user import WrongAnswer

_ROWS = {request_name(rows): rows for weights in SCENARIOS.values() for rows in weights}


class Recorder:
    """Records from its making on; `record` is a listener of Locust's request event."""

    def __init__(self, answers: Answers) -> None:
        """`answers` is what checks the answers; its largest difference starts anew."""
        answers.largest_difference = 0.0
        self._answers = answers
        self._milliseconds = array("d")
        self._latencies = Latencies()
        self._names: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._wrong = 0
        self._unchecked = 0
        self._last = 0.0
        self._stopped: float | None = None
        self._waited = _waited_seconds()
        self._cpu_started = time.process_time()
        self._started = time.perf_counter()

    def record(self, name: str, response_time: float, exception: Exception | None, **_: object) -> None:
        """A listener of `events.request`. Milliseconds."""
        self._last = time.perf_counter()
        self._milliseconds.append(response_time)
        self._names[name] += 1
        if exception is not None:
            self._failures[str(exception)] += 1
            if isinstance(exception, WrongAnswer):
                self._wrong += 1
            else:
                self._unchecked += 1

    def stop(self) -> None:
        """The time is up: only requests on their way are still to come."""
        self._stopped = time.perf_counter()

    def result(self) -> LoadResult:
        """What was recorded so far, up to the last answer or the stop, whichever was later.

        May be asked for again and again: what was asked for before is kept as a histogram, not as samples.
        """
        cpu_seconds = time.process_time() - self._cpu_started
        end = time.perf_counter() if self._stopped is None else max(self._stopped, self._last)
        samples, self._milliseconds = self._milliseconds, array("d")
        self._latencies = merge([self._latencies, Latencies.of(samples)])
        return LoadResult(
            requests=self._latencies.count,
            rows=sum(_ROWS[name] * count for name, count in self._names.items()),
            failures=dict(self._failures),
            seconds=end - self._started,
            cpu_seconds=cpu_seconds,
            processes=1,
            latencies=self._latencies,
            checked=self._latencies.count - self._unchecked,
            wrong=self._wrong,
            largest_difference=self._answers.largest_difference,
            waiting_seconds=_waited_seconds() - self._waited,
        )


def _waited_seconds() -> float:
    """How long the main thread has waited for a CPU so far (Linux: Documentation/scheduler/sched-stats), else 0."""
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError, ValueError):
        return 0.0
