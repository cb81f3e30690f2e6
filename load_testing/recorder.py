"""Counts and times the requests of this process: Locust's own statistics round what is below a millisecond."""

import time
from array import array
from collections import Counter

from load_testing.latency import LatencyHistogram
from load_testing.plan import LoadResult
from load_testing.scenarios import SCENARIOS, request_name

_ROWS = {request_name(rows): rows for weights in SCENARIOS.values() for rows in weights}


class Recorder:
    """Records from its creation on; `record` is a listener of Locust's request event."""

    def __init__(self) -> None:
        self._milliseconds = array("d")
        self._names: Counter[str] = Counter()
        self._failures: Counter[str] = Counter()
        self._cpu_started = time.process_time()
        self._started = self._last = time.perf_counter()

    def record(self, name: str, response_time: float, exception: Exception | None, **_: object) -> None:
        """A listener of `events.request`. Milliseconds."""
        self._last = time.perf_counter()
        self._milliseconds.append(response_time)
        self._names[name] += 1
        if exception is not None:
            self._failures[str(exception)] += 1

    def result(self, stopped: float) -> LoadResult:
        """All that was recorded, up to the last answer or `stopped` (`time.perf_counter`), whichever was later."""
        return LoadResult(
            requests=len(self._milliseconds),
            rows=sum(_ROWS[name] * count for name, count in self._names.items()),
            failures=dict(self._failures),
            seconds=max(stopped, self._last) - self._started,
            cpu_seconds=time.process_time() - self._cpu_started,
            processes=1,
            latencies=LatencyHistogram.of(self._milliseconds),
        )
