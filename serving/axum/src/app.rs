//! The web application around a predictor.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::header::{
    ALLOW, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST, LOCATION, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::access::{ApiKeys, OPEN_PATHS};
use crate::buffers::Buffers;
use crate::endpoints::{self, Capacity, Endpoint};
use crate::errors::RequestError;
use crate::manifest::Manifest;
use crate::metrics::{self, Metrics, UnseenCount};
use crate::openapi;
use crate::predictor::{PredictionError, Predictor};
use crate::request_schema::RequestSchema;
use crate::response_schema::ResponseSchema;
use crate::settings::Settings;

/// What the service calls itself among the services of a bundle.
pub const BACKEND: &str = "axum";

const DOCS: &str = include_str!("../../docs.html");
const DOCS_HEADERS: [(HeaderName, &str); 3] = [
    // the page has its script in it, and may talk to this service and nobody else
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// What requests share.
pub struct AppState {
    pub(crate) predictor: Box<dyn Predictor>,
    pub(crate) requests: RequestSchema,
    pub(crate) responses: ResponseSchema,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) unseen: Vec<UnseenCount>,
    pub(crate) capacity: Capacity,
    pub(crate) buffers: Arc<Buffers>,
    pub(crate) max_body_bytes: usize,
    pub(crate) request_time: Duration,
    pub(crate) large_bodies: Arc<Semaphore>,
    keys: ApiKeys,
    ready: AtomicBool,
    documents: Documents,
}

/// Answers that don't change.
struct Documents {
    about: Bytes,
    metadata: Bytes,
    openapi: Option<Bytes>,
    ready: Bytes,
}

impl AppState {
    /// The state around a predictor; it is ready once the model has answered the manifest's example row. It counts in
    /// `metrics`, those of the process.
    pub fn new(
        predictor: Box<dyn Predictor>,
        manifest: &Manifest,
        settings: &Settings,
        metrics: &Arc<Metrics>,
    ) -> Result<Arc<Self>, PredictionError> {
        let mut state = Self {
            predictor,
            requests: RequestSchema::new(manifest, settings.max_batch_rows),
            responses: ResponseSchema::new(manifest),
            metrics: Arc::clone(metrics),
            unseen: Vec::new(),
            // per worker, as with workers that are processes; here they share it
            capacity: Capacity::new(settings.max_concurrency * settings.workers),
            buffers: Buffers::new(settings.max_buffered_bytes * settings.workers),
            max_body_bytes: settings.max_body_bytes,
            request_time: settings.request_time,
            large_bodies: Arc::new(Semaphore::new(settings.workers)),
            keys: settings.api_keys.clone(),
            ready: AtomicBool::new(false),
            documents: Documents::new(manifest, settings),
        };
        let example = openapi::example_row(manifest).to_string();
        let request = state.requests.decode_row(example.as_bytes()).map_err(|error| {
            let answer = String::from_utf8_lossy(&error.body()).into_owned();
            PredictionError(format!("the manifest's example row is refused: {answer}"))
        })?;
        state.predictor.predict(&request.batch)?;
        state.unseen = metrics.serve(manifest, BACKEND);
        state.set_ready(true);
        Ok(Arc::new(state))
    }

    /// Say whether the service takes requests.
    pub fn set_ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }
}

impl Documents {
    fn new(manifest: &Manifest, settings: &Settings) -> Self {
        let mut links =
            vec!["/predict", "/predict/batch", "/docs", "/openapi.json", "/metadata", "/health/ready", "/metrics"];
        links.retain(|link| settings.docs || !DOCS_PATHS.contains(link));
        let (name, version) = (&manifest.name, &manifest.version);
        let about = json!({
            "service": format!("{name} over HTTP"),
            "backend": BACKEND,
            "model": {"name": name, "version": version},
            "links": links,
        });
        let bytes = |document: Value| Bytes::from(document.to_string());
        Self {
            about: bytes(about),
            metadata: bytes(json!(manifest)),
            openapi: settings.docs.then(|| {
                let mut document = openapi::document(manifest, BACKEND, settings.max_batch_rows);
                if !settings.api_keys.is_empty() {
                    openapi::require_key(&mut document);
                }
                bytes(document)
            }),
            ready: bytes(json!({"status": "ready", "model": name, "version": version})),
        }
    }
}

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
        .route("/metrics", get(expose_metrics));
    if let Some(openapi) = state.documents.openapi.clone() {
        router = router
            .route("/openapi.json", get(|| async { ok(openapi) }))
            .route("/docs", get(|| async { (DOCS_HEADERS, Html(DOCS)) }));
    }
    router = router.method_not_allowed_fallback(method_not_allowed).fallback(not_found);
    if !state.keys.is_empty() {
        router = router.layer(middleware::from_fn_with_state(Arc::clone(&state), check_key));
    }
    router.with_state(state)
}

const DOCS_PATHS: [&str; 2] = ["/docs", "/openapi.json"];

/// Every path that has a route.
const PATHS: [&str; 10] = [
    "/predict",
    "/predict/batch",
    "/",
    "/metadata",
    "/openapi.json",
    "/docs",
    "/health",
    "/health/live",
    "/health/ready",
    "/metrics",
];

type Shared = State<Arc<AppState>>;

const ALIVE: Bytes = Bytes::from_static(br#"{"status":"alive"}"#);
const NOT_READY: Bytes = Bytes::from_static(br#"{"status":"not ready"}"#);
const NOT_FOUND: Bytes = Bytes::from_static(br#"{"detail":"Not Found"}"#);
const METHOD_NOT_ALLOWED: Bytes = Bytes::from_static(br#"{"detail":"Method Not Allowed"}"#);

/// Let a request pass that has a key, or needs none.
async fn check_key(State(state): Shared, request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) || state.keys.admit(request.headers()) {
        return next.run(request).await;
    }
    RequestError::Unauthorized.into_response()
}

fn ok(content: Bytes) -> Response {
    endpoints::json(StatusCode::OK, content)
}

async fn ready(State(state): Shared) -> Response {
    if state.ready.load(Ordering::Relaxed) {
        ok(state.documents.ready.clone())
    } else {
        endpoints::json(StatusCode::SERVICE_UNAVAILABLE, NOT_READY)
    }
}

async fn expose_metrics(State(state): Shared) -> Response {
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], state.metrics.expose()).into_response()
}

async fn method_not_allowed(uri: Uri) -> Response {
    let predicts = Endpoint::ALL.iter().any(|endpoint| endpoint.path() == uri.path());
    let mut response = endpoints::json(StatusCode::METHOD_NOT_ALLOWED, METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(if predicts { "POST" } else { "GET" }));
    response
}

/// A path with a slash too many is sent to the right one, as the Python services do.
async fn not_found(State(state): Shared, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_end_matches('/');
    let hidden = state.documents.openapi.is_none() && DOCS_PATHS.contains(&path);
    if path == uri.path() || hidden || !PATHS.contains(&path) {
        return endpoints::json(StatusCode::NOT_FOUND, NOT_FOUND);
    }
    let origin = headers.get(HOST).and_then(|host| host.to_str().ok()).map(|host| format!("http://{host}"));
    let query = uri.query().map(|query| format!("?{query}"));
    let location = format!("{}{path}{}", origin.unwrap_or_default(), query.unwrap_or_default());
    (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, location)]).into_response()
}
