//! Errors in gRPC's form: a code, and the same text as over HTTP.

use axum::http::StatusCode;
use tonic::{Code, Status};

use crate::errors::RequestError;

impl From<RequestError> for Status {
    fn from(error: RequestError) -> Self {
        Self::new(code(&error), error.message())
    }
}

fn code(error: &RequestError) -> Code {
    match error {
        RequestError::Unauthorized => Code::Unauthenticated,
        RequestError::EncodedBody(_) | RequestError::MethodNotAllowed(_) => Code::Unimplemented,
        RequestError::Timeout { .. } => Code::DeadlineExceeded,
        RequestError::BadHead(_)
        | RequestError::HeadTooLarge { .. }
        | RequestError::MalformedBody(_)
        | RequestError::InvalidRows(_)
        | RequestError::InvalidInference(_) => Code::InvalidArgument,
        RequestError::NotFound(_) => Code::NotFound,
        RequestError::TooLarge { .. } => Code::ResourceExhausted,
        RequestError::Overloaded => Code::Unavailable,
        RequestError::Internal => Code::Internal,
    }
}

/// The status under which the metrics count an answer: the one that it would have over HTTP.
pub fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::DeadlineExceeded => StatusCode::REQUEST_TIMEOUT,
        Code::ResourceExhausted => StatusCode::PAYLOAD_TOO_LARGE,
        Code::Unimplemented => StatusCode::UNSUPPORTED_MEDIA_TYPE,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        _ => StatusCode::BAD_REQUEST,
    }
}
