"""Traces of requests, sent to an OpenTelemetry collector by its own SDK: a span for the request, and one for each step.

Everything that can be set is set by the variables of the SDK and its exporter. Spans are sent by a separate thread.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.types import Scope

from bundle.manifest import Manifest
from serving.predictor import Batch, Predictions
from serving.request_ids import request_id
from serving.watching import Steps, Watch

STOP_SECONDS = 5.0
"""How long the end of a process waits for the last spans to be sent."""

STEPS = ("decode", "predict", "encode")
_PARENT = {b"traceparent": "traceparent", b"tracestate": "tracestate"}

logger = logging.getLogger("serving")


class Tracing:
    """Sends spans from when it is made until `stop`."""

    def __init__(self, service: str) -> None:
        """Raises ValueError: a variable of OpenTelemetry has a value that its SDK doesn't take."""
        # It would log a warning each time a client sends something invalid.
        logging.getLogger("opentelemetry.trace").setLevel(logging.ERROR)
        resource = Resource.create()
        if str(resource.attributes[SERVICE_NAME]).startswith("unknown_service"):
            resource = resource.merge(Resource({SERVICE_NAME: f"train-to-serve-{service}"}))
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))

    def watcher(self, manifest: Manifest) -> "TracedModel":
        """The watcher that traces requests for this model."""
        return TracedModel(self._provider.get_tracer("train-to-serve"), manifest)

    def start(self) -> None:
        """Nothing to do: sending has already begun."""

    def stop(self) -> None:
        """Send the last spans, unless the collector takes too long."""
        shutdown = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        shutdown.start()
        shutdown.join(STOP_SECONDS)
        if shutdown.is_alive():
            logger.error("the last spans are lost: they could not be sent within %g seconds", STOP_SECONDS)


class TracedModel:
    """Makes the spans of one model's requests."""

    def __init__(self, tracer: Tracer, manifest: Manifest) -> None:
        self._tracer = tracer
        self._attributes = {
            "http.request.method": "POST",
            "model.name": manifest.name,
            "model.version": manifest.version,
        }
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, scope: Scope, route: str) -> Watch | None:
        """Begin the span of a request, as a child of the span that the request names."""
        attributes = {**self._attributes, "http.route": route, "request_id": request_id(scope).decode()}
        span = self._tracer.start_span(
            f"POST {route}", self._parent(scope), SpanKind.SERVER, attributes, start_time=time.time_ns()
        )
        return _Traced(self._tracer, span) if span.is_recording() else None

    def _parent(self, scope: Scope) -> Context:
        """The span that the request's `traceparent` names, if it has exactly one."""
        carrier: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            if name in _PARENT:
                carrier.setdefault(_PARENT[name], []).append(value.decode("latin-1"))
        if len(carrier.get("traceparent", ())) != 1:
            return Context()
        return self._propagator.extract({name: ",".join(values) for name, values in carrier.items()}, Context())


class _Stopwatch:
    """When a step began and ended, in nanoseconds since 1970-01-01: a batch goes through the steps in pieces."""

    def __init__(self) -> None:
        self.pieces = self.began = self.ended = self.busy = 0

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """The callable, or the iterator that it returns, timed."""

        def run(*arguments: Any) -> Any:  # noqa: ANN401 - whatever the callable takes and gives
            began = time.time_ns()
            try:
                result = call(*arguments)
            finally:
                self._add(began)
            return self._consumed(result) if isinstance(result, Iterator) else result

        return run

    def _consumed(self, results: Iterator[Any]) -> Iterator[Any]:
        self.pieces = self.busy = 0  # making the iterator has done no work yet
        while True:
            began = time.time_ns()
            try:
                result = next(results)
            except StopIteration:
                return
            finally:
                self._add(began)
            yield result

    def _add(self, began: int) -> None:
        self.began = self.began or began
        self.ended = time.time_ns()
        self.busy += self.ended - began
        self.pieces += 1


class _Traced:
    """A request that is traced."""

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer = tracer
        self._span = span
        self._watches = [_Stopwatch() for _ in STEPS]
        self._rows = 0

    def around(self, steps: Steps) -> Steps:
        def predict(batch: Batch) -> Predictions:
            predictions = steps.predict(batch)
            self._rows += len(predictions[0])
            return predictions

        calls = (steps.decode, predict, steps.encode)
        return Steps(*(watch.timed(call) for watch, call in zip(self._watches, calls, strict=True)))

    def end(self, status: int | None) -> None:
        context = set_span_in_context(self._span, Context())
        for name, watch in zip(STEPS, self._watches, strict=True):
            if watch.pieces:
                attributes = {"pieces": watch.pieces, "seconds": watch.busy / 1e9}
                step = self._tracer.start_span(name, context, attributes=attributes, start_time=watch.began)
                step.end(watch.ended)
        self._span.set_attribute("rows", self._rows)
        if status is not None:
            self._span.set_attribute("http.response.status_code", status)
        if status is None or status >= 500:
            self._span.set_status(Status(StatusCode.ERROR, "not answered" if status is None else None))
        self._span.end(time.time_ns())
