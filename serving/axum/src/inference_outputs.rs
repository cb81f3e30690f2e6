//! From predictions to the output tensors of a response, in JSON or binary.

use std::fmt::Display;
use std::io::Write;

use serde_json::{Value, json};

use crate::errors::RequestError;
use crate::inference_datatypes::{BOOL, BYTES};
use crate::inference_object::{RequestOutput, Scalar};
use crate::inference_request::{Content, InferRequest, invalid, quoted, refuse_unsupported};
use crate::manifest::{ClassLabel, Manifest, Task};
use crate::predictor::Predictions;

/// Encodes the answers of one model.
pub struct OutputSchema {
    model: Value,
    all: Vec<Output>,
}

/// A tensor that the model answers with: [N], or [N, width].
pub(crate) struct Output {
    pub(crate) name: String,
    pub(crate) datatype: &'static str,
    width: Option<usize>,
    pub(crate) values: Values,
}

/// Which of the model's answers a tensor has.
pub(crate) enum Values {
    Labels,
    Numbers,
    /// The classes as the data has them: how each is written in JSON and in binary.
    Classes(Vec<(String, Vec<u8>)>),
}

const MEMORY: &str = "writing to memory can't fail";

impl OutputSchema {
    /// The outputs that the manifest describes.
    pub fn new(manifest: &Manifest) -> Self {
        let model = json!({"model_name": manifest.name, "model_version": manifest.version});
        let output = |name: &str, datatype, width, values| Output { name: name.to_owned(), datatype, width, values };
        let all = if manifest.task == Task::Regression {
            vec![output("value", "FP32", None, Values::Numbers)]
        } else {
            let datatype = match manifest.classes.first() {
                Some(ClassLabel::Boolean(_)) => BOOL,
                Some(ClassLabel::Integer(_)) => "INT64",
                _ => BYTES,
            };
            let classes = Values::Classes(manifest.classes.iter().map(encode_class).collect());
            vec![
                output("label", "INT64", None, Values::Labels),
                output("probabilities", "FP32", Some(manifest.classes.len()), Values::Numbers),
                output(&format!("predicted_{}", manifest.target), datatype, None, classes),
            ]
        };
        Self { model, all }
    }

    /// How many outputs there are.
    pub fn count(&self) -> usize {
        self.all.len()
    }

    /// What the model's metadata says of them.
    pub fn describe(&self) -> Value {
        let describe = |output: &Output| {
            let shape: Vec<i64> =
                [-1].into_iter().chain(output.width.and_then(|width| i64::try_from(width).ok())).collect();
            json!({"name": output.name, "datatype": output.datatype, "shape": shape})
        };
        self.all.iter().map(describe).collect()
    }

    /// The outputs that are asked for, all if none is named, and whether each is to be binary.
    pub(crate) fn select(&self, request: &InferRequest<'_>) -> Result<Vec<(&Output, bool)>, RequestError> {
        let parameters = request.parameters.as_ref();
        let all_binary = parameters.and_then(|parameters| parameters.binary_data_output.as_ref());
        let all_binary = flag(all_binary, "binary_data_output", false)?;
        if request.outputs.is_empty() {
            return Ok(self.all.iter().map(|output| (output, all_binary)).collect());
        }
        let select = |(index, asked): (usize, &RequestOutput<'_>)| {
            let name = quoted(&asked.name);
            refuse_unsupported(&format!("output {name}"), asked.parameters.as_ref())?;
            let Some(output) = self.all.iter().find(|output| output.name == asked.name) else {
                let known: Vec<String> = self.all.iter().map(|output| quoted(&output.name)).collect();
                let known = known.join(", ");
                return Err(invalid(format!("unknown output {name}: the model's outputs are {known}")));
            };
            if request.outputs[..index].iter().any(|earlier| earlier.name == asked.name) {
                return Err(invalid(format!("output {name}: asked for twice")));
            }
            let binary = asked.parameters.as_ref().and_then(|parameters| parameters.binary_data.as_ref());
            Ok((output, flag(binary, "binary_data", all_binary)?))
        };
        request.outputs.iter().enumerate().map(select).collect()
    }

