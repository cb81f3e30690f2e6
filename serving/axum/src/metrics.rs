//! Prometheus metrics. One process serves all requests, so they are atomic counters and a scrape reads them as they are.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::manifest::Manifest;
use crate::routes::Endpoint;

/// The type of what [`Metrics::expose`] returns.
pub const CONTENT_TYPE: &str = "text/plain; version=1.0.0; charset=utf-8";

const BUCKETS: [(f64, &str); 15] = [
    (0.0001, "0.0001"),
    (0.00025, "0.00025"),
    (0.0005, "0.0005"),
    (0.001, "0.001"),
    (0.0025, "0.0025"),
    (0.005, "0.005"),
    (0.01, "0.01"),
    (0.025, "0.025"),
    (0.05, "0.05"),
    (0.1, "0.1"),
    (0.25, "0.25"),
    (0.5, "0.5"),
    (1.0, "1.0"),
    (2.5, "2.5"),
    (5.0, "5.0"),
];

/// Every status that a predict route answers with.
const STATUSES: [u16; 7] = [200, 400, 408, 413, 422, 500, 503];

/// The metrics of the process.
#[derive(Default)]
pub struct Metrics {
    seconds: [[Histogram; STATUSES.len()]; 2],
    rows: [AtomicU64; 2],
    models: Mutex<Models>,
}

/// What was served so far.
#[derive(Default)]
struct Models {
    /// The labels of every model; the last one is served now.
    labels: Vec<String>,
    /// Every feature that one of them had, and its count.
    unseen: Vec<(String, UnseenCount)>,
}

/// How many values of a feature training never saw.
pub type UnseenCount = Arc<AtomicU64>;

#[derive(Default)]
struct Histogram {
    /// Not cumulative; the last one counts what is above every bound.
    counts: [AtomicU64; BUCKETS.len() + 1],
    nanoseconds: AtomicU64,
}

impl Metrics {
    /// Count for this model from now on. Returns a count for each of its categorical features, in their order.
    pub fn serve(&self, manifest: &Manifest, backend: &str) -> Vec<UnseenCount> {
        let (name, version) = (escaped(&manifest.name), escaped(&manifest.version));
        let labels = format!("backend=\"{backend}\",name=\"{name}\",version=\"{version}\"");
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        models.labels.retain(|known| *known != labels);
        models.labels.push(labels);
        manifest.categorical().map(|feature| models.unseen_count(escaped(&feature.name))).collect()
    }

    /// Count an answered request.
    pub fn observe(&self, endpoint: Endpoint, status: u16, elapsed: Duration) {
        if let Some(index) = STATUSES.iter().position(|known| *known == status) {
            self.seconds[endpoint as usize][index].observe(elapsed);
        }
    }

    /// Count predicted rows.
    pub fn predicted(&self, endpoint: Endpoint, rows: usize) {
        self.rows[endpoint as usize].fetch_add(rows as u64, Relaxed);
    }

    /// All metrics in Prometheus' text format.
    pub fn expose(&self) -> String {
        let mut text = Text(String::with_capacity(4096));
        text.head("predict_request_seconds", "histogram", "From request to answer");
        for endpoint in Endpoint::ALL {
            for (status, histogram) in STATUSES.iter().zip(&self.seconds[endpoint as usize]) {
                histogram.expose(&mut text, &format!("route=\"{}\",status=\"{status}\"", endpoint.path()));
            }
        }
        text.head("predict_rows_total", "counter", "Rows predicted");
        for endpoint in Endpoint::ALL {
            let rows = self.rows[endpoint as usize].load(Relaxed);
            if rows > 0 {
                text.count("predict_rows_total", &format!("route=\"{}\"", endpoint.path()), rows);
            }
        }
        text.head("predict_unseen_categories_total", "counter", "Values that training never saw");
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        for (feature, count) in &models.unseen {
            text.count("predict_unseen_categories_total", &format!("feature=\"{feature}\""), count.load(Relaxed));
        }
        text.head("model_info", "gauge", "1 for the model served, 0 for those before it");
        if let Some((served, earlier)) = models.labels.split_last() {
            for labels in earlier {
                text.count("model_info", labels, 0);
            }
            text.count("model_info", served, 1);
        }
        text.0
    }
}

impl Models {
    fn unseen_count(&mut self, feature: String) -> UnseenCount {
        if let Some((_, count)) = self.unseen.iter().find(|(known, _)| *known == feature) {
            return Arc::clone(count);
        }
        let count = UnseenCount::default();
        self.unseen.push((feature, Arc::clone(&count)));
        count
    }
}

impl Histogram {
    fn observe(&self, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let bucket = BUCKETS.iter().position(|(bound, _)| seconds <= *bound).unwrap_or(BUCKETS.len());
        self.counts[bucket].fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    fn expose(&self, text: &mut Text, labels: &str) {
        let counts = self.counts.each_ref().map(|count| count.load(Relaxed));
        let total = counts.iter().sum();
        if total == 0 {
            return;
        }
        let mut cumulative = 0;
        for (count, (_, bound)) in counts.iter().zip(BUCKETS) {
            cumulative += count;
            text.count("predict_request_seconds_bucket", &format!("le=\"{bound}\",{labels}"), cumulative);
        }
        text.count("predict_request_seconds_bucket", &format!("le=\"+Inf\",{labels}"), total);
        text.count("predict_request_seconds_count", labels, total);
        let seconds = Duration::from_nanos(self.nanoseconds.load(Relaxed)).as_secs_f64();
        text.line("predict_request_seconds_sum", labels, seconds);
    }
}

const MEMORY: &str = "writing to memory can't fail";

struct Text(String);

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect(MEMORY);
    }

    #[allow(clippy::cast_precision_loss)] // exact up to 2^53
    fn count(&mut self, name: &str, labels: &str, value: u64) {
        self.line(name, labels, value as f64);
    }

    fn line(&mut self, name: &str, labels: &str, value: f64) {
        writeln!(self.0, "{name}{{{labels}}} {value:?}").expect(MEMORY);
    }
}

/// A label's value as the text format quotes it.
fn escaped(text: &str) -> String {
    text.replace('\\', r"\\").replace('\n', r"\n").replace('"', "\\\"")
}
