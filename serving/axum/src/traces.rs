//! Traces of requests, sent to an OpenTelemetry collector by its own SDK: a span for the request, and one for each
//! step.
//!
//! Everything that can be set is set by the variables of the SDK and its exporter. Spans are sent by a separate thread.

use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, Key, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tracing::error;

use crate::documents::BACKEND;
use crate::manifest::Manifest;
use crate::request_id::RequestId;
use crate::routes::Endpoint;

/// How long the end of the process waits for the last spans to be sent.
const FINISH_TIME: Duration = Duration::from_secs(5);

/// Sends the spans of the process until it is told to finish.
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// As the environment says. Not to be called from asynchronous code, and neither is `finish`: the client blocks.
    pub fn start() -> Result<Arc<Self>, String> {
        let exporter = SpanExporter::builder().with_http().build();
        let exporter =
            exporter.map_err(|error| format!("the traces can't be sent as the variables OTEL_… say: {error}"))?;
        let mut resource = Resource::builder().build();
        let name = resource.get(&Key::new("service.name")).map(|name| name.to_string());
        if name.is_none_or(|name| name.starts_with("unknown_service")) {
            resource = Resource::builder().with_service_name(format!("train-to-serve-{BACKEND}")).build();
        }
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        Ok(Arc::new(Self(provider)))
    }

    /// Send the last spans, unless the collector takes too long.
    pub fn finish(&self) {
        if let Err(error) = self.0.shutdown_with_timeout(FINISH_TIME) {
            error!("the last spans may be lost: {error}");
        }
    }
}

/// Makes the spans of one model's requests.
pub struct TracedModel {
    tracer: SdkTracer,
    propagator: TraceContextPropagator,
    attributes: [KeyValue; 3],
}

impl TracedModel {
    /// That of the manifest's model.
    pub fn new(traces: &Traces, manifest: &Manifest) -> Self {
        let attributes = [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("model.name", manifest.name.clone()),
            KeyValue::new("model.version", manifest.version.clone()),
        ];
        Self { tracer: traces.0.tracer("train-to-serve"), propagator: TraceContextPropagator::new(), attributes }
    }

    /// Begin the span of a request, as a child of the span that the request names. None if it isn't one of the sample.
    pub(crate) fn begin(&self, endpoint: Endpoint, id: &RequestId, headers: &HeaderMap) -> Option<Trace> {
        let route = endpoint.path();
        let own = [KeyValue::new("http.route", route), KeyValue::new("request_id", id.as_str().to_owned())];
        let span = self.tracer.span_builder(format!("POST {route}")).with_kind(SpanKind::Server);
        let span = span.with_attributes(self.attributes.iter().cloned().chain(own));
        let span = self.tracer.build_with_context(span, &self.parent(headers));
        let context = Context::new().with_span(span);
        context.span().is_recording().then(|| Trace { tracer: self.tracer.clone(), context })
    }

    /// The span that the request's `traceparent` names, if it has exactly one.
    fn parent(&self, headers: &HeaderMap) -> Context {
        if headers.get_all("traceparent").iter().count() != 1 {
            return Context::new();
        }
        self.propagator.extract_with_context(&Context::new(), &Headers(headers))
    }
}

struct Headers<'h>(&'h HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(axum::http::HeaderName::as_str).collect()
    }
}

/// The span of a request, which ends with the last of its clones at the latest.
#[derive(Clone)]
pub(crate) struct Trace {
    tracer: SdkTracer,
    context: Context,
}

impl Trace {
    /// Do the work in a span of this name.
    pub(crate) fn step<R>(&self, name: &'static str, work: impl FnOnce() -> R) -> R {
        let _span = self.tracer.start_with_context(name, &self.context); // ends when it is dropped
        work()
    }

    /// This many rows were predicted.
    pub(crate) fn rows(&self, count: usize) {
        self.set("rows", count);
    }

    /// The request has been answered with this status.
    pub(crate) fn end(&self, status: u16) {
        self.set("http.response.status_code", usize::from(status));
        let span = self.context.span();
        if status >= 500 {
            span.set_status(Status::error(""));
        }
        span.end();
    }

    fn set(&self, name: &'static str, value: usize) {
        self.context.span().set_attribute(KeyValue::new(name, i64::try_from(value).unwrap_or(i64::MAX)));
    }
}
