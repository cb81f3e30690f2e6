"""Prometheus metrics, correct with several workers: every process writes its own files, and a scrape adds them up.

A request only adds to a few numbers in its process; prometheus_client gets their sums several times a second. Each of
its counters costs a lock and, with several workers, a write to a shared file, three times per request: 4 of 55
microseconds.
"""

import asyncio
import os
from bisect import bisect_left
from collections import Counter as Tally
from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from bundle.manifest import Manifest

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers' files are. prometheus_client reads it when it is imported: it must be set before that."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

PUBLISH_SECONDS = 0.1
"""How old the other workers' numbers may be in a scrape; those of the worker that answers it are exact."""


class SummedHistogram(Histogram):
    """A histogram that takes the sums of many observations at once, which the library has no method for."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """Add `counts[i]` observations to bucket i (the last one is +Inf), whose sum is `total`."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Latencies:
    """Observations of one route and status since they were last published."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0


class RecordCounters(NamedTuple):
    """Of the record: rows `written`, rows lost because they were `dropped` or left `unwritten`, whole files `removed`.

    They may be used from any thread.
    """

    written: Counter
    dropped: Counter
    unwritten: Counter
    removed: Counter


class Metrics:
    """The metrics of one process; `expose` renders those of all workers.

    Belongs to the event loop: only its thread may call the methods.
    """

    def __init__(self, backend: str) -> None:
        """Uses a registry of its own, so that a process can hold several."""
        self._backend = backend
        self._shared = os.environ.get(DIRECTORY_VARIABLE)
        self._registry = CollectorRegistry()
        self._seconds = SummedHistogram(
            "predict_request_seconds", "From request to answer", ["route", "status"],
            buckets=BUCKETS, registry=self._registry,
        )  # fmt: skip
        self._rows = Counter("predict_rows", "Rows predicted", ["route"], registry=self._registry)
        self._unseen = Counter(
            "predict_unseen_categories", "Values that training never saw", ["feature"], registry=self._registry
        )
        self._model = Gauge(
            "model_info", "1 for the model served, 0 for those before it", ["name", "version", "backend"],
            registry=self._registry, multiprocess_mode="mostrecent",
        )  # fmt: skip
        self._served: tuple[str, ...] | None = None
        self._new_latencies: dict[tuple[str, int], Latencies] = {}
        self._new_rows: Tally[str] = Tally()
        self._new_unseen: Tally[str] = Tally()
        self._due = False

    def serve(self, manifest: Manifest) -> None:
        """Count for this model from now on."""
        if self._served is not None:
            self._model.labels(*self._served).set(0)
        self._served = (manifest.name, manifest.version, self._backend)
        self._model.labels(*self._served).set(1)
        for feature in manifest.categorical:
            self._unseen.labels(feature.name)  # a counter at 0 from the start, so that a rate sees its first step

    def count_record(self) -> RecordCounters:
        """The counters of the record, which exist from now on. To be called once."""
        lost = Counter("record_lost_rows", "Rows that are not in the record", ["reason"], registry=self._registry)
        return RecordCounters(
            Counter("record_rows", "Rows written to the record", registry=self._registry),
            lost.labels("queue"),
            lost.labels("write"),
            Counter("record_removed_files", "The record's oldest files, which made room", registry=self._registry),
        )

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        latencies = self._new_latencies.get((route, status))
        if latencies is None:
            latencies = self._new_latencies[route, status] = Latencies()
        latencies.counts[bisect_left(BUCKETS, seconds)] += 1
        latencies.total += seconds
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_later(PUBLISH_SECONDS, self.publish)

    def predicted(self, route: str, rows: int, unseen: Sequence[str]) -> None:
        """Count predicted rows, and the feature of every value that training never saw."""
        self._new_rows[route] += rows
        if unseen:
            self._new_unseen.update(unseen)

    def publish(self) -> None:
        """Hand what was counted since the last time to prometheus_client."""
        self._due = False
        for (route, status), latencies in self._new_latencies.items():
            self._seconds.labels(route, str(status)).add(latencies.counts, latencies.total)
        for route, rows in self._new_rows.items():
            self._rows.labels(route).inc(rows)
        for name, count in self._new_unseen.items():
            self._unseen.labels(name).inc(count)
        self._new_latencies.clear()
        self._new_rows.clear()
        self._new_unseen.clear()

    def expose(self) -> bytes:
        """All workers' metrics in Prometheus' text format."""
        self.publish()
        if not self._shared:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
