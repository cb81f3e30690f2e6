//! What the requests of one bundle share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::api_keys::ApiKeys;
use crate::buffers::Buffers;
use crate::capacity::Capacity;
use crate::documents::{BACKEND, Documents};
use crate::expected::wrong_answer;
use crate::inference::Inference;
use crate::manifest::Manifest;
use crate::metrics::{Metrics, UnseenCount};
use crate::predictor::{PredictionError, Predictor};
use crate::record::Record;
use crate::request_schema::RequestSchema;
use crate::response_schema::ResponseSchema;
use crate::row_independence::{can_share, rows_to_try};
use crate::schemas::example_row;
use crate::settings::Settings;
use crate::shared_runs::SharedRuns;
use crate::traces::TracedModel;

/// What observes requests while they are answered, if anything does.
#[derive(Default)]
pub struct Observers {
    /// The record of what is asked and answered.
    pub record: Option<Record>,
    /// Traces of the requests.
    pub traces: Option<TracedModel>,
}

/// What requests share.
pub struct AppState {
    pub(crate) predictor: Box<dyn Predictor>,
    pub(crate) requests: RequestSchema,
    pub(crate) responses: ResponseSchema,
    pub(crate) inference: Inference,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) unseen: Vec<UnseenCount>,
    pub(crate) capacity: Arc<Capacity>,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) max_body_bytes: usize,
    pub(crate) request_time: Duration,
    pub(crate) large_bodies: Arc<Semaphore>,
    pub(crate) keys: ApiKeys,
    pub(crate) observers: Observers,
    /// None if a row's answer may depend on the other rows of its run.
    pub(crate) shared_runs: Option<SharedRuns>,
    ready: AtomicBool,
    pub(crate) documents: Documents,
}

impl AppState {
    /// The state around a predictor; it is ready once the model has given the answer that the manifest expects to its
    /// example row. It counts in `metrics`, those of the process.
    pub fn new(
        predictor: Box<dyn Predictor>,
        manifest: &Manifest,
        settings: &Settings,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, PredictionError> {
        Self::observed(predictor, manifest, settings, metrics, Observers::default())
    }

    /// The same, with observers of what is asked and answered.
    pub fn observed(
        predictor: Box<dyn Predictor>,
        manifest: &Manifest,
        settings: &Settings,
        metrics: &Arc<Metrics>,
        observers: Observers,
    ) -> Result<Arc<Self>, PredictionError> {
        let mut state = Self {
            predictor,
            requests: RequestSchema::new(manifest, settings.max_batch_rows),
            responses: ResponseSchema::new(manifest),
            inference: Inference::new(manifest),
            metrics: Arc::clone(metrics),
            unseen: Vec::new(),
            // per worker, as with workers that are processes; here they share it
            capacity: Capacity::new(settings.max_concurrency * settings.workers),
            buffers: Buffers::new(settings.max_buffered_bytes * settings.workers),
            max_body_bytes: settings.max_body_bytes,
            request_time: settings.request_time,
            large_bodies: Arc::new(Semaphore::new(settings.workers)),
            keys: settings.api_keys.clone(),
            observers,
            shared_runs: None,
            ready: AtomicBool::new(false),
            documents: Documents::new(manifest, settings),
        };
        let example = example_row(manifest).to_string();
        let request = state.requests.decode_row(example.as_bytes()).map_err(|error| {
            let answer = String::from_utf8_lossy(&error.body()).into_owned();
            PredictionError(format!("the manifest's example row is refused: {answer}"))
        })?;
        let answer = state.predictor.predict(&request.batch)?;
        if let Some(wrong) = wrong_answer(manifest, &answer, &state.predictor.library()) {
            return Err(PredictionError(wrong));
        }
        if can_share(&*state.predictor, &rows_to_try(manifest)) {
            state.shared_runs = Some(SharedRuns::new(settings.workers));
        }
        state.unseen = metrics.serve(manifest, BACKEND);
        state.set_ready(true);
        Ok(Arc::new(state))
    }

    /// Say whether the service takes requests.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Whether the service takes requests.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }
}
