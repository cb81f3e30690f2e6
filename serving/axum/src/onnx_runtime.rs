//! ONNX Runtime's shared library: loading it from where the environment says, and its version.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;

use libloading::{Library, Symbol};
use ort::environment::Environment;

use crate::predictor::PredictionError;

const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";

/// The loaded library.
#[derive(Clone)]
pub struct OnnxRuntime {
    /// The environment for sessions.
    pub(crate) environment: Environment,
    /// As in `1.31.1`.
    pub(crate) version: String,
}

/// Load ONNX Runtime from the library that `ORT_DYLIB_PATH` names.
pub fn load_runtime(variables: &BTreeMap<String, String>) -> Result<OnnxRuntime, PredictionError> {
    let path = variables.get(LIBRARY_VARIABLE).map_or("", String::as_str);
    if !Path::new(path).is_absolute() {
        let given = if path.is_empty() { "is not set".to_owned() } else { format!("={path:?} is not absolute") };
        return Err(PredictionError(format!(
            "{LIBRARY_VARIABLE} {given}: the absolute path of ONNX Runtime's shared library is needed \
             (libonnxruntime.so.* in the folder onnxruntime/capi of the Python package)"
        )));
    }
    let builder =
        ort::init_from(path).map_err(|error| PredictionError(format!("{LIBRARY_VARIABLE}={path:?}: {error}")))?;
    let environment = builder.with_telemetry(false).build().map_err(|error| PredictionError(error.to_string()))?;
    let version = version(path).map_err(|error| PredictionError(format!("{LIBRARY_VARIABLE}={path:?}: {error}")))?;
    Ok(OnnxRuntime { environment, version })
}

/// The version that the library reports, which `ort` reads but doesn't expose.
#[allow(unsafe_code)]
fn version(path: &str) -> Result<String, libloading::Error> {
    // SAFETY: `ort` has loaded this library: its initialization, if it has one, is done and its symbols are checked.
    let library = unsafe { Library::new(path) }?;
    // SAFETY: this is the function's type in ONNX Runtime's C API, in every version of it.
    let base: Symbol<unsafe extern "C" fn() -> *const ort::sys::OrtApiBase> = unsafe { library.get(b"OrtGetApiBase") }?;
    // SAFETY: it returns a constant of the library, and so does `GetVersionString`: a text that ends with a NUL.
    let version = unsafe { CStr::from_ptr(((*base()).GetVersionString)()) };
    Ok(version.to_string_lossy().into_owned())
}
