//! Prometheus metrics. One process serves all requests, so a scrape reads the counters as they are.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::manifest::Manifest;
use crate::routes::Endpoint;

/// The type of what [`Metrics::expose`] returns.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

const BUCKETS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

/// The status of the usual answer.
const ANSWERED: u16 = 200;

/// The metrics of the process.
pub struct Metrics {
    registry: Registry,
    seconds: Family<Answer, Histogram>,
    /// Of these, and of the rows, the ones that a usual request adds to, by endpoint: looking them up costs more than
    /// counting.
    answered: [Histogram; Endpoint::ALL.len()],
    rows: [Counter; Endpoint::ALL.len()],
    unseen: Family<Named, Counter>,
    models: Family<Model, Gauge>,
    record: RecordCounts,
    served: Mutex<Option<Model>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    route: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Named {
    feature: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Model {
    backend: &'static str,
    name: String,
    version: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Lost {
    reason: &'static str,
}

/// What has happened to the rows that were to be recorded.
#[derive(Clone)]
pub struct RecordCounts {
    /// Rows that are in a file.
    pub rows: Counter,
    /// Rows that were lost because the queue was full.
    pub queue: Counter,
    /// Rows that were lost because they could not be written.
    pub write: Counter,
    /// Files that were removed to make room.
    pub removed: Counter,
}

impl RecordCounts {
    fn new(registry: &mut Registry) -> Self {
        let (rows, removed, lost) = (Counter::default(), Counter::default(), Family::<Lost, Counter>::default());
        registry.register("record_rows", "Rows written to the record", rows.clone());
        registry.register("record_lost_rows", "Rows that were to be recorded, and are not", lost.clone());
        registry.register("record_removed_files", "Files of the record removed to make room", removed.clone());
        let [queue, write] = ["queue", "write"].map(|reason| lost.get_or_create_owned(&Lost { reason }));
        Self { rows, queue, write, removed }
    }
}

/// How many values of a feature training never saw.
pub type UnseenCount = Counter;

impl Default for Metrics {
    fn default() -> Self {
        let seconds = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let rows = Family::<Route, Counter>::default();
        let (unseen, models) = (Family::default(), Family::default());
        let mut registry = Registry::default();
        registry.register("predict_request_seconds", "From request to answer", seconds.clone());
        registry.register("predict_rows", "Rows predicted", rows.clone());
        registry.register("predict_unseen_categories", "Values that training never saw", unseen.clone());
        registry.register("model_info", "1 for the model served, 0 for those before it", models.clone());
        let record = RecordCounts::new(&mut registry);
        let answer = |endpoint: Endpoint| Answer { route: endpoint.path(), status: ANSWERED };
        let answered = Endpoint::ALL.map(|endpoint| seconds.get_or_create_owned(&answer(endpoint)));
        let rows = Endpoint::ALL.map(|endpoint| rows.get_or_create_owned(&Route { route: endpoint.path() }));
        Self { registry, seconds, answered, rows, unseen, models, record, served: Mutex::default() }
    }
}

impl Metrics {
    /// Count for this model from now on. Returns a count for each of its categorical features, in their order.
    pub fn serve(&self, manifest: &Manifest, backend: &'static str) -> Vec<UnseenCount> {
        let model = Model { backend, name: manifest.name.clone(), version: manifest.version.clone() };
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(earlier) = served.as_ref() {
            self.models.get_or_create(earlier).set(0);
        }
        self.models.get_or_create(&model).set(1);
        *served = Some(model);
        let count = |name: &String| self.unseen.get_or_create_owned(&Named { feature: name.clone() });
        manifest.categorical().map(|feature| count(&feature.name)).collect()
    }

    /// The counts of the record.
    pub fn record(&self) -> RecordCounts {
        self.record.clone()
    }

    /// Count an answered request.
    pub fn observe(&self, endpoint: Endpoint, status: u16, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        if status == ANSWERED {
            self.answered[endpoint as usize].observe(seconds);
        } else {
            self.seconds.get_or_create(&Answer { route: endpoint.path(), status }).observe(seconds);
        }
    }

    /// Count predicted rows.
    pub fn predicted(&self, endpoint: Endpoint, rows: usize) {
        self.rows[endpoint as usize].inc_by(rows as u64);
    }

    /// All metrics in the text format of `OpenMetrics`.
    ///
    /// # Panics
    ///
    /// Never: the text is written to memory.
    pub fn expose(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to memory can't fail");
        text
    }
}
