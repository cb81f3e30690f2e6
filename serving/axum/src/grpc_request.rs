//! An encoded `ModelInferRequest`, read without using more memory than a request for the model can need: in the usual
//! decoding, two bytes of it could become an empty tensor of a hundred.

use std::borrow::Cow;

use crate::errors::RequestError;
use crate::grpc_contents::Contents;
use crate::inference_object::{MAX_DIMENSIONS, Parameters, RequestOutput, Scalar};
use crate::inference_request::{Data, InferRequest, Input, invalid, invalid_input, quoted, refuse_unsupported};
use crate::protobuf::{Fields, Malformed, Value, varints};

/// An inference request over gRPC.
pub(crate) struct GrpcRequest<'a> {
    pub(crate) model: &'a str,
    /// Empty if any will do.
    pub(crate) version: &'a str,
    pub(crate) request: InferRequest<'a>,
    /// Whether the data is in `raw_input_contents`, so that the answer's data belongs in `raw_output_contents`.
    pub(crate) is_raw: bool,
}

impl From<Malformed> for RequestError {
    fn from(_: Malformed) -> Self {
        invalid("not an inference request: the message is malformed")
    }
}

impl<'a> GrpcRequest<'a> {
    /// The request that a message holds, for a model with this many input and output tensors.
    pub(crate) fn read(message: &'a [u8], tensors: (usize, usize)) -> Result<Self, RequestError> {
        let (mut model, mut version, mut id, mut parameters) = ("", "", "", None);
        let (mut inputs, mut outputs, mut raw) = (Vec::new(), Vec::new(), Vec::new());
        let (most_inputs, most_outputs) = (2 * tensors.0, 2 * tensors.1);
        for field in Fields(message) {
            match field? {
                (1, value) => model = value.text()?,
                (2, value) => version = value.text()?,
                (3, value) => id = value.text()?,
                (4, value) => read_parameter(value, parameters.get_or_insert_default())?,
                (5, value) => push(&mut inputs, "inputs", most_inputs, read_input(value.bytes()?)?)?,
                (6, value) => push(&mut outputs, "outputs", most_outputs, read_output(value.bytes()?)?)?,
                (7, value) => push(&mut raw, "raw_input_contents", most_inputs, value.bytes()?)?,
                _ => {}
            }
        }
        let is_raw = !raw.is_empty();
        if is_raw {
            take_raw(&mut inputs, &raw)?;
        }
        let id = (!id.is_empty()).then_some(Cow::Borrowed(id));
        Ok(Self { model, version, request: InferRequest { id, parameters, outputs, inputs }, is_raw })
    }
}

fn push<T>(elements: &mut Vec<T>, name: &str, most: usize, element: T) -> Result<(), RequestError> {
    if elements.len() == most {
        return Err(invalid(format!("not an inference request: more than {most} {name}")));
    }
    elements.push(element);
    Ok(())
}

fn read_input(message: &[u8]) -> Result<Input<'_>, RequestError> {
    let (mut name, mut datatype, mut contents, mut parameters) = ("", "", None, None);
    let mut shape: Vec<i64> = Vec::new();
    for field in Fields(message) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => datatype = value.text()?,
            (3, value) => {
                for size in varints(value) {
                    push(&mut shape, "dimensions of a tensor", MAX_DIMENSIONS, size?.cast_signed())?;
                }
            }
            (4, value) => read_parameter(value, parameters.get_or_insert_default())?,
            (5, value) if contents.is_none() => contents = Some(value.bytes()?),
            (5, _) => return Err(invalid_input(name, &[], "contents is given twice")),
            _ => {}
        }
    }
    let sizes = shape.iter().map(|size| usize::try_from(*size)).collect::<Result<_, _>>();
    let shape = sizes.map_err(|_| invalid_input(name, &[], &format!("shape {shape:?} has a negative size")))?;
    refuse_unsupported(&format!("input {}", quoted(name)), parameters.as_ref())?;
    let data = Data::Typed(Contents(contents.unwrap_or_default()));
    Ok(Input { name: name.into(), shape, datatype: datatype.into(), data })
}

fn read_output(message: &[u8]) -> Result<RequestOutput<'_>, RequestError> {
    let (mut name, mut parameters) = ("", None);
    for field in Fields(message) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => read_parameter(value, parameters.get_or_insert_default())?,
            _ => {}
        }
    }
    Ok(RequestOutput { name: name.into(), parameters })
}

/// Keep an entry of a map of parameters, if it means something here.
fn read_parameter(entry: Value<'_>, parameters: &mut Parameters) -> Result<(), RequestError> {
    let (mut name, mut parameter) = ("", &[][..]);
    for field in Fields(entry.bytes()?) {
        match field? {
            (1, value) => name = value.text()?,
            (2, value) => parameter = value.bytes()?,
            _ => {}
        }
    }
    if let Some(known) = parameters.by_name(name) {
        *known = read_scalar(parameter)?;
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss)] // as in JSON
fn read_scalar(parameter: &[u8]) -> Result<Option<Scalar>, Malformed> {
    Fields(parameter).try_fold(None, |earlier, field| {
        Ok(Some(match field? {
            (1, value) => Scalar::Bool(value.varint()? != 0),
            (2, value) => Scalar::Number(value.varint()?.cast_signed() as f64),
            (3, value) => Scalar::Text(value.text()?.to_owned()),
            (4, Value::Fixed64(bytes)) => Scalar::Number(f64::from_le_bytes(bytes)),
            (5, value) => Scalar::Number(value.varint()? as f64),
            _ => return Ok(earlier),
        }))
    })
}

/// Give the inputs the data that is separate from them, in their order.
fn take_raw<'a>(inputs: &mut [Input<'a>], raw: &[&'a [u8]]) -> Result<(), RequestError> {
    if inputs.len() != raw.len() {
        let (inputs, raw) = (inputs.len(), raw.len());
        return Err(invalid(format!("raw_input_contents has {raw} elements for {inputs} inputs")));
    }
    for (input, bytes) in inputs.iter_mut().zip(raw) {
        if !matches!(input.data, Data::Typed(Contents([]))) {
            return Err(invalid_input(&input.name, &[], "either contents or raw_input_contents may have the data"));
        }
        input.data = Data::Binary(bytes);
    }
    Ok(())
}
