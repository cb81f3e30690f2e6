//! Rows of requests that arrive together share a run of the model, and nothing else.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum_service::app::app;
use axum_service::metrics::Metrics;
use axum_service::predictor::{Batch, PredictionError, Predictions, Predictor};
use axum_service::record::{Record, Recorder};
use axum_service::settings::Settings;
use axum_service::state::{AppState, Observers};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{manifest, settings};
use crate::http::row;
use crate::record::{TestFolder, record_of_all};

/// Sizes that the model fails and panics at. No row that it is tried with has them.
const FAULTY: f32 = 9999.0;
const PANICKING: f32 = 9998.0;

type Runs = Arc<Mutex<Vec<Vec<f32>>>>;

/// Predicts a quarter of `size`, and notes the sizes of each run.
struct Quarter {
    runs: Runs,
    /// Whether the last bit of some answers depends on how many rows there are.
    depends_on_company: bool,
}

impl Predictor for Quarter {
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        let sizes: Vec<f32> = batch.numeric.chunks(2).map(|row| row[0]).collect();
        self.runs.lock().unwrap().push(sizes.clone());
        assert!(!sizes.contains(&PANICKING), "a panic that the test asked for");
        if sizes.contains(&FAULTY) {
            return Err(PredictionError("a failure that the test asked for".to_owned()));
        }
        let quarter = |size: f32| {
            let rare = self.depends_on_company && batch.rows > 1 && size.to_bits().is_multiple_of(100);
            if rare { (size / 4.0).next_up() } else { size / 4.0 }
        };
        let probabilities = sizes.iter().flat_map(|size| [1.0 - quarter(*size), quarter(*size)]).collect();
        Ok(Predictions::Classes { labels: vec![1; batch.rows], probabilities })
    }

    fn library(&self) -> String {
        "a quarter".to_owned()
    }
}

fn service(depends_on_company: bool, metrics: &Arc<Metrics>, observers: Observers) -> (Router, Runs) {
    let runs = Runs::default();
    let predictor = Box::new(Quarter { runs: Arc::clone(&runs), depends_on_company });
    let settings = Settings { max_concurrency: 100, ..settings() };
    let state = AppState::observed(predictor, &manifest(), &settings, metrics, observers).unwrap();
    runs.lock().unwrap().clear(); // the rows that it was tried with
    (app(state), runs)
}

async fn predict(service: &Router, body: String) -> (u16, Value) {
    let id = body.clone().replace(|character: char| !character.is_ascii_digit(), "");
    let request = Request::post("/predict").header("x-request-id", format!("id{id}")).body(Body::from(body)).unwrap();
    let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
    assert_eq!(parts.headers["x-request-id"], format!("id{id}"));
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), serde_json::from_slice(&body).unwrap())
}

fn answered(first: f64, second: f64) -> (u16, Value) {
    (200, json!({"prediction": 1, "probabilities": [first, second], "predicted_sold": "yes"}))
}

#[tokio::test]
async fn requests_that_arrive_together_share_a_run_and_their_answers_are_their_own() {
    let metrics = Arc::<Metrics>::default();
    let (service, runs) = service(false, &metrics, Observers::default());
    let unseen = row("3").replace("red", "pink");
    let bodies = [row("2"), "{".to_owned(), unseen, row("\"x\""), row("1")];
    let [first, malformed, second, wrong, third] = bodies.map(|body| predict(&service, body));
    let (first, malformed, second, wrong, third) = tokio::join!(first, malformed, second, wrong, third);
    assert_eq!([first, second, third], [answered(0.5, 0.5), answered(0.25, 0.75), answered(0.75, 0.25)]);
    assert_eq!((malformed.0, wrong.0), (400, 422));
    assert_eq!(wrong.1["detail"][0]["loc"], json!(["body", "size"]));
    assert_eq!(*runs.lock().unwrap(), [[2.0, 3.0, 1.0]]);
    let counts = metrics.expose();
    for line in [
        "predict_rows_total{route=\"/predict\"} 3",
        "predict_unseen_categories_total{feature=\"colour\"} 1",
        "predict_request_seconds_count{route=\"/predict\",status=\"200\"} 3",
    ] {
        assert!(counts.lines().any(|found| found == line), "{line} is not in:\n{counts}");
    }
    assert_eq!(predict(&service, row("4")).await, answered(0.0, 1.0));
    assert_eq!(runs.lock().unwrap()[1], [4.0]);
}

#[tokio::test]
async fn a_row_that_the_model_fails_at_fails_alone() {
    for faulty in [FAULTY, PANICKING] {
        let metrics = Arc::<Metrics>::default();
        let (service, runs) = service(false, &metrics, Observers::default());
        let [first, failing, second] = [2.0, faulty, 1.0].map(|size| predict(&service, row(&format!("{size}"))));
        let (first, failing, second) = tokio::join!(first, failing, second);
        assert_eq!([first, second], [answered(0.5, 0.5), answered(0.75, 0.25)]);
        assert_eq!(failing.0, 500);
        assert_eq!(*runs.lock().unwrap(), [vec![2.0, faulty, 1.0], vec![2.0], vec![faulty], vec![1.0]]);
        assert!(metrics.expose().contains("predict_rows_total{route=\"/predict\"} 2\n"));
    }
}

#[tokio::test]
async fn a_model_whose_answers_depend_on_other_rows_runs_for_each_alone() {
    let (service, runs) = service(true, &Arc::default(), Observers::default());
    let answers = tokio::join!(predict(&service, row("2")), predict(&service, row("1")));
    assert_eq!(answers, (answered(0.5, 0.5), answered(0.75, 0.25)));
    assert_eq!(*runs.lock().unwrap(), [[2.0], [1.0]]);
}

#[tokio::test]
async fn each_row_of_a_run_is_recorded_with_its_own_answer() {
    let folder = TestFolder::new();
    let metrics = Arc::<Metrics>::default();
    let recorder = Recorder::start(&record_of_all(&folder), &metrics).unwrap();
    let record = Record::new(&recorder, &manifest()).unwrap();
    let (service, runs) = service(false, &metrics, Observers { record: Some(record), ..Observers::default() });
    let rows = [1, 2, 3].map(|size| predict(&service, row(&size.to_string())));
    let [first, second, third] = rows;
    tokio::join!(first, second, third);
    recorder.finish();
    assert_eq!(*runs.lock().unwrap(), [[1.0, 2.0, 3.0]]);
    let lines = folder.lines();
    let facts = lines.iter().map(|line| {
        let [id, size, probabilities] = [&line["request_id"], &line["features"]["size"], &line["probabilities"]];
        json!([id, size, probabilities])
    });
    let expected =
        [json!(["id115", 1.0, [0.75, 0.25]]), json!(["id215", 2.0, [0.5, 0.5]]), json!(["id315", 3.0, [0.25, 0.75]])];
    assert_eq!(facts.collect::<Vec<_>>(), expected);
}
