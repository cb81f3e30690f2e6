"""Prometheus metrics, correct with several workers: every process writes its own files, and a scrape adds them up."""

import os
from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

from bundle.manifest import Manifest

DIRECTORY_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where the workers' files are. prometheus_client reads it when it is imported: it must be set before that."""

BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """The metrics of one application; `expose` renders those of all workers."""

    def __init__(self, manifest: Manifest, backend: str) -> None:
        """Uses a registry of its own, so that a process can hold several applications."""
        self._shared = os.environ.get(DIRECTORY_VARIABLE)
        self._registry = CollectorRegistry()
        labels = ["route", "status"]
        self._seconds = Histogram(
            "predict_request_seconds", "From request to answer", labels, buckets=BUCKETS, registry=self._registry
        )
        self._rows = Counter("predict_rows", "Rows predicted", ["route"], registry=self._registry)
        self._unseen = Counter(
            "predict_unseen_categories", "Values that training never saw", ["feature"], registry=self._registry
        )
        model = Gauge(
            "model_info", "The model served", ["name", "version", "backend"],
            registry=self._registry, multiprocess_mode="max",
        )  # fmt: skip
        model.labels(manifest.name, manifest.version, backend).set(1)
        self._unseen_by_index = [self._unseen.labels(feature.name) for feature in manifest.categorical]
        self._bound: dict[tuple[str, int], Histogram] = {}
        self._bound_rows: dict[str, Counter] = {}

    def observe(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        child = self._bound.get((route, status))
        if child is None:
            child = self._bound[route, status] = self._seconds.labels(route, str(status))
        child.observe(seconds)

    def predicted(self, route: str, rows: int, unseen: Sequence[int]) -> None:
        """Count predicted rows, and the categorical feature index of every value that training never saw."""
        child = self._bound_rows.get(route)
        if child is None:
            child = self._bound_rows[route] = self._rows.labels(route)
        child.inc(rows)
        for index in unseen:
            self._unseen_by_index[index].inc()

    def expose(self) -> bytes:
        """All workers' metrics in Prometheus' text format."""
        if not self._shared:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=self._shared)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
