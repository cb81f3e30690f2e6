//! The `OpenAPI` document, made from the manifest.

use serde_json::{Map, Value, json};

use crate::manifest::Manifest;
use crate::routes::OPEN_PATHS;
use crate::schemas::{example_row, reference, schemas};

const ERRORS: [(&str, &str); 6] = [
    ("400", "The body is not JSON."),
    ("408", "The request took too long to arrive."),
    ("413", "The body or the batch is too large."),
    ("422", "A field is missing, unknown, null without being nullable, of the wrong type, or out of range."),
    ("500", "Something failed inside; the log has the cause."),
    ("503", "The service is over capacity; try again after `Retry-After` seconds."),
];

/// The routes without a request body: path, tag, summary.
const INFORMATION: [(&str, &str, &str); 6] = [
    ("/", "about", "What this service is"),
    ("/metadata", "about", "The public part of the model's manifest"),
    ("/health/live", "health", "200 while the process runs"),
    ("/health", "health", "200 while the process runs"),
    ("/health/ready", "health", "200 when the model answers"),
    ("/metrics", "about", "Prometheus metrics"),
];

/// The whole document.
pub fn document(manifest: &Manifest, backend: &str, max_rows: usize) -> Value {
    let mut paths: Map<String, Value> = INFORMATION
        .iter()
        .map(|(path, tag, summary)| {
            let mut responses = json!({"200": {"description": "Successful Response"}});
            if *path == "/health/ready" {
                responses["503"] = json!({"description": "The model is not loaded, or the service is shutting down."});
            }
            ((*path).to_owned(), json!({"get": {"tags": [tag], "summary": summary, "responses": responses}}))
        })
        .collect();
    let example = example_row(manifest);
    let rows = json!({"type": "array", "items": reference("Row"), "minItems": 1, "maxItems": max_rows});
    let predict = operation("predict", "Predict one row", &reference("Row"), &example, "Prediction");
    let examples = json!([example]);
    let predict_batch = operation("predict_batch", "Predict an array of rows", &rows, &examples, "BatchPrediction");
    paths.insert("/predict".to_owned(), json!({"post": predict}));
    paths.insert("/predict/batch".to_owned(), json!({"post": predict_batch}));
    json!({
        "openapi": "3.1.0",
        "info": {"title": format!("{} ({backend})", manifest.name), "version": manifest.version},
        "paths": paths,
        "components": {"schemas": schemas(manifest)},
    })
}

/// Declare that the document's routes, except those for health, require an API key.
pub fn require_key(document: &mut Value) {
    document["components"]["securitySchemes"] = json!({"key": {"type": "http", "scheme": "bearer"}});
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    for (_, operations) in paths.filter(|(path, _)| !OPEN_PATHS.contains(&path.as_str())) {
        for (_, operation) in operations.as_object_mut().into_iter().flatten() {
            operation["security"] = json!([{"key": []}]);
            operation["responses"]["401"] = response("The request has no valid API key.", "Problems");
        }
    }
}

fn operation(name: &str, summary: &str, body: &Value, example: &Value, answer: &str) -> Value {
    let mut responses = Map::new();
    responses.insert("200".to_owned(), response("The prediction.", answer));
    responses.extend(ERRORS.iter().map(|(status, text)| ((*status).to_owned(), response(text, "Problems"))));
    json!({
        "operationId": name,
        "summary": summary,
        "tags": ["predict"],
        "requestBody": {
            "required": true,
            "content": {"application/json": {"schema": body, "example": example}},
        },
        "responses": responses,
    })
}

fn response(text: &str, schema: &str) -> Value {
    json!({"description": text, "content": {"application/json": {"schema": reference(schema)}}})
}
