//! What each task and each kind of feature is answered with, and how it is described.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use axum_service::app::app;
use axum_service::predictor::{PredictionError, Predictions};
use axum_service::state::AppState;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::common::{Constant, decode, manifest_json, settings};

/// A manifest with a feature of each kind but the usual ones.
fn manifest(task: &str, changes: &Value) -> Value {
    let mut manifest = json!({
        "format_version": 2, "name": "wine", "version": "1", "created": "2026-11-27T00:00:00Z", "task": task,
        "features": [
            {"name": "mean radius", "kind": "numeric", "nullable": false, "example": 24, "integer": true},
            {"name": "organic", "kind": "boolean", "nullable": true, "example": false},
            {"name": "picked", "kind": "date", "nullable": true, "example": "1970-01-02", "minimum": 0, "maximum": 11_016},
            {"name": "note", "kind": "nominal", "nullable": false, "example": "any", "open": true},
            {"name": "place", "kind": "nominal", "nullable": true, "example": null,
             "categories": (0..24).map(|i| format!("p{i}")).collect::<Vec<_>>()},
        ],
        "target": "grade", "tokens": {"missing": "?", "unseen": "!"}, "libraries": {"xgboost": "3.2.0"}, "artifacts": {},
    });
    for (key, value) in changes.as_object().unwrap() {
        manifest[key] = value.clone();
    }
    manifest
}

fn regression() -> Value {
    manifest("regression", &json!({"expected": {"prediction": 152.3}}))
}

fn three(classes: &Value) -> Value {
    let expected = json!({"prediction": 2, "probabilities": [0.25, 0.25, 0.5]});
    manifest("multiclass_classification", &json!({"classes": classes, "expected": expected}))
}

fn state(manifest: &Value, answer: fn(usize) -> Predictions) -> Result<Arc<AppState>, PredictionError> {
    AppState::new(Box::new(Constant(answer)), &decode(manifest), &settings(), &Arc::default())
}

fn value(rows: usize) -> Predictions {
    Predictions::Values(vec![152.3; rows])
}

fn last_of_three(rows: usize) -> Predictions {
    Predictions::Classes { labels: vec![2; rows], probabilities: [0.25, 0.25, 0.5].repeat(rows) }
}

