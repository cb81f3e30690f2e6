//! The HTTP contract, on a small manifest of its own and a model that is no model.

use std::sync::{Arc, Mutex};

use crate::common::{Fake, Seen, manifest, settings};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum_service::app::app;
use axum_service::metrics::Metrics;
use axum_service::settings::Settings;
use axum_service::state::{AppState, Observers};
use http_body_util::{BodyExt, Channel};
use serde_json::{Value, json};
use tower::ServiceExt;

pub struct Service {
    pub router: Router,
    state: Arc<AppState>,
    seen: Seen,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// `loc` and `type` of every problem.
    fn problems(&self) -> Vec<(String, String)> {
        let body = self.json();
        let problem = |problem: &Value| (problem["loc"].to_string(), problem["type"].as_str().unwrap().to_owned());
        body["detail"].as_array().unwrap().iter().map(problem).collect()
    }
}

impl Service {
    fn new() -> Self {
        Self::with(&settings())
    }

    pub fn with(settings: &Settings) -> Self {
        Self::observed(settings, &Arc::default(), Observers::default())
    }

    pub fn observed(settings: &Settings, metrics: &Arc<Metrics>, observers: Observers) -> Self {
        let seen: Seen = Box::leak(Box::new(Mutex::new(Vec::new())));
        let state = AppState::observed(Box::new(Fake(seen)), &manifest(), settings, metrics, observers).unwrap();
        seen.lock().unwrap().clear(); // the example row
        Self { router: app(Arc::clone(&state)), state, seen }
    }

    async fn call(&self, method: Method, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::builder().method(method).uri(path).header("host", "test").body(body.into()).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, text: String::from_utf8(body.to_vec()).unwrap() }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, Body::empty()).await
    }

    pub async fn predict(&self, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, "/predict", body).await
    }

    pub async fn predict_batch(&self, body: impl Into<Body>) -> Answer {
        self.call(Method::POST, "/predict/batch", body).await
    }

    fn last_batch(&self) -> String {
        self.seen.lock().unwrap().pop().unwrap()
    }
}

