//! The paths under `/v2`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::Response;
use percent_encoding::percent_decode_str;

use crate::endpoints::{self, json, protocol_error};
use crate::errors::RequestError;
use crate::inference::Target;
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::state::AppState;

const LIVE: Bytes = Bytes::from_static(br#"{"live":true}"#);
const READY: Bytes = Bytes::from_static(br#"{"ready":true}"#);
const NOT_READY: Bytes = Bytes::from_static(br#"{"ready":false}"#);

/// Answer one request under `/v2`, in the protocol's form whatever it is.
pub async fn answer(State(state): State<Arc<AppState>>, request: Request) -> Response {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let target = state.inference.target(&path);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let error = match target {
        Some(Target::Infer) if request.method() == Method::POST => {
            return endpoints::answer(state, Endpoint::Infer, request).await;
        }
        Some(Target::Infer) => RequestError::MethodNotAllowed("POST"),
        Some(_) if !reads => RequestError::MethodNotAllowed("GET, HEAD"),
        Some(Target::Server) => return json(StatusCode::OK, state.inference.server.clone()),
        Some(Target::Model) => return json(StatusCode::OK, state.inference.model.clone()),
        Some(Target::Live) => return json(StatusCode::OK, LIVE),
        Some(Target::Ready) if state.is_ready() => return json(StatusCode::OK, READY),
        Some(Target::Ready) => return json(StatusCode::SERVICE_UNAVAILABLE, NOT_READY),
        None => RequestError::NotFound(state.inference.not_found()),
    };
    let id = RequestId::of_path(&path, request.headers());
    drop(path);
    let mut response = endpoints::refuse(error, request.into_body(), state.request_time, protocol_error).await;
    if let Some(id) = id {
        id.echo(&mut response);
    }
    response
}
