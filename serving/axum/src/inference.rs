//! The Open Inference Protocol, version 2, with the binary tensor data extension: see docs/protocols.md.

use axum::body::Bytes;
use serde_json::json;

use crate::inference_datatypes::{BOOL, BYTES};
use crate::inference_inputs::InputSchema;
use crate::inference_outputs::OutputSchema;
use crate::manifest::{Feature, FeatureKind, Manifest};

/// What the protocol needs of one model.
pub struct Inference {
    pub(crate) inputs: InputSchema,
    pub(crate) outputs: OutputSchema,
    pub(crate) server: Bytes,
    pub(crate) model: Bytes,
    pub(crate) name: String,
    pub(crate) version: String,
}

/// What a path of the protocol leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Server,
    Live,
    Ready,
    Model,
    Infer,
}

impl Inference {
    /// The protocol for the manifest's model.
    pub fn new(manifest: &Manifest) -> Self {
        let outputs = OutputSchema::new(manifest);
        let input = |feature: &Feature| json!({"name": feature.name, "datatype": datatype(feature), "shape": [-1, 1]});
        let model = json!({
            "name": manifest.name,
            "versions": [manifest.version],
            "platform": "onnxruntime_onnx",
            "inputs": manifest.features.iter().map(input).collect::<Vec<_>>(),
            "outputs": outputs.describe(),
        });
        let version = env!("CARGO_PKG_VERSION");
        let server = json!({"name": "train-to-serve", "version": version, "extensions": ["binary_tensor_data"]});
        Self {
            inputs: InputSchema::new(manifest),
            outputs,
            server: server.to_string().into(),
            model: model.to_string().into(),
            name: manifest.name.clone(),
            version: manifest.version.clone(),
        }
    }

    /// How many inputs and outputs a request can need.
    pub(crate) fn tensors(&self) -> (usize, usize) {
        (self.inputs.most(), self.outputs.count())
    }

    /// What a path leads to, its percent-encoding undone.
    pub(crate) fn target(&self, path: &str) -> Option<Target> {
        match path {
            "/v2" => return Some(Target::Server),
            "/v2/health/live" => return Some(Target::Live),
            "/v2/health/ready" => return Some(Target::Ready),
            _ => {}
        }
        let rest = path.strip_prefix("/v2/models/")?.strip_prefix(self.name.as_str())?;
        let version =
            |rest: &str| rest.strip_prefix("/versions/")?.strip_prefix(self.version.as_str()).map(str::to_owned);
        match version(rest).as_deref().unwrap_or(rest) {
            "" => Some(Target::Model),
            "/ready" => Some(Target::Ready),
            "/infer" => Some(Target::Infer),
            _ => None,
        }
    }

    /// What is here, for a client that asked for something else.
    pub(crate) fn not_found(&self) -> String {
        format!("not here; the model is {}, its version {}", json!(self.name), json!(self.version))
    }
}

/// The datatype that fits a feature best.
fn datatype(feature: &Feature) -> &'static str {
    match feature.kind {
        FeatureKind::Numeric if feature.integer && !feature.nullable => "INT64",
        FeatureKind::Numeric => "FP32", // in which NaN means missing
        FeatureKind::Boolean => BOOL,
        FeatureKind::Date | FeatureKind::Ordinal | FeatureKind::Nominal => BYTES,
    }
}
