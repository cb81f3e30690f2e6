//! A small bundle of its own, and a model that tests can steer.

use std::sync::Mutex;
use std::time::Duration;

use axum_service::api_keys::ApiKeys;
use axum_service::manifest::Manifest;
use axum_service::manifest_file::decode_manifest;
use axum_service::predictor::{Batch, PredictionError, Predictions, Predictor};
use axum_service::settings::Settings;
use serde_json::{Value, json};
use tracing::level_filters::LevelFilter;

pub fn manifest_json() -> Value {
    json!({
        "format_version": 2, "name": "paint", "version": "abc123", "created": "2026-11-20T20:27:09Z",
        "task": "binary_classification",
        "features": [
            {"name": "size", "kind": "numeric", "nullable": false, "example": 3, "minimum": 1.0, "maximum": 1_490_400.0},
            {"name": "colour", "kind": "nominal", "nullable": true, "example": "red", "description": "Its colour",
             "categories": ["red", "blue"], "rare": ["teal"]},
            {"name": "weight", "kind": "numeric", "nullable": true, "example": null, "minimum": 0.5, "maximum": 2.5},
            {"name": "grade", "kind": "ordinal", "nullable": false, "example": "low", "categories": ["low", "high"]},
        ],
        "target": "sold", "classes": ["no \"way\"", "yes"], "positive_class": "yes", "decision_threshold": 0.25,
        "tokens": {"missing": "?missing", "unseen": "?unseen"},
        "expected": {"prediction": 1, "probabilities": [0.25, 0.75]},
        "metrics": {"held_out": {"f2": 0.5}}, "study": {"secret": 1}, "libraries": {"python": "3"},
        "data": {"source": "synthetic"}, "parity": {"rows": 7},
        "artifacts": {"onnx_packed": {"file": "paint.onnx", "bytes": 3, "sha256": "x"}},
    })
}

pub fn manifest() -> Manifest {
    decode(&manifest_json())
}

pub fn decode(manifest: &Value) -> Manifest {
    decode_manifest(manifest.to_string().as_bytes(), "test").unwrap()
}

pub fn settings() -> Settings {
    Settings {
        model_dir: "models".into(),
        manifest_sha256: None,
        api_keys: ApiKeys::default(),
        docs: true,
        host: "127.0.0.1".to_owned(),
        port: 0,
        grpc_port: None,
        workers: 1,
        max_body_bytes: 200_000,
        max_batch_rows: 3000,
        max_buffered_bytes: 8 << 20,
        max_concurrency: 1,
        max_connections: 10,
        request_time: Duration::from_secs(30),
        shutdown_time: Duration::from_secs(1),
        log_level: LevelFilter::OFF,
        record: None,
    }
}

/// What every batch looked like, as text.
pub type Seen = &'static Mutex<Vec<String>>;

/// Predicts a quarter of `size`, fails for size 500, and panics for 501.
pub struct Fake(pub Seen);

impl Predictor for Fake {
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        let sizes = batch.numeric.chunks(2).map(|row| row[0]);
        for size in sizes.clone() {
            assert!(size < 501.0, "a panic that the test asked for");
            if size >= 500.0 {
                return Err(PredictionError("a failure that the test asked for".to_owned()));
            }
        }
        self.0.lock().unwrap().push(format!("{:?} {:?}", batch.categorical, batch.numeric));
        Ok(Predictions::Classes {
            labels: sizes.clone().map(|size| i64::from(size >= 1.0)).collect(),
            probabilities: sizes.flat_map(|size| [1.0 - size / 4.0, size / 4.0]).collect(),
        })
    }

    fn library(&self) -> String {
        "a fake".to_owned()
    }
}

/// Gives the same answer to every row.
pub struct Constant(pub fn(rows: usize) -> Predictions);

impl Predictor for Constant {
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        Ok(self.0(batch.rows))
    }

    fn library(&self) -> String {
        "a constant".to_owned()
    }
}
