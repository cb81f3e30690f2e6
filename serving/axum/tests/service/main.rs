//! Tests of the service from outside, in one program.

mod bundle;
mod common;
mod http;
mod record;
mod record_faults;
mod request_ids;
mod shared_runs;
mod startup;
mod tasks;
#[cfg(feature = "tracing-otlp")]
mod traces;
