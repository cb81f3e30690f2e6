//! A service for a model bundle: the same HTTP contract as the Python services, from the same manifest.
//!
//! Nothing here knows a data set. Feature names, categories, class labels and the threshold come from the manifest.

pub mod api_keys;
pub mod app;
pub mod artifacts;
pub mod buffers;
pub mod bundle_error;
pub mod capacity;
pub mod dates;
pub mod diagnosis;
pub mod digest;
pub mod docs_page;
pub mod documents;
pub mod endpoints;
pub mod errors;
pub mod expected;
pub mod fast_hash;
pub mod faults;
pub mod fields;
pub mod files;
pub mod framing;
pub mod gate;
pub mod inference;
pub mod inference_endpoint;
pub mod inference_inputs;
mod inference_object;
pub mod inference_outputs;
pub mod inference_request;
pub mod inference_values;
pub mod json_value;
pub mod manifest;
pub mod manifest_check;
pub mod manifest_file;
pub mod metrics;
pub mod onnx_predictor;
pub mod onnx_runtime;
pub mod openapi;
pub mod predictor;
pub mod request_id;
pub mod request_schema;
pub mod response_schema;
pub mod routes;
pub mod schemas;
pub mod server;
pub mod settings;
pub mod state;
pub mod string_tensor;