async fn answer(state: &Arc<AppState>, request: Request<Body>) -> String {
    let response = app(Arc::clone(state)).oneshot(request).await.unwrap();
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

async fn post(state: &Arc<AppState>, path: &str, body: impl ToString) -> String {
    answer(state, Request::post(path).body(Body::from(body.to_string())).unwrap()).await
}

async fn schemas(state: &Arc<AppState>) -> Value {
    let text = answer(state, Request::get("/openapi.json").body(Body::empty()).unwrap()).await;
    serde_json::from_str::<Value>(&text).unwrap()["components"]["schemas"].take()
}

fn row() -> Value {
    json!({"mean radius": 24.0, "organic": true, "picked": "2026-11-27", "note": "?", "place": "p1"})
}

#[tokio::test]
async fn a_regressor_answers_with_values() {
    let state = state(&regression(), value).unwrap();
    assert_eq!(post(&state, "/predict", row()).await, r#"{"prediction":152.3000030517578}"#);
    assert_eq!(
        post(&state, "/predict/batch", json!([row(), row()])).await,
        r#"{"predictions":[{"prediction":152.3000030517578},{"prediction":152.3000030517578}],"batch_size":2}"#
    );
    let prediction = schemas(&state).await["Prediction"].take();
    assert_eq!(
        (&prediction["required"], &prediction["properties"]["prediction"]["type"]),
        (&json!(["prediction"]), &json!(["number", "null"]))
    );
}

#[tokio::test]
async fn class_labels_are_answered_as_what_they_are() {
    let cases = [(json!(["a", "b", "c"]), "\"c\"", "string"), (json!([-1, 0, 7]), "7", "integer")];
    for (classes, label, kind) in cases {
        let state = state(&three(&classes), last_of_three).unwrap();
        assert_eq!(
            post(&state, "/predict", row()).await,
            format!(r#"{{"prediction":2,"probabilities":[0.25,0.25,0.5],"predicted_grade":{label}}}"#)
        );
        let properties = schemas(&state).await["Prediction"]["properties"].take();
        assert_eq!(properties["predicted_grade"], json!({"type": kind, "enum": classes}));
        assert_eq!(properties["prediction"]["enum"], json!([0, 1, 2]));
        assert_eq!(
            (&properties["probabilities"]["minItems"], &properties["probabilities"]["maxItems"]),
            (&json!(3), &json!(3))
        );
    }
}

#[tokio::test]
async fn boolean_labels_too() {
    let mut manifest = manifest_json();
    (manifest["classes"], manifest["positive_class"]) = (json!([false, true]), json!(true));
    let answer = |rows| Predictions::Classes { labels: vec![1; rows], probabilities: [0.25, 0.75].repeat(rows) };
    let state = state(&manifest, answer).unwrap();
    let row = json!({"size": 1, "colour": "red", "weight": 1.5, "grade": "low"});
    let text = r#"{"prediction":1,"probabilities":[0.25,0.75],"predicted_sold":true}"#;
    assert_eq!(post(&state, "/predict", row).await, text);
    let properties = schemas(&state).await["Prediction"]["properties"].take();
    assert_eq!(properties["predicted_sold"], json!({"type": "boolean", "enum": [false, true]}));
    assert!(
        properties["prediction"]["description"]
            .as_str()
            .unwrap()
            .contains("1 where the probability of true is at least 0.25")
    );
}

#[tokio::test]
async fn each_kind_of_value_is_refused_in_its_own_words() {
    let state = state(&regression(), value).unwrap();
    let date = "an ISO 8601 date (YYYY-MM-DD) is required";
    let cases = [
        ("mean radius", json!(24.5), "a whole number is required", "int_type"),
        ("mean radius", json!("24"), "a number is required", "float_type"),
        ("organic", json!(1), "true or false is required", "bool_type"),
        ("picked", json!("27.11.2026"), date, "date_invalid"),
        ("picked", json!(20_000), date, "date_type"),
        ("note", json!(null), "null is not allowed here", "not_nullable"),
        ("place", json!(true), "a string is required", "string_type"),
    ];
    for (name, wrong, msg, kind) in cases {
        let mut row = row();
        row[name] = wrong;
        let found: Value = serde_json::from_str(&post(&state, "/predict/batch", json!([row])).await).unwrap();
        assert_eq!(found["detail"], json!([{"loc": ["body", 0, name], "msg": msg, "type": kind}]));
    }
}

#[tokio::test]
async fn each_kind_of_feature_is_described() {
    let row = schemas(&state(&regression(), value).unwrap()).await["Row"].take();
    let property = |name: &str| &row["properties"][name];
    assert_eq!(
        (&property("mean radius")["type"], &property("organic")["type"]),
        (&json!("integer"), &json!(["boolean", "null"]))
    );
    assert_eq!(
        *property("picked"),
        json!({
            "type": ["string", "null"], "examples": ["1970-01-02"], "format": "date",
            "description": "seen in training: 1970-01-01 to 2000-02-29; null means missing",
        })
    );
    assert_eq!(property("note")["description"], "any string");
    let place = property("place")["description"].as_str().unwrap();
    assert!(place.ends_with("p18, p19 and 4 more; others are accepted; null means missing"), "{place}");
    assert!(!place.contains("p20"));
}

#[test]
fn a_model_that_answers_its_example_otherwise_is_not_served() {
    let error = state(&regression(), |rows| Predictions::Values(vec![152.5; rows])).err().unwrap().to_string();
    assert_eq!(
        error,
        "it answers its example with 152.5, but its bundle expects 152.3: made with xgboost 3.2.0; running on a constant; \
         serve it with those versions, or make it again with these"
    );
    let near =
        |rows| Predictions::Classes { labels: vec![2; rows], probabilities: [0.25, 0.250_01, 0.499_99].repeat(rows) };
    let mut manifest = three(&json!([1, 2, 3]));
    let error = state(&manifest, near).err().unwrap().to_string();
    assert!(error.contains("expects class 2 (0.25, 0.25, 0.5)"), "{error}");
    manifest["parity"] = json!({"tolerance": 1e-4}); // an allowed difference is allowed here, too
    assert!(state(&manifest, near).is_ok());
    let other = |rows| Predictions::Classes { labels: vec![1; rows], probabilities: [0.25, 0.25, 0.5].repeat(rows) };
    assert!(state(&manifest, other).is_err());
}
