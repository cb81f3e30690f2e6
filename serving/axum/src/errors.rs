//! What a request can get wrong, and the status and body that each mistake is answered with.

use std::borrow::Cow;

use axum::http::header::{ALLOW, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, StatusCode};
use serde::Serialize;
use serde_json::json;

/// One step of a location: a field's name or a row's index.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Step {
    Name(Cow<'static, str>),
    Index(usize),
}

/// The first step of every location inside a body.
pub const BODY: Step = Step::Name(Cow::Borrowed("body"));

/// One entry of `detail`: where (`loc`, as in `["body", 3, "size"]`), what (`msg`), and a stable `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct Problem {
    pub loc: Vec<Step>,
    pub msg: String,
    #[serde(rename = "type")]
    pub kind: Cow<'static, str>,
}

impl Problem {
    /// A problem at a location.
    pub fn new(loc: Vec<Step>, msg: impl Into<String>, kind: impl Into<Cow<'static, str>>) -> Self {
        Self { loc, msg: msg.into(), kind: kind.into() }
    }
}

/// Why a request is not answered with predictions.
#[derive(Debug, PartialEq, Eq)]
pub enum RequestError {
    /// The data is not HTTP, or uses something that the service does not support. The connection is closed.
    BadHead(&'static str),
    /// The request line and header fields are too long, or too many. The connection is closed.
    HeadTooLarge {
        /// "bytes" or "fields".
        unit: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// A key is required, and no valid one was given.
    Unauthorized,
    /// The body is compressed, in this way.
    EncodedBody(String),
    /// The client took too long to send its request. The connection is closed.
    Timeout {
        /// How long it may take.
        seconds: u64,
    },
    /// The body is not JSON.
    MalformedBody(String),
    /// The body is JSON, but not what the request schema asks for.
    InvalidRows(Vec<Problem>),
    /// Not an inference request for this model; the message names the input and the place in it.
    InvalidInference(String),
    /// There is no model, version or path of this name.
    NotFound(String),
    /// The path accepts only these methods.
    MethodNotAllowed(&'static str),
    /// More bytes or rows than one request may have. The connection is closed: the rest of the body is not read.
    TooLarge {
        /// "bytes" or "rows".
        unit: &'static str,
        /// How many there may be.
        limit: usize,
    },
    /// This process has as many requests, connections or bytes of large bodies in hand as it accepts.
    Overloaded,
    /// Anything unforeseen. The cause is in the log and nowhere else.
    Internal,
}

impl RequestError {
    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::HeadTooLarge { .. } => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::EncodedBody(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Timeout { .. } => StatusCode::REQUEST_TIMEOUT,
            Self::BadHead(_) | Self::MalformedBody(_) | Self::InvalidInference(_) => StatusCode::BAD_REQUEST,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::InvalidRows(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The header that the answer has besides the usual ones.
    pub fn header(&self) -> Option<(HeaderName, &'static str)> {
        match self {
            Self::Unauthorized => Some((WWW_AUTHENTICATE, "Bearer")),
            Self::BadHead(_) | Self::HeadTooLarge { .. } | Self::Timeout { .. } | Self::TooLarge { .. } => {
                Some((CONNECTION, "close"))
            }
            Self::Overloaded => Some((RETRY_AFTER, "1")),
            Self::MethodNotAllowed(methods) => Some((ALLOW, methods)),
            _ => None,
        }
    }

    /// The response body: `{"detail": [...]}`.
    pub fn body(self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Body {
            detail: Vec<Problem>,
        }
        serde_json::to_vec(&Body { detail: self.problems() }).unwrap_or_default() // text can always be written
    }

    /// The response body in the form of the Open Inference Protocol: `{"error": "..."}`.
    pub fn protocol_body(self) -> Vec<u8> {
        json!({"error": self.message()}).to_string().into_bytes()
    }

    /// What is wrong, in words.
    pub fn message(self) -> String {
        self.problems().into_iter().next().map(|problem| problem.msg).unwrap_or_default()
    }

    fn problems(self) -> Vec<Problem> {
        let header = || Step::Name("header".into());
        match self {
            Self::BadHead(reason) => {
                vec![Problem::new(vec![], format!("not an HTTP request: {reason}"), "http_invalid")]
            }
            Self::HeadTooLarge { unit, limit } => {
                vec![Problem::new(
                    vec![header()],
                    format!("more than {limit} {unit}"),
                    format!("too_many_header_{unit}"),
                )]
            }
            Self::EncodedBody(encoding) => {
                let location = vec![header(), Step::Name("content-encoding".into())];
                let message = format!("content encoding '{encoding}' is not supported: send the body as it is");
                vec![Problem::new(location, message, "content_encoding_unsupported")]
            }
            Self::Unauthorized => {
                let location = vec![header(), Step::Name("authorization".into())];
                vec![Problem::new(location, "a valid API key is required", "unauthorized")]
            }
            Self::Timeout { seconds } => {
                let message = format!("the request took more than {seconds} seconds to arrive");
                vec![Problem::new(vec![], message, "request_timeout")]
            }
            Self::MalformedBody(reason) => {
                vec![Problem::new(vec![BODY], format!("malformed JSON: {reason}"), "json_invalid")]
            }
            Self::InvalidRows(problems) => problems,
            Self::TooLarge { unit, limit } => {
                vec![Problem::new(vec![BODY], format!("more than {limit} {unit}"), format!("too_many_{unit}"))]
            }
            Self::InvalidInference(message) | Self::NotFound(message) => {
                vec![Problem::new(vec![], message, "invalid_request")]
            }
            Self::MethodNotAllowed(_) => vec![Problem::new(vec![], "method not allowed", "invalid_request")],
            Self::Overloaded => vec![Problem::new(vec![], "over capacity, try again later", "overloaded")],
            Self::Internal => vec![Problem::new(vec![], "internal error", "internal_error")],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(error: RequestError) -> String {
        String::from_utf8(error.body()).unwrap()
    }

    #[test]
    fn each_error_has_its_status_header_and_body() {
        let too_large = RequestError::TooLarge { unit: "rows", limit: 7 };
        assert_eq!((too_large.status().as_u16(), too_large.header()), (413, Some((CONNECTION, "close"))));
        assert_eq!(text(too_large), r#"{"detail":[{"loc":["body"],"msg":"more than 7 rows","type":"too_many_rows"}]}"#);

        let overloaded = RequestError::Overloaded;
        assert_eq!((overloaded.status().as_u16(), overloaded.header()), (503, Some((RETRY_AFTER, "1"))));
        assert_eq!(
            text(overloaded),
            r#"{"detail":[{"loc":[],"msg":"over capacity, try again later","type":"overloaded"}]}"#
        );

        assert_eq!(RequestError::Internal.status().as_u16(), 500);
        assert_eq!(
            text(RequestError::Internal),
            r#"{"detail":[{"loc":[],"msg":"internal error","type":"internal_error"}]}"#
        );

        let malformed = RequestError::MalformedBody("why".to_owned());
        assert_eq!(malformed.status().as_u16(), 400);
        assert_eq!(
            text(malformed),
            r#"{"detail":[{"loc":["body"],"msg":"malformed JSON: why","type":"json_invalid"}]}"#
        );

        let problem = Problem::new(vec![BODY, Step::Index(3), Step::Name("a".into())], "field required", "missing");
        let invalid = RequestError::InvalidRows(vec![problem]);
        assert_eq!(invalid.status().as_u16(), 422);
        assert_eq!(text(invalid), r#"{"detail":[{"loc":["body",3,"a"],"msg":"field required","type":"missing"}]}"#);
    }
}
