//! The service as a whole on a real bundle: the one in the folder that `MODEL_DIR` names, in the ONNX Runtime that
//! `ORT_DYLIB_PATH` names. Skipped where one of them is not set.

use std::collections::BTreeMap;
use std::env;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use axum_service::app::app;
use axum_service::artifacts::read_artifact;
use axum_service::manifest::Manifest;
use axum_service::onnx_predictor::{OnnxPredictor, load_runtime};
use axum_service::openapi::example_row;
use axum_service::predictor::{Batch, Predictor};
use axum_service::request_schema::RequestSchema;
use axum_service::state::AppState;
use http_body_util::BodyExt;
use ort::environment::Environment;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common;

/// ONNX Runtime and the folder of the bundle, or None with the reason on standard error.
fn prepared() -> Option<(Environment, PathBuf)> {
    static RUNTIME: OnceLock<Environment> = OnceLock::new(); // a process has one
    let (Some(folder), Some(_)) = (env::var_os("MODEL_DIR"), env::var_os("ORT_DYLIB_PATH")) else {
        eprintln!("skipped: MODEL_DIR and ORT_DYLIB_PATH are not both set");
        return None;
    };
    let runtime = RUNTIME.get_or_init(|| load_runtime(&env::vars().collect()).unwrap());
    Some((runtime.clone(), folder.into()))
}

/// The bundle's manifest and the model that it names.
fn bundle() -> Option<(Manifest, OnnxPredictor)> {
    let (runtime, folder) = prepared()?;
    let manifest = Manifest::read(&folder, None).unwrap();
    let model = read_artifact(&manifest, "onnx_packed", &folder).unwrap();
    Some((manifest, OnnxPredictor::new(runtime, model, 1).unwrap()))
}

#[tokio::test]
async fn the_example_row_is_predicted_with_one_probability_for_each_class() {
    let Some((manifest, predictor)) = bundle() else { return };
    let state = AppState::new(Box::new(predictor), &manifest, &common::settings(), &Arc::default()).unwrap();
    let request = Request::post("/predict").body(Body::from(example_row(&manifest).to_string())).unwrap();
    let response = app(state).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let probabilities: Vec<f64> = serde_json::from_value(answer["probabilities"].clone()).unwrap();
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let label = usize::from(probabilities[1] >= manifest.decision_threshold);
    assert_eq!(answer["prediction"], json!(label));
    assert_eq!(answer[format!("predicted_{}", manifest.target)], json!(manifest.classes[label]));
}

#[test]
fn a_row_is_predicted_alike_alone_in_a_batch_and_in_pieces_of_one() {
    let Some((manifest, predictor)) = bundle() else { return };
    let schema = RequestSchema::new(&manifest, 10_000);
    let mut unseen = example_row(&manifest);
    for feature in manifest.categorical() {
        unseen[&feature.name] = json!("never seen\0");
    }
    let (seen, unseen) = (example_row(&manifest).to_string(), unseen.to_string());
    let alone =
        [&seen, &unseen].map(|row| predictor.predict(&schema.decode_row(row.as_bytes()).unwrap().batch).unwrap());
    let both = format!("[{}]", vec![format!("{seen},{unseen}"); 1500].join(","));
    let request = schema.decode_rows(both.as_bytes()).unwrap();
    assert_eq!(request.unseen.len(), 1500 * manifest.categorical().count());
    let together = predictor.predict(&request.batch).unwrap();
    assert_eq!(together.labels.len(), 3000);
    for (index, probabilities) in together.probabilities.iter().enumerate() {
        let same = probabilities.map(f32::to_bits) == alone[index % 2].probabilities[0].map(f32::to_bits);
        assert!(same, "row {index}");
        assert_eq!(together.labels[index], alone[index % 2].labels[0]);
    }
}

#[test]
fn rows_of_another_width_are_an_error() {
    let Some((_, predictor)) = bundle() else { return };
    let batch = Batch { rows: 1, categorical: vec!["a"; 99], numeric: vec![0.0; 99] };
    assert!(predictor.predict(&batch).is_err());
}

#[test]
fn a_model_that_is_no_onnx_file_is_an_error() {
    let Some((runtime, _)) = prepared() else { return };
    assert!(OnnxPredictor::new(runtime, b"no model".to_vec(), 1).is_err());
}

#[test]
fn the_runtime_library_must_be_given_by_an_absolute_path() {
    let message = |variables: &[(&str, &str)]| {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        load_runtime(&variables.collect::<BTreeMap<_, _>>()).err().unwrap().to_string()
    };
    assert!(message(&[]).starts_with("ORT_DYLIB_PATH is not set: the absolute path"));
    assert!(message(&[("ORT_DYLIB_PATH", "libonnxruntime.so")]).contains("is not absolute"));
}
