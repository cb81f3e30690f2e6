//! The web application around a predictor.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

use crate::docs_page;
use crate::endpoints;
use crate::errors::RequestError;
use crate::inference_endpoint;
use crate::metrics;
use crate::request_id::RequestId;
use crate::routes::{Endpoint, OPEN_PATHS, is_protocol_path};
use crate::state::AppState;

/// The application's routes.
pub fn app(state: Arc<AppState>) -> Router {
    let mut router = Router::new()
        .route(Endpoint::Predict.path(), post(endpoints::predict))
        .route(Endpoint::PredictBatch.path(), post(endpoints::predict_batch))
        .route("/", get(|State(state): Shared| async move { ok(state.documents.about.clone()) }))
        .route("/metadata", get(|State(state): Shared| async move { ok(state.documents.metadata.clone()) }))
        .route("/health", get(|| async { ok(ALIVE) }))
        .route("/health/live", get(|| async { ok(ALIVE) }))
        .route("/health/ready", get(ready))
        .route("/metrics", get(expose_metrics))
        .route("/v2", any(inference_endpoint::answer))
        .route("/v2/", any(inference_endpoint::answer))
        .route("/v2/{*path}", any(inference_endpoint::answer));
    if let Some(openapi) = state.documents.openapi.clone() {
        router = docs_page::add_to(router.route("/openapi.json", get(|| async { ok(openapi) })));
    }
    router = router.method_not_allowed_fallback(method_not_allowed).fallback(not_found);
    if !state.keys.is_empty() {
        router = router.layer(middleware::from_fn_with_state(Arc::clone(&state), check_key));
    }
    router.with_state(state)
}

type Shared = State<Arc<AppState>>;

const ALIVE: Bytes = Bytes::from_static(br#"{"status":"alive"}"#);
const NOT_READY: Bytes = Bytes::from_static(br#"{"status":"not ready"}"#);
const NOT_FOUND: Bytes = Bytes::from_static(br#"{"detail":"Not Found"}"#);
const METHOD_NOT_ALLOWED: Bytes = Bytes::from_static(br#"{"detail":"Method Not Allowed"}"#);

/// Let a request pass that has a key, or needs none.
async fn check_key(State(state): Shared, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if OPEN_PATHS.contains(&path) || docs_page::has(path) || state.keys.admit(request.headers()) {
        return next.run(request).await;
    }
    let form = if is_protocol_path(path) { endpoints::protocol_error } else { RequestError::into_response };
    let id = RequestId::of_path(path, request.headers());
    let body = request.into_body();
    let mut response = endpoints::refuse(RequestError::Unauthorized, body, state.request_time, form).await;
    if let Some(id) = id {
        id.echo(&mut response);
    }
    response
}

fn ok(content: Bytes) -> Response {
    endpoints::json(StatusCode::OK, content)
}

async fn ready(State(state): Shared) -> Response {
    if state.is_ready() {
        ok(state.documents.ready.clone())
    } else {
        endpoints::json(StatusCode::SERVICE_UNAVAILABLE, NOT_READY)
    }
}

async fn expose_metrics(State(state): Shared) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], state.metrics.expose()).into_response()
}

async fn method_not_allowed(uri: Uri, headers: HeaderMap) -> Response {
    let id = RequestId::of_path(uri.path(), &headers);
    let mut response = endpoints::json(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(if id.is_some() { "POST" } else { "GET, HEAD" }));
    if let Some(id) = id {
        id.echo(&mut response);
    }
    response
}

async fn not_found() -> Response {
    endpoints::json(StatusCode::NOT_FOUND, NOT_FOUND)
}