pub fn row(size: &str) -> String {
    format!(r#"{{"size": {size}, "colour": "red", "weight": 1.5, "grade": "low"}}"#)
}

#[tokio::test]
async fn a_row_is_predicted() {
    let service = Service::new();
    let answer = service.predict(row("2")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(answer.text, r#"{"prediction":1,"probabilities":[0.5,0.5],"predicted_sold":"yes"}"#);
    assert_eq!(service.last_batch(), r#"["red", "low"] [2.0, 1.5]"#);
    // widened to 64 bits, as Python writes a 32-bit float
    let answer = service.predict(row("0.4")).await;
    assert_eq!(
        answer.text,
        r#"{"prediction":0,"probabilities":[0.8999999761581421,0.10000000149011612],"predicted_sold":"no \"way\""}"#
    );
}

#[tokio::test]
async fn a_batch_is_predicted_in_its_order() {
    let answer = Service::new().predict_batch(format!("[{},{}]", row("0"), row("4"))).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(
        answer.text,
        r#"{"predictions":[{"prediction":0,"probabilities":[1.0,0.0],"predicted_sold":"no \"way\""},{"prediction":1,"probabilities":[0.0,1.0],"predicted_sold":"yes"}],"batch_size":2}"#
    );
}

#[tokio::test]
async fn a_large_batch_is_predicted_in_a_thread() {
    let rows = vec![row("1"); 2000].join(",");
    assert!(rows.len() > 64 << 10);
    let answer = Service::new().predict_batch(format!("[{rows}]")).await;
    assert_eq!((answer.status, &answer.json()["batch_size"]), (StatusCode::OK, &json!(2000)));
}

#[tokio::test]
async fn missing_and_unseen_values_reach_the_model_as_such() {
    let service = Service::new();
    let body = r#"{"grade": "low\u0000", "weight": null, "colour": null, "size": -0}"#;
    assert_eq!(service.predict(body).await.status, StatusCode::OK);
    assert_eq!(service.last_batch(), r#"["?missing", "?unseen"] [-0.0, NaN]"#);
}

#[tokio::test]
async fn of_a_field_given_twice_the_last_one_holds() {
    let service = Service::new();
    let body = r#"{"size": 1, "colour": "new", "weight": 1, "grade": "low", "colour": "blue", "size": 2}"#;
    assert_eq!(service.predict(body).await.status, StatusCode::OK);
    assert_eq!(service.last_batch(), r#"["blue", "low"] [2.0, 1.0]"#);
    let metrics = service.get("/metrics").await.text;
    assert!(metrics.contains("predict_unseen_categories_total{feature=\"colour\"} 0\n"), "{metrics}");
}

#[tokio::test]
async fn every_problem_of_every_row_is_named() {
    let body = r#"[{"size": "1", "colour": 2, "grade": null, "x": 1, "y": [[]], "x": 2},
                   7,
                   {"size": 1e39, "colour": null, "weight": true, "grade": "low"}]"#;
    let answer = Service::new().predict_batch(body).await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    let problem = |loc: Value, msg: &str, kind: &str| json!({"loc": loc, "msg": msg, "type": kind});
    assert_eq!(
        answer.json()["detail"],
        json!([
            problem(json!(["body", 0, "size"]), "a number is required", "float_type"),
            problem(json!(["body", 0, "colour"]), "a string is required", "string_type"),
            problem(json!(["body", 0, "weight"]), "field required", "missing"),
            problem(json!(["body", 0, "grade"]), "null is not allowed here", "not_nullable"),
            problem(json!(["body", 0, "x"]), "unknown field", "extra_forbidden"),
            problem(json!(["body", 0, "y"]), "unknown field", "extra_forbidden"),
            problem(json!(["body", 1]), "an object is required", "object_type"),
            problem(json!(["body", 2, "size"]), "outside the range of a 32-bit float", "float_range"),
            problem(json!(["body", 2, "weight"]), "a number is required", "float_type"),
        ])
    );
}

#[tokio::test]
async fn at_most_a_hundred_problems_are_named() {
    let answer = Service::new().predict_batch(format!("[{}]", vec!["{}"; 50].join(","))).await;
    assert_eq!(answer.problems().len(), 100);
}

#[tokio::test]
async fn refusals_have_a_status_a_location_and_a_type() {
    let valid = row("1");
    let cases = [
        // path, body, status, location and type of the first problem
        ("/predict", String::new(), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", "{".to_owned(), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", row("NaN"), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", row("01"), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", row(r#""\ud800""#), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", format!("{valid} {valid}"), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", "[]".to_owned(), 422, r#"["body"]"#, "object_type"),
        ("/predict", "null".to_owned(), 422, r#"["body"]"#, "object_type"),
        ("/predict", row("3.4028235e38"), 422, r#"["body","size"]"#, "float_range"),
        ("/predict", row("1e400"), 422, r#"["body","size"]"#, "float_range"),
        ("/predict", row(&format!("1{}", "0".repeat(400))), 422, r#"["body","size"]"#, "float_range"),
        ("/predict", row("true"), 422, r#"["body","size"]"#, "float_type"),
        ("/predict", row("[1"), 422, r#"["body","size"]"#, "float_type"), // wrong before it is malformed
        ("/predict", r#"{"x": bad"#.to_owned(), 422, r#"["body","x"]"#, "extra_forbidden"),
        ("/predict", r#"{"x""#.to_owned(), 400, r#"["body"]"#, "json_invalid"),
        ("/predict", r#"{"size": "", "size": 1}"#.to_owned(), 422, r#"["body","colour"]"#, "missing"),
        ("/predict", format!("{} x", row(r#"1, "size": 2, "size": null"#)), 422, r#"["body","size"]"#, "not_nullable"),
        ("/predict", "{} x".to_owned(), 422, r#"["body","size"]"#, "missing"),
        ("/predict/batch", "5 x".to_owned(), 422, r#"["body"]"#, "list_type"),
        ("/predict/batch", "[]".to_owned(), 422, r#"["body"]"#, "too_short"),
        ("/predict/batch", "{}".to_owned(), 422, r#"["body"]"#, "list_type"),
        ("/predict/batch", format!("[{valid},]"), 400, r#"["body"]"#, "json_invalid"),
        ("/predict/batch", format!("[{valid},{{\"size\":1e400}}]"), 422, r#"["body",1,"size"]"#, "float_range"),
        ("/predict/batch", format!("[{}", "[".repeat(3000)), 422, r#"["body",0]"#, "object_type"),
        ("/predict/batch", format!("[{}]", vec![row("1"); 3001].join(",")), 413, r#"["body"]"#, "too_many_rows"),
        ("/predict", " ".repeat(200_001), 413, r#"["body"]"#, "too_many_bytes"),
    ];
    let service = Service::with(&Settings { max_body_bytes: 200_000, ..settings() });
    for (path, body, status, location, kind) in cases {
        let shown: String = body.chars().take(80).collect();
        let answer = service.call(Method::POST, path, body).await;
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text);
        assert_eq!(answer.problems()[0], (location.to_owned(), kind.to_owned()), "{shown}");
        assert_eq!(answer.header("connection"), if status == 413 { "close" } else { "" }, "{shown}");
    }
    assert!(service.seen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_malformed() {
    let answer = Service::new().predict(&b"{\"size\": 1, \"colour\": \"\xff\"}"[..]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    let answer = Service::new().predict(&b"{\"x\": \"\xff\"}"[..]).await; // but the unknown field comes first
    assert_eq!(answer.problems(), [(r#"["body","x"]"#.to_owned(), "extra_forbidden".to_owned())]);
}

#[tokio::test]
async fn a_large_refused_body_is_answered_with_the_first_finding() {
    let service = Service::with(&Settings { max_body_bytes: 4 << 20, ..settings() });
    let body = format!(r#"[{},{{"size": "", "x": "{}"}}]"#, row("1"), "a".repeat(2 << 20));
    let answer = service.predict_batch(body).await;
    assert_eq!(
        answer.json()["detail"],
        json!([{"loc": ["body", 1, "size"], "msg": "a number is required", "type": "float_type"}])
    );
}

#[tokio::test]
async fn one_fault_is_named_alike_in_a_small_and_a_large_body() {
    let service = Service::with(&Settings { max_body_bytes: 4 << 20, ..settings() });
    let cases = [
        (format!("[{},5]", row("1")), r#"["body",1]"#, "object_type"),
        ("[null]".to_owned(), r#"["body",0]"#, "object_type"),
        (row("1"), r#"["body"]"#, "list_type"),
        (format!("[{}]", row(r#""1""#)), r#"["body",0,"size"]"#, "float_type"),
        (format!("[{},{}]", row("1"), row("{}")), r#"["body",1,"size"]"#, "float_type"),
        (format!("[{}]", row("null")), r#"["body",0,"size"]"#, "not_nullable"),
        (format!("[{}]", row("1e39")), r#"["body",0,"size"]"#, "float_range"),
        (format!("[{}]", row("-1e400")), r#"["body",0,"size"]"#, "float_range"),
        (format!("[{}]", row("1").replace(r#""red""#, "[]")), r#"["body",0,"colour"]"#, "string_type"),
        (format!("[{}]", row("1").replace(r#""low""#, "null")), r#"["body",0,"grade"]"#, "not_nullable"),
        (format!("[{}]", row(r#"1, "\u0078.[2]": {"y": 1}"#)), r#"["body",0,"x.[2]"]"#, "extra_forbidden"),
        (format!("[{}]", row("1").replace(r#""size""#, r#""weight""#)), r#"["body",0,"size"]"#, "missing"),
    ];
    for (body, location, kind) in cases {
        let small = service.predict_batch(body.clone()).await;
        assert_eq!(small.problems(), [(location.to_owned(), kind.to_owned())], "{body}");
        let large = service.predict_batch(format!("{body}{}", " ".repeat(1 << 20))).await;
        assert_eq!((large.status, large.text), (small.status, small.text), "{body}");
    }
}

#[tokio::test]
async fn failures_and_panics_inside_tell_nothing() {
    let service = Service::new();
    for size in ["500", "501"] {
        let answer = service.predict(row(size)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(answer.text, r#"{"detail":[{"loc":[],"msg":"internal error","type":"internal_error"}]}"#);
    }
    assert_eq!(service.predict(row("1")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_request_over_capacity_is_told_to_come_back() {
    let service = Service::new();
    let (mut sender, slow) = Channel::<Bytes>::new(1);
    let request = Request::post("/predict").body(Body::new(slow)).unwrap();
    let first = tokio::spawn(service.router.clone().oneshot(request));
    tokio::task::yield_now().await;
    let answer = service.predict(row("1")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    assert_eq!(answer.problems(), [("[]".to_owned(), "overloaded".to_owned())]);

    sender.send_data(row("1").into()).await.unwrap();
    drop(sender);
    assert_eq!(first.await.unwrap().unwrap().status(), StatusCode::OK);
    assert_eq!(service.predict(row("1")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn information_routes_answer() {
    let service = Service::new();
    let about = service.get("/").await.json();
    assert_eq!(about["model"], json!({"name": "paint", "version": "abc123"}));
    assert_eq!(about["backend"], "axum");
    for path in ["/health", "/health/live"] {
        assert_eq!(service.get(path).await.text, r#"{"status":"alive"}"#);
    }
    let metadata = service.get("/metadata").await.json();
    let keys: Vec<&String> = metadata.as_object().unwrap().keys().collect();
    assert_eq!(&keys[..5], ["format_version", "name", "version", "created", "task"]);
    assert_eq!(metadata["features"][0]["categories"], json!([]));
    for private in ["artifacts", "libraries", "study"] {
        assert!(metadata.get(private).is_none());
    }
    let docs = service.get("/docs").await;
    assert!(docs.header("content-type").starts_with("text/html") && docs.text.contains("openapi.json"));
}

#[tokio::test]
async fn the_description_follows_the_manifest() {
    let document = Service::new().get("/openapi.json").await.json();
    let row = &document["components"]["schemas"]["Row"];
    assert_eq!(row["required"], json!(["size", "colour", "weight", "grade"]));
    assert_eq!(
        row["properties"]["colour"],
        json!({
            "type": ["string", "null"], "examples": ["red"],
            "description": "Its colour; seen in training: red, blue; others are accepted; null means missing",
        })
    );
    assert_eq!(row["properties"]["size"]["description"], "seen in training: 1 to 1490400");
    let batch = &document["paths"]["/predict/batch"]["post"]["requestBody"]["content"]["application/json"];
    assert_eq!(batch["schema"]["maxItems"], 3000);
    let prediction = &document["components"]["schemas"]["Prediction"]["properties"];
    assert_eq!(prediction["predicted_sold"]["enum"], json!(["no \"way\"", "yes"]));
    assert_eq!(prediction["probabilities"]["description"], r#"Probabilities of the classes: "no \"way\"", "yes""#);
}

#[tokio::test]
async fn rare_categories_are_known_and_never_published() {
    let service = Service::new();
    let row = row("1").replace("red", "teal");
    assert_eq!(service.predict(row).await.status, StatusCode::OK);
    assert_eq!(service.last_batch(), r#"["teal", "low"] [1.0, 1.5]"#);
    for path in ["/", "/metadata", "/openapi.json", "/docs", "/metrics"] {
        assert!(!service.get(path).await.text.contains("teal"), "{path}");
    }
    assert!(service.get("/metrics").await.text.contains("predict_unseen_categories_total{feature=\"colour\"} 0"));
}

#[tokio::test]
async fn readiness_ends_with_the_service() {
    let service = Service::new();
    let ready = service.get("/health/ready").await;
    assert_eq!(
        (ready.status, &*ready.text),
        (StatusCode::OK, r#"{"status":"ready","model":"paint","version":"abc123"}"#)
    );
    service.state.set_ready(false);
    let ready = service.get("/health/ready").await;
    assert_eq!((ready.status, &*ready.text), (StatusCode::SERVICE_UNAVAILABLE, r#"{"status":"not ready"}"#));
}

#[tokio::test]
async fn metrics_count_requests_rows_and_unseen_values() {
    let service = Service::new();
    service.predict_batch(format!("[{},{}]", row("1"), row("1").replace("red", "pink"))).await;
    service.predict("").await;
    let answer = service.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
    for line in [
        "# TYPE predict_request_seconds histogram",
        "predict_request_seconds_bucket{le=\"5.0\",route=\"/predict/batch\",status=\"200\"} 1",
        "predict_request_seconds_bucket{le=\"+Inf\",route=\"/predict\",status=\"400\"} 1",
        "predict_request_seconds_count{route=\"/predict\",status=\"400\"} 1",
        "predict_rows_total{route=\"/predict/batch\"} 2",
        "predict_unseen_categories_total{feature=\"colour\"} 1",
        "predict_unseen_categories_total{feature=\"grade\"} 0",
        "model_info{backend=\"axum\",name=\"paint\",version=\"abc123\"} 1",
    ] {
        assert!(answer.text.lines().any(|found| found == line), "{line} is not in:\n{}", answer.text);
    }
}

#[tokio::test]
async fn other_paths_and_methods_are_refused() {
    let service = Service::new();
    let answer = service.get("/nope").await;
    assert_eq!((answer.status, &*answer.text), (StatusCode::NOT_FOUND, r#"{"detail":"Not Found"}"#));
    for (method, path, allowed) in [(Method::GET, "/predict", "POST"), (Method::POST, "/health", "GET, HEAD")] {
        let answer = service.call(method, path, Body::empty()).await;
        assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!((answer.header("allow"), &*answer.text), (allowed, r#"{"detail":"Method Not Allowed"}"#));
    }
    for path in ["/predict/?a=1", "/metadata/"] {
        let answer = service.get(path).await; // no redirect
        assert_eq!((answer.status, answer.header("location")), (StatusCode::NOT_FOUND, ""));
    }
}
