//! From predictions to a `ModelInferResponse`.

use crate::errors::RequestError;
use crate::grpc_messages::model_infer_response::InferOutputTensor;
use crate::grpc_messages::{InferTensorContents, ModelInferResponse};
use crate::grpc_request::GrpcRequest;
use crate::inference::Inference;
use crate::inference_datatypes::{BOOL, BYTES};
use crate::inference_outputs::{Output, Values, class, parts};
use crate::predictor::Predictions;

/// How many bytes the length of an element of BYTES takes.
const LENGTH_BYTES: usize = 4;

/// Refuse a request for another model, or for another version.
pub(crate) fn check_model(inference: &Inference, model: &str, version: &str) -> Result<(), RequestError> {
    let is_here = model == inference.name && (version.is_empty() || version == inference.version);
    if is_here { Ok(()) } else { Err(RequestError::NotFound(inference.not_found())) }
}

/// The response to a request.
pub(crate) fn respond(
    inference: &Inference,
    asked: &GrpcRequest<'_>,
    selected: &[(&Output, bool)],
    predictions: &Predictions,
) -> ModelInferResponse {
    let mut response = ModelInferResponse {
        model_name: inference.name.clone(),
        model_version: inference.version.clone(),
        id: asked.request.id.as_deref().unwrap_or_default().to_owned(),
        ..Default::default()
    };
    for (output, _) in selected {
        let mut contents = None;
        if asked.is_raw {
            let mut bytes = Vec::new();
            output.encode_binary(&mut bytes, predictions);
            response.raw_output_contents.push(bytes);
        } else {
            contents = Some(fill(output, predictions));
        }
        let shape = output.shape(predictions).into_iter().map(|size| size.try_into().unwrap_or(i64::MAX)).collect();
        let (name, datatype) = (output.name.clone(), output.datatype.to_owned());
        response.outputs.push(InferOutputTensor { name, datatype, shape, contents, ..Default::default() });
    }
    response
}

/// The values in the field for their datatype.
fn fill(output: &Output, predictions: &Predictions) -> InferTensorContents {
    let (labels, numbers) = parts(predictions);
    let mut contents = InferTensorContents::default();
    match &output.values {
        Values::Labels => contents.int64_contents = labels.to_vec(),
        Values::Numbers => contents.fp32_contents = numbers.to_vec(),
        Values::Classes(classes) => {
            let binary = labels.iter().map(|label| classes[class(*label)].1.as_slice());
            match output.datatype {
                BOOL => contents.bool_contents = binary.map(|byte| byte == [1]).collect(),
                BYTES => contents.bytes_contents = binary.map(|text| text[LENGTH_BYTES..].to_vec()).collect(),
                _ => {
                    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |bytes| i64::from_le_bytes(*bytes));
                    contents.int64_contents = binary.map(number).collect();
                }
            }
        }
    }
    contents
}
