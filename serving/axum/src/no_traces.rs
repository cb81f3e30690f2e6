//! The replacement for `traces.rs` in a program that is built without the feature `tracing-otlp`: types that have no
//! values.

use std::sync::Arc;

use axum::http::HeaderMap;

use crate::manifest::Manifest;
use crate::request_id::RequestId;
use crate::routes::Endpoint;

/// Sends spans.
pub enum Traces {}

impl Traces {
    /// Never called: the settings refuse what asks for it.
    pub fn start() -> Result<Arc<Self>, String> {
        Err("OpenTelemetry is not built in".to_owned())
    }

    /// Never called.
    pub fn finish(&self) {
        match *self {}
    }
}

/// Makes the spans of one model's requests.
pub enum TracedModel {}

impl TracedModel {
    /// Never called.
    pub fn new(traces: &Traces, _: &Manifest) -> Self {
        match *traces {}
    }

    pub(crate) fn begin(&self, _: Endpoint, _: &RequestId, _: &HeaderMap) -> Option<Trace> {
        match *self {}
    }
}

/// The span of a request.
#[derive(Clone)]
pub(crate) enum Trace {}

impl Trace {
    pub(crate) fn step<R>(&self, _: &'static str, _: impl FnOnce() -> R) -> R {
        match *self {}
    }

    pub(crate) fn rows(&self, _: usize) {
        match *self {}
    }

    pub(crate) fn end(&self, _: u16) {
        match *self {}
    }
}
