//! Every answer of a predict route names its request.

use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::Request;
use axum_service::api_keys::ApiKeys;
use axum_service::settings::Settings;
use tracing_subscriber::fmt::MakeWriter;

use crate::common::settings;
use crate::http::{Answer, Service, row};

pub const INFER: &str = "/v2/models/paint/infer";

pub fn tensors(size: &str) -> String {
    format!(
        r#"{{"inputs": [{{"name": "size", "datatype": "FP32", "shape": [1], "data": [{size}]}},
           {{"name": "weight", "datatype": "FP32", "shape": [1], "data": [1.5]}},
           {{"name": "colour", "datatype": "BYTES", "shape": [1], "data": ["red"]}},
           {{"name": "grade", "datatype": "BYTES", "shape": [1], "data": ["low"]}}]}}"#
    )
}

async fn call(service: &Service, method: &str, path: &str, body: String) -> Answer {
    let request = Request::builder().method(method).uri(path).header("X-Request-ID", "mine\"1");
    service.send(request.body(Body::from(body)).unwrap()).await
}

#[tokio::test]
async fn answers_and_refusals_alike() {
    let service = Service::with(&settings());
    let cases = [
        ("POST", "/predict", row("1"), 200),
        ("POST", "/predict/batch", format!("[{}]", row("1")), 200),
        ("POST", "/predict/batch", format!("[{}]", vec![row("1"); 2000].join(",")), 200),
        ("POST", INFER, tensors("1"), 200),
        ("POST", "/predict", "{".to_owned(), 400),
        ("POST", "/predict/batch", "[7]".to_owned(), 422),
        ("POST", INFER, "{}".to_owned(), 400),
        ("POST", "/predict", " ".repeat(200_001), 413),
        ("POST", "/predict", row("500"), 500),
        ("POST", "/predict", row("501"), 500),
        ("GET", "/predict", String::new(), 405),
        ("GET", INFER, String::new(), 405),
        ("POST", "/v2/models/other/infer", tensors("1"), 404),
    ];
    for (method, path, body, status) in cases {
        let answer = call(&service, method, path, body).await;
        assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (status, "mine\"1"), "{method} {path}");
    }
    for path in ["/health", "/metadata", "/v2"] {
        assert!(!call(&service, "GET", path, String::new()).await.headers.contains_key("x-request-id"), "{path}");
    }
}

#[tokio::test]
async fn whoever_has_no_key_too() {
    let api_keys = ApiKeys::new(["a-key-of-the-tests"]).unwrap();
    let service = Service::with(&Settings { api_keys, ..settings() });
    let answer = call(&service, "POST", "/predict", row("1")).await;
    assert_eq!((answer.status.as_u16(), answer.header("x-request-id")), (401, "mine\"1"));
    assert!(!call(&service, "GET", "/metadata", String::new()).await.headers.contains_key("x-request-id"));
}

#[tokio::test]
async fn one_without_an_id_gets_one_of_its_own() {
    let service = Service::with(&settings());
    let mut ids = Vec::new();
    for _ in 0..2 {
        let answer = service.send(Request::post("/predict").body(Body::from(row("1"))).unwrap()).await;
        ids.push(answer.header("x-request-id").to_owned());
    }
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.len() == 32), "{ids:?}");
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn the_log_of_a_failure_names_the_request() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt().with_writer(log.clone()).without_time().with_ansi(false).finish();
    let _until_the_end = tracing::subscriber::set_default(subscriber);
    let service = Service::with(&settings());
    for (size, reason) in [("500", "a failure that the test asked for"), ("501", "a panic that the test asked for")] {
        call(&service, "POST", "/predict", row(size)).await;
        let text = String::from_utf8(std::mem::take(&mut *log.0.lock().unwrap())).unwrap();
        assert!(text.contains(&format!("/predict failed, request mine\"1: {reason}\n")), "{text}");
    }
}
