//! The JSON object of an inference request, and the binary data behind it.

use std::borrow::Cow;

use axum::http::HeaderValue;
use serde::de::DeserializeSeed;
use serde_json::Value;

use crate::errors::RequestError;
use crate::grpc_contents::Contents;
use crate::inference_object::{Object, Parameters, RequestInput, RequestOutput, Scalar};
use crate::request_schema::{malformed, without_position};

/// The header with the length of the JSON object, where binary data follows it.
pub const JSON_LENGTH: &str = "inference-header-content-length";

/// A response's body; the length of the JSON object in it where binary data follows.
pub type Content = (Vec<u8>, Option<usize>);

const BINARY_SIZE: &str = "binary_data_size";

/// An inference request: its JSON object, and its inputs with their data.
pub struct InferRequest<'a> {
    pub(crate) id: Option<Cow<'a, str>>,
    pub(crate) parameters: Option<Parameters>,
    pub(crate) outputs: Vec<RequestOutput<'a>>,
    pub(crate) inputs: Vec<Input<'a>>,
}

/// An input tensor.
pub(crate) struct Input<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) shape: Vec<usize>,
    pub(crate) datatype: Cow<'a, str>,
    pub(crate) data: Data<'a>,
}

/// The values of a tensor, as they came.
pub(crate) enum Data<'a> {
    Json(&'a str),
    Binary(&'a [u8]),
    Typed(Contents<'a>),
}

impl<'a> InferRequest<'a> {
    /// The request that a body holds, for a model with this many input and output tensors; `json_length` is the header
    /// that tells how long the JSON object is.
    pub fn read(
        body: &'a [u8],
        json_length: Option<&HeaderValue>,
        tensors: (usize, usize),
    ) -> Result<Self, RequestError> {
        let end = json_length.map_or(Ok(body.len()), |length| read_length(length, body.len()))?;
        let (object, binary) = body.split_at(end);
        let mut json = serde_json::Deserializer::from_slice(object);
        let read = Object { inputs: 2 * tensors.0, outputs: 2 * tensors.1 }.deserialize(&mut json);
        let read = read.and_then(|read| json.end().map(|()| read));
        let (described, id, parameters, outputs) = read.map_err(|error| {
            if error.is_data() {
                invalid(format!("not an inference request: {}", without_position(&error)))
            } else {
                malformed(&error)
            }
        })?;
        Ok(Self { id, parameters, outputs, inputs: take_data(described, binary)? })
    }
}

fn read_length(header: &HeaderValue, most: usize) -> Result<usize, RequestError> {
    let text = String::from_utf8_lossy(header.as_bytes());
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let length = text.parse().ok().filter(|length| digits && *length <= most);
    length.ok_or_else(|| invalid(format!("Inference-Header-Content-Length: {text}: the body has {most} bytes")))
}

/// The inputs with their data: binary data follows the JSON object, in their order.
fn take_data<'a>(described: Vec<RequestInput<'a>>, mut binary: &'a [u8]) -> Result<Vec<Input<'a>>, RequestError> {
    let mut inputs = Vec::with_capacity(described.len());
    for RequestInput { name, shape, datatype, parameters, data } in described {
        refuse_unsupported(&format!("input {}", quoted(&name)), parameters.as_ref())?;
        let size = parameters.and_then(|parameters| parameters.binary_data_size);
        let data = match (size, data) {
            (None, Some(data)) => Data::Json(data.get()),
            (Some(size), None) => {
                let left = binary.len();
                let size = size.as_usize().filter(|size| *size <= left);
                let needed = format!("{BINARY_SIZE}: a number of bytes is needed, of which the body has {left} left");
                let (data, rest) = binary.split_at(size.ok_or_else(|| invalid_input(&name, &[], &needed))?);
                binary = rest;
                Data::Binary(data)
            }
            _ => {
                let needed = format!("either data or the parameter {BINARY_SIZE} is needed");
                return Err(invalid_input(&name, &[], &needed));
            }
        };
        inputs.push(Input { name, shape, datatype, data });
    }
    match binary.len() {
        0 => Ok(inputs),
        left => Err(invalid(format!("{left} bytes of binary data belong to no input"))),
    }
}

/// Refuse a parameter that asks for an extension which would change what the tensor's data is.
pub(crate) fn refuse_unsupported(place: &str, parameters: Option<&Parameters>) -> Result<(), RequestError> {
    let Some(parameters) = parameters else { return Ok(()) };
    let unsupported: [(&str, &Option<Scalar>); 2] =
        [("classification", &parameters.classification), ("shared_memory_region", &parameters.shared_memory_region)];
    match unsupported.into_iter().find(|(_, value)| value.is_some()) {
        Some((name, _)) => Err(invalid(format!("{place}: the parameter {name} is not supported"))),
        None => Ok(()),
    }
}

/// The error of a request that is not an inference request for this model.
pub(crate) fn invalid(message: impl Into<String>) -> RequestError {
    RequestError::InvalidInference(message.into())
}

/// The error of an input tensor, or of the value at a position in it: its row, and its column where there are several.
pub(crate) fn invalid_input(name: &str, position: &[usize], message: &str) -> RequestError {
    let place: Vec<String> =
        ["row", "column"].iter().zip(position).map(|(axis, index)| format!(", {axis} {index}")).collect();
    invalid(format!("input {}{}: {message}", quoted(name), place.concat()))
}

/// A name as a JSON string, which shows where it begins and ends whatever is in it.
pub(crate) fn quoted(name: &str) -> String {
    Value::from(name).to_string()
}
