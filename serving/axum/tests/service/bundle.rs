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
use axum_service::manifest::{Manifest, Task};
use axum_service::manifest_file::read_manifest;
use axum_service::onnx_predictor::OnnxPredictor;
use axum_service::onnx_runtime::{OnnxRuntime, load_runtime};
use axum_service::predictor::{Batch, Predictions, Predictor};
use axum_service::request_schema::RequestSchema;
use axum_service::schemas::example_row;
use axum_service::state::AppState;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common;

/// ONNX Runtime and the folder of the bundle, or None with the reason on standard error.
fn prepared() -> Option<(OnnxRuntime, PathBuf)> {
    static RUNTIME: OnceLock<OnnxRuntime> = OnceLock::new(); // a process has one
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
    let manifest = read_manifest(&folder, None).unwrap();
    let model = read_artifact(&manifest, "onnx_packed", &folder).unwrap();
    let predictor = OnnxPredictor::new(runtime, &manifest, model, 1).unwrap();
    Some((manifest, predictor))
}

#[tokio::test]
async fn the_example_row_gets_the_answer_that_the_manifest_expects() {
    let Some((manifest, predictor)) = bundle() else { return };
    let state = AppState::new(Box::new(predictor), &manifest, &common::settings(), &Arc::default()).unwrap();
    let request = Request::post("/predict").body(Body::from(example_row(&manifest).to_string())).unwrap();
    let response = app(state).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let answer: Value = serde_json::from_slice(&body).unwrap();
    let expected = &manifest.expected;
    let prediction = answer["prediction"].as_f64().unwrap();
    assert!((prediction - expected.prediction).abs() <= 1e-5 * expected.prediction.abs());
    if manifest.task == Task::Regression {
        assert_eq!(answer.as_object().unwrap().len(), 1);
        return;
    }
    let probabilities: Vec<f64> = serde_json::from_value(answer["probabilities"].clone()).unwrap();
    assert_eq!(probabilities.len(), manifest.classes.len());
    assert!((probabilities.iter().sum::<f64>() - 1.0).abs() < 1e-6);
    let class = manifest.classes.iter().zip(0..).find(|(_, index)| answer["prediction"] == *index).unwrap().0;
    assert_eq!(answer[format!("predicted_{}", manifest.target)], json!(class));
}

/// The answer's numbers for each row, bit for bit.
fn bits(predictions: &Predictions) -> Vec<(Option<i64>, Vec<u32>)> {
    let row = |label, numbers: &[f32]| (label, numbers.iter().map(|number| number.to_bits()).collect());
    match predictions {
        Predictions::Classes { labels, probabilities } => {
            let rows = probabilities.chunks(probabilities.len() / labels.len());
            labels.iter().zip(rows).map(|(label, numbers)| row(Some(*label), numbers)).collect()
        }
        Predictions::Values(values) => values.chunks(1).map(|value| row(None, value)).collect(),
    }
}

#[test]
fn a_row_is_predicted_alike_alone_in_a_batch_and_in_pieces_of_one() {
    let Some((manifest, predictor)) = bundle() else { return };
    let schema = RequestSchema::new(&manifest, 10_000);
    let mut unseen = example_row(&manifest);
    let closed: Vec<_> = manifest.categorical().filter(|feature| !feature.open).collect();
    for feature in &closed {
        unseen[&feature.name] = json!("never seen\0");
    }
    let (seen, unseen) = (example_row(&manifest).to_string(), unseen.to_string());
    let alone = [&seen, &unseen].map(|row| {
        let request = schema.decode_row(row.as_bytes()).unwrap();
        bits(&predictor.predict(&request.batch).unwrap()).remove(0)
    });
    let both = format!("[{}]", vec![format!("{seen},{unseen}"); 1500].join(","));
    let request = schema.decode_rows(both.as_bytes()).unwrap();
    assert_eq!(request.unseen.len(), 1500 * closed.len());
    let together = bits(&predictor.predict(&request.batch).unwrap());
    assert_eq!(together.len(), 3000);
    for (index, row) in together.iter().enumerate() {
        assert_eq!(*row, alone[index % 2], "row {index}");
    }
}

#[test]
fn rows_of_another_width_are_an_error() {
    let Some((_, predictor)) = bundle() else { return };
    let batch = Batch { rows: 1, categorical: vec!["a".into(); 99], numeric: vec![0.0; 99] };
    assert!(predictor.predict(&batch).is_err());
}

#[test]
fn a_model_that_is_no_onnx_file_is_an_error() {
    let Some((runtime, _)) = prepared() else { return };
    assert!(OnnxPredictor::new(runtime, &common::manifest(), b"no model".to_vec(), 1).is_err());
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
