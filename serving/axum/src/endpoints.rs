//! The hot path: from a request to its response.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::{Request, State};
use axum::http::header::{CONNECTION, CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::background::step_back;
use crate::buffers::{LongAnswer, Reservation};
use crate::capacity::InHand;
use crate::errors::RequestError;
use crate::inference_request::JSON_LENGTH;
use crate::request_id::RequestId;
use crate::routes::Endpoint;
use crate::shared_runs::Row;
use crate::state::AppState;
use crate::work::{Call, work, work_on_rows};

/// A larger body (some 200 rows, half a millisecond of work) is worked on in a thread of its own, so that it delays no
/// small request.
pub(crate) const THREAD_BYTES: usize = 64 << 10;

/// The longest body that is read although it isn't needed.
pub(crate) const SHORT_BODY_BYTES: usize = 64 << 10;

/// `POST /predict`.
pub async fn predict(State(state): State<Arc<AppState>>, request: Request) -> Response {
    answer(state, Endpoint::Predict, request).await
}

/// `POST /predict/batch`.
pub async fn predict_batch(State(state): State<Arc<AppState>>, request: Request) -> Response {
    answer(state, Endpoint::PredictBatch, request).await
}

/// The form of a route's errors.
type ErrorForm = fn(RequestError) -> Response;

/// Answer one request, whatever happens.
pub(crate) async fn answer(state: Arc<AppState>, endpoint: Endpoint, request: Request) -> Response {
    let started = Instant::now();
    let form = if endpoint == Endpoint::Infer { protocol_error } else { RequestError::into_response };
    let id = RequestId::of(request.headers());
    let trace = state.observers.traces.as_ref().and_then(|traces| traces.begin(endpoint, &id, request.headers()));
    let (status, mut response) = match admit(&state, request.headers()) {
        Err(error) => (error.status(), refuse(error, request.into_body(), state.request_time, form).await),
        Ok(in_hand) => {
            match try_answer(
                &state,
                in_hand,
                Call::new(endpoint, id.clone(), trace.clone(), request.headers()),
                request.into_body(),
            )
            .await
            {
                Ok(answer) => (StatusCode::OK, answer),
                Err(error) => (error.status(), form(error)),
            }
        }
    };
    id.echo(&mut response);
    if let Some(trace) = trace {
        trace.end(status.as_u16());
    }
    state.metrics.observe(endpoint, status.as_u16(), started.elapsed());
    response
}

/// Take a request in hand, unless its head is enough to refuse it.
fn admit(state: &AppState, headers: &HeaderMap) -> Result<InHand, RequestError> {
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    if let Some(encoding) = encodings.find(|encoding| !encoding.eq_ignore_ascii_case(b"identity")) {
        return Err(RequestError::EncodedBody(String::from_utf8_lossy(encoding).into_owned()));
    }
    state.capacity.take().ok_or(RequestError::Overloaded)
}

/// Refuse a request without looking at its body.
pub(crate) async fn refuse(error: RequestError, mut body: Body, time: Duration, form: ErrorForm) -> Response {
    let is_read = discard(&mut body, time).await;
    let mut response = form(error);
    if !is_read {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Read a body that isn't needed, so that the connection can go on after it. Returns whether it was read; a long one
/// isn't.
pub(crate) async fn discard(body: &mut Body, time: Duration) -> bool {
    let mut left = SHORT_BODY_BYTES as u64;
    if body.size_hint().lower() > left {
        return false;
    }
    let reading = async {
        while let Some(frame) = body.frame().await {
            let size = frame.ok()?.data_ref().map_or(0, Bytes::len) as u64;
            left = left.checked_sub(size)?;
        }
        Some(())
    };
    matches!(timeout(time, reading).await, Ok(Some(())))
}

async fn try_answer(state: &Arc<AppState>, in_hand: InHand, call: Call, body: Body) -> Result<Response, RequestError> {
    let mut reservation = state.buffers.reserve();
    let reading = read_body(body, state.max_body_bytes, &mut reservation);
    let body = timeout(state.request_time, reading)
        .await
        .unwrap_or_else(|_| Err(RequestError::Timeout { seconds: state.request_time.as_secs() }))?;
    if body.len() <= THREAD_BYTES {
        if let (Endpoint::Predict, None, Some(runs)) = (call.endpoint, &call.trace, &state.shared_runs) {
            drop(in_hand); // what is left to do is done in this turn: a crowd that is there at once is answered, not refused
            let content = runs.answer(Row { id: call.id, body }, |rows| work_on_rows(state, rows)).await?;
            return Ok(respond(Body::from(content), None));
        }
        return work(state, &call, &body, |_| true)
            .map(|(content, json_length)| respond(Body::from(content), json_length));
    }
    // the closure owns what it needs: it runs on if the client goes
    let shared = Arc::clone(state);
    let work = move || {
        let (content, json_length) = work(&shared, &call, &body, |length| reservation.resize(length))?;
        Ok((content, json_length, reservation, in_hand))
    };
    let (content, json_length, reservation, in_hand) = in_thread(state, work).await?;
    Ok(respond(LongAnswer::body(content.into(), (reservation, in_hand)), json_length))
}

/// Work in a thread of its own, in as many at a time as there are workers.
pub(crate) async fn in_thread<T: Send + 'static>(
    state: &AppState,
    work: impl FnOnce() -> Result<T, RequestError> + Send + 'static,
) -> Result<T, RequestError> {
    let turn = Arc::clone(&state.large_bodies).acquire_owned().await;
    let work = move || {
        let _turn = turn;
        step_back();
        work()
    };
    spawn_blocking(work).await.unwrap_or(Err(RequestError::Internal))
}

/// The whole request body; one that is large is held in the reservation.
async fn read_body(mut body: Body, limit: usize, reservation: &mut Reservation) -> Result<Bytes, RequestError> {
    let mut first = Bytes::new();
    let mut rest: Vec<u8> = Vec::new();
    let mut size = 0;
    let mut fits = true;
    while let Some(frame) = body.frame().await {
        // the client has gone, or its chunks make no sense
        let frame = frame.map_err(|error| RequestError::MalformedBody(format!("the body ended early: {error}")))?;
        let Ok(part) = frame.into_data() else { continue };
        size += part.len();
        if size > limit {
            return Err(RequestError::TooLarge { unit: "bytes", limit });
        }
        fits = fits && (size <= THREAD_BYTES || reservation.resize(size));
        if !fits {
            // read to its end anyway, and thrown away: a client that is still sending would miss the answer
            (first, rest) = (Bytes::new(), Vec::new());
            reservation.release();
            continue;
        }
        if first.is_empty() && rest.is_empty() {
            first = part; // most bodies come in one part, which needs no copy
        } else {
            // `extend` would copy byte by byte, which takes about 4 ms for 10,000 rows
            rest.extend_from_slice(&std::mem::take(&mut first));
            rest.extend_from_slice(&part);
        }
    }
    match (fits, rest.is_empty()) {
        (false, _) => Err(RequestError::Overloaded),
        (true, true) => Ok(first),
        (true, false) => Ok(rest.into()),
    }
}

/// The answer to a request; with binary data behind its JSON, whose length is given then.
fn respond(content: Body, json_length: Option<usize>) -> Response {
    let mut response = json(StatusCode::OK, content);
    if let Some(length) = json_length {
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/octet-stream"));
        headers.insert(JSON_LENGTH, length.into());
    }
    response
}

/// An error in the form of the Open Inference Protocol.
pub(crate) fn protocol_error(error: RequestError) -> Response {
    let (status, header) = (error.status(), error.header());
    error_response(status, header, error.protocol_body())
}

fn error_response(status: StatusCode, header: Option<(HeaderName, &'static str)>, content: Vec<u8>) -> Response {
    let mut response = json(status, content);
    if let Some((name, value)) = header {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A JSON response.
pub(crate) fn json(status: StatusCode, content: impl Into<Body>) -> Response {
    let mut response = Response::new(content.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        let (status, header) = (self.status(), self.header());
        error_response(status, header, self.body())
    }
}