    /// The response to a request.
    pub(crate) fn encode(
        &self,
        request: &InferRequest<'_>,
        selected: &[(&Output, bool)],
        predictions: &Predictions,
    ) -> Content {
        let mut response = self.model.clone();
        if let Some(id) = &request.id {
            response["id"] = json!(id);
        }
        let mut head = response.to_string().into_bytes();
        head.pop(); // the object goes on
        head.extend(b",\"outputs\":[");
        let mut binary = Vec::new();
        for (index, (output, is_binary)) in selected.iter().enumerate() {
            if index > 0 {
                head.push(b',');
            }
            output.encode(&mut head, is_binary.then_some(&mut binary), predictions);
        }
        head.extend(b"]}");
        let json_length = selected.iter().any(|(_, is_binary)| *is_binary).then_some(head.len());
        head.append(&mut binary);
        (head, json_length)
    }
}

fn flag(value: Option<&Scalar>, name: &str, default: bool) -> Result<bool, RequestError> {
    match value {
        None => Ok(default),
        Some(Scalar::Bool(value)) => Ok(*value),
        Some(_) => Err(invalid(format!("the parameter {name} must be true or false"))),
    }
}

fn encode_class(class: &ClassLabel) -> (String, Vec<u8>) {
    let binary = match class {
        ClassLabel::Boolean(value) => vec![u8::from(*value)],
        ClassLabel::Integer(number) => number.to_le_bytes().to_vec(),
        ClassLabel::Text(text) => {
            let length = u32::try_from(text.len()).unwrap_or_default(); // a manifest is shorter
            [&length.to_le_bytes(), text.as_bytes()].concat()
        }
    };
    (json!(class).to_string(), binary)
}

impl Output {
    /// How long its dimensions are for these predictions.
    pub(crate) fn shape(&self, predictions: &Predictions) -> Vec<usize> {
        let rows = match predictions {
            Predictions::Classes { labels, .. } => labels.len(),
            Predictions::Values(values) => values.len(),
        };
        [rows].into_iter().chain(self.width).collect()
    }

    /// Add its values in binary form.
    pub(crate) fn encode_binary(&self, binary: &mut Vec<u8>, predictions: &Predictions) {
        let (labels, numbers) = parts(predictions);
        match &self.values {
            Values::Labels => binary.extend(labels.iter().flat_map(|label| label.to_le_bytes())),
            Values::Numbers => binary.extend(numbers.iter().flat_map(|number| number.to_le_bytes())),
            Values::Classes(classes) => labels.iter().for_each(|label| binary.extend(&classes[class(*label)].1)),
        }
    }

    fn encode(&self, head: &mut Vec<u8>, binary: Option<&mut Vec<u8>>, predictions: &Predictions) {
        let (labels, numbers) = parts(predictions);
        let (name, datatype, shape) = (quoted(&self.name), self.datatype, json!(self.shape(predictions)));
        write!(head, "{{\"name\":{name},\"datatype\":\"{datatype}\",\"shape\":{shape},").expect(MEMORY);
        if let Some(binary) = binary {
            let start = binary.len();
            self.encode_binary(binary, predictions);
            let size = binary.len() - start;
            write!(head, "\"parameters\":{{\"binary_data_size\":{size}}}}}").expect(MEMORY);
            return;
        }
        head.extend(b"\"data\":[");
        match &self.values {
            Values::Labels => write_all(head, labels),
            // widened, as in the answers of `/predict`
            Values::Numbers => write_all(head, numbers.iter().map(|number| Value::from(f64::from(*number)))),
            Values::Classes(classes) => write_all(head, labels.iter().map(|label| &classes[class(*label)].0)),
        }
        head.extend(b"]}");
    }
}

/// Labels, and probabilities or values.
pub(crate) fn parts(predictions: &Predictions) -> (&[i64], &[f32]) {
    match predictions {
        Predictions::Classes { labels, probabilities } => (labels, probabilities),
        Predictions::Values(values) => (&[], values),
    }
}

/// The class of a label. One that is no class is a fault of the model, and ends as any other panic inside.
pub(crate) fn class(label: i64) -> usize {
    usize::try_from(label).expect("a class index")
}

/// The values, with commas between them.
fn write_all(out: &mut Vec<u8>, values: impl IntoIterator<Item = impl Display>) {
    for (index, value) in values.into_iter().enumerate() {
        write!(out, "{}{value}", if index > 0 { "," } else { "" }).expect(MEMORY);
    }
}
