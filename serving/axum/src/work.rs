//! What is done with the body of a request, in any thread: decode, predict, encode.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use axum::http::{HeaderMap, HeaderValue};
use tracing::error;

use crate::errors::RequestError;
use crate::inference_outputs::Output;
use crate::inference_request::{Content, InferRequest, JSON_LENGTH};
use crate::predictor::{Batch, Predictions};
use crate::request_id::RequestId;
use crate::request_schema::DecodedRequest;
use crate::routes::Endpoint;
use crate::shared_runs::{Answer, Row};
use crate::state::AppState;
use crate::traces::Trace;

/// What the work on a request's body needs of its head.
pub(crate) struct Call {
    pub(crate) endpoint: Endpoint,
    pub(crate) id: RequestId,
    pub(crate) trace: Option<Trace>,
    json_length: Option<HeaderValue>,
}

impl Call {
    pub(crate) fn new(endpoint: Endpoint, id: RequestId, trace: Option<Trace>, headers: &HeaderMap) -> Self {
        let json_length = (endpoint == Endpoint::Infer).then(|| headers.get(JSON_LENGTH).cloned()).flatten();
        Self { endpoint, id, trace, json_length }
    }

    fn untraced(endpoint: Endpoint, id: RequestId) -> Self {
        Self { endpoint, id, trace: None, json_length: None }
    }

    /// Do a step of the work, which a trace shows as a span.
    fn step<R>(&self, name: &'static str, work: impl FnOnce() -> R) -> R {
        match &self.trace {
            Some(trace) => trace.step(name, work),
            None => work(),
        }
    }
}

/// Decode, predict, encode. The answer counts if it `fits`, given its length. A failure inside goes to the log, and so
/// does a panic.
pub(crate) fn work(
    state: &AppState,
    call: &Call,
    body: &[u8],
    fits: impl FnOnce(usize) -> bool,
) -> Result<Content, RequestError> {
    let work = || {
        let (request, form) = call.step("decode", || decode(state, call, body))?;
        let predictions = call.step("predict", || predict_batch_of(state, call.endpoint, &call.id, &request))?;
        if let Some(trace) = &call.trace {
            trace.rows(request.batch.rows);
        }
        let content = call.step("encode", || encode(state, &form, &predictions));
        if !fits(content.0.len()) {
            return Err(RequestError::Overloaded);
        }
        if let Some(record) = &state.observers.record {
            record.offer(&call.id, call.endpoint.path(), &request.batch, &predictions);
        }
        Ok(content)
    };
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        error!("{} failed, request {}: {}", call.endpoint.path(), call.id, message_of(&*panic));
        Err(RequestError::Internal)
    })
}

/// The same for the bodies of several `POST /predict`, by one run of the model. If that fails, each row gets a run of
/// its own, and a fault in one affects no other.
pub(crate) fn work_on_rows(state: &AppState, rows: &[Row]) -> Vec<Answer> {
    if rows.len() > 1
        && let Ok(Some(answers)) = catch_unwind(AssertUnwindSafe(|| work_together(state, rows)))
    {
        return answers;
    }
    let alone = |row: &Row| work(state, &Call::untraced(Endpoint::Predict, row.id.clone()), &row.body, |_| true);
    rows.iter().map(|row| alone(row).map(|(content, _)| content)).collect()
}

/// None if the model fails.
fn work_together(state: &AppState, rows: &[Row]) -> Option<Vec<Answer>> {
    let decoded: Vec<_> = rows.iter().map(|row| decode_row(state, &row.body)).collect();
    let mut together = Batch::default();
    for request in decoded.iter().flatten() {
        together.rows += 1;
        together.categorical.extend_from_slice(&request.batch.categorical);
        together.numeric.extend_from_slice(&request.batch.numeric);
    }
    let predictions = state.predictor.predict(&together).ok()?;
    let encoded = |row| {
        let prediction = predictions.row(row);
        let content = state.responses.encode_row(&prediction);
        (prediction, content)
    };
    // all of them before the first counts: the model may have answered what can't be encoded
    let mut encoded = (0..together.rows).map(encoded).collect::<Vec<_>>().into_iter();
    let mut answer = |row: &Row, request: Result<DecodedRequest<'_>, RequestError>| {
        let request = request?;
        let (prediction, content) = encoded.next().ok_or(RequestError::Internal)?;
        count(state, Endpoint::Predict, &request);
        if let Some(record) = &state.observers.record {
            record.offer(&row.id, Endpoint::Predict.path(), &request.batch, &prediction);
        }
        Ok(content)
    };
    Some(rows.iter().zip(decoded).map(|(row, request)| answer(row, request)).collect())
}

/// How the predictions are to be answered.
enum Form<'r> {
    Row,
    Rows,
    Tensors(Box<InferRequest<'r>>, Vec<(&'r Output, bool)>),
}

fn decode<'r>(
    state: &'r AppState,
    call: &Call,
    body: &'r [u8],
) -> Result<(DecodedRequest<'r>, Form<'r>), RequestError> {
    match call.endpoint {
        Endpoint::Predict => Ok((decode_row(state, body)?, Form::Row)),
        Endpoint::PredictBatch => {
            let decoded = state.requests.decode_rows(body).map_err(|error| name_byte_order_mark(error, body))?;
            Ok((decoded, Form::Rows))
        }
        Endpoint::Infer => {
            let request = InferRequest::read(body, call.json_length.as_ref(), state.inference.tensors())?;
            let outputs = state.inference.outputs.select(&request)?;
            let decoded = state.inference.inputs.decode(&state.requests, &request)?;
            Ok((decoded, Form::Tensors(Box::new(request), outputs)))
        }
    }
}

fn decode_row<'r>(state: &'r AppState, body: &[u8]) -> Result<DecodedRequest<'r>, RequestError> {
    state.requests.decode_row(body).map_err(|error| name_byte_order_mark(error, body))
}

fn encode(state: &AppState, form: &Form<'_>, predictions: &Predictions) -> Content {
    match form {
        Form::Row => (state.responses.encode_row(predictions), None),
        Form::Rows => (state.responses.encode_rows(predictions), None),
        Form::Tensors(request, outputs) => state.inference.outputs.encode(request, outputs, predictions),
    }
}

/// The model's answers, counted.
pub(crate) fn predict_batch_of(
    state: &AppState,
    endpoint: Endpoint,
    id: &RequestId,
    request: &DecodedRequest<'_>,
) -> Result<Predictions, RequestError> {
    let predictions = state.predictor.predict(&request.batch).map_err(|error| {
        error!("{} failed, request {id}: {error}", endpoint.path());
        RequestError::Internal
    })?;
    count(state, endpoint, request);
    Ok(predictions)
}

fn count(state: &AppState, endpoint: Endpoint, request: &DecodedRequest<'_>) {
    state.metrics.predicted(endpoint, request.batch.rows);
    for index in &request.unseen {
        state.unseen[*index].inc();
    }
}

/// The message of a panic.
fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic")
}

/// What is usually wrong with JSON that is malformed from its first byte.
fn name_byte_order_mark(error: RequestError, body: &[u8]) -> RequestError {
    let marks: [&[u8]; 3] = [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"];
    match error {
        RequestError::MalformedBody(_) if marks.iter().any(|mark| body.starts_with(mark)) => {
            RequestError::MalformedBody("the body starts with a byte order mark".to_owned())
        }
        error => error,
    }
}
