//! The ONNX graph in ONNX Runtime.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use ort::environment::Environment;
use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynTensor, Tensor, TensorRef};

use crate::predictor::{Batch, PredictionError, Predictions, Predictor};
use crate::string_tensor;

const LIBRARY_VARIABLE: &str = "ORT_DYLIB_PATH";
/// A larger batch is predicted in pieces, so that what the graph makes of it in between stays small.
const ROWS_PER_RUN: usize = 1024;

const LABEL: &str = "label";
const PROBABILITIES: &str = "probabilities";

impl From<ort::Error> for PredictionError {
    fn from(error: ort::Error) -> Self {
        Self(error.to_string())
    }
}

/// Load ONNX Runtime from the library that `ORT_DYLIB_PATH` names.
pub fn load_runtime(environment: &BTreeMap<String, String>) -> Result<Environment, PredictionError> {
    let path = environment.get(LIBRARY_VARIABLE).map_or("", String::as_str);
    if !Path::new(path).is_absolute() {
        let given = if path.is_empty() { "is not set".to_owned() } else { format!("={path:?} is not absolute") };
        return Err(PredictionError(format!(
            "{LIBRARY_VARIABLE} {given}: the absolute path of ONNX Runtime's shared library is needed \
             (libonnxruntime.so.* in the folder onnxruntime/capi of the Python package)"
        )));
    }
    let builder =
        ort::init_from(path).map_err(|error| PredictionError(format!("{LIBRARY_VARIABLE}={path:?}: {error}")))?;
    Ok(builder.with_telemetry(false).build()?)
}

/// Runs the packed graph: a string tensor, a float tensor, in; labels and probabilities out.
pub struct OnnxPredictor {
    environment: Environment,
    model: Vec<u8>,
    idle: Mutex<Vec<Worker>>,
}

/// A session, and what its runs on single rows use again and again.
struct Worker {
    session: Session,
    categorical: usize,
    numeric: usize,
    one_row_strings: DynTensor,
    one_row_outputs: RunOptions<HasSelectedOutputs>,
}

impl OnnxPredictor {
    /// A predictor with `sessions` of its sessions made in advance.
    pub fn new(environment: Environment, model: Vec<u8>, sessions: usize) -> Result<Self, PredictionError> {
        let predictor = Self { environment, model, idle: Mutex::new(Vec::new()) };
        let workers = (0..sessions).map(|_| predictor.worker()).collect::<Result<_, _>>()?;
        *predictor.idle.lock().unwrap_or_else(PoisonError::into_inner) = workers;
        Ok(predictor)
    }

    fn worker(&self) -> Result<Worker, PredictionError> {
        // One thread, and no spinning: requests are spread over sessions, and ONNX Runtime's default, a spinning thread
        // per host core, is what makes it slow inside a container with a CPU limit.
        let session = Session::builder(&self.environment)?
            .with_intra_threads(1)
            .map_err(ort::Error::from)?
            .with_inter_threads(1)
            .map_err(ort::Error::from)?
            .with_intra_op_spinning(false)
            .map_err(ort::Error::from)?
            .commit_from_memory(&self.model)?;
        let width = |name: &str| {
            let input = session.inputs().iter().find(|input| input.name() == name)?;
            usize::try_from(*input.dtype().tensor_shape()?.last()?).ok()
        };
        let (categorical, numeric) = (width("categorical").unwrap_or(0), width("numeric").unwrap_or(0));
        let memory = Allocator::default();
        let outputs = OutputSelector::no_default()
            .with(LABEL)
            .with(PROBABILITIES)
            .preallocate(LABEL, Tensor::<i64>::new(&memory, [1_i64])?)
            .preallocate(PROBABILITIES, Tensor::<f32>::new(&memory, [1_i64, 2])?);
        let one_row_outputs = RunOptions::new()?.with_outputs(outputs);
        let one_row_strings = string_tensor::new(1, categorical)?;
        Ok(Worker { session, categorical, numeric, one_row_strings, one_row_outputs })
    }
}

impl Predictor for OnnxPredictor {
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.worker()?,
        };
        let predictions = worker.predict(batch);
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        predictions
    }
}

impl Worker {
    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        let mut predictions = Predictions::default();
        let widths = [batch.categorical.len(), batch.numeric.len()].map(|length| length / batch.rows.max(1));
        for start in (0..batch.rows).step_by(ROWS_PER_RUN) {
            let end = batch.rows.min(start + ROWS_PER_RUN);
            let [categorical, numeric] = widths.map(|width| start * width..end * width);
            self.run(end - start, &batch.categorical[categorical], &batch.numeric[numeric], &mut predictions)?;
        }
        Ok(predictions)
    }

    fn run(
        &mut self,
        rows: usize,
        categorical: &[&str],
        numeric: &[f32],
        predictions: &mut Predictions,
    ) -> Result<(), PredictionError> {
        let mut feeds: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(2);
        let mut strings;
        if self.categorical > 0 {
            let tensor = if rows == 1 {
                &mut self.one_row_strings
            } else {
                strings = string_tensor::new(rows, self.categorical)?;
                &mut strings
            };
            string_tensor::write(tensor, categorical)?;
            feeds.push(("categorical", (&*tensor).into()));
        }
        if self.numeric > 0 {
            feeds.push(("numeric", TensorRef::from_array_view(([rows, self.numeric], numeric))?.into()));
        }
        let outputs = if rows == 1 {
            self.session.run_with_options(feeds, &self.one_row_outputs)?
        } else {
            self.session.run(feeds)?
        };
        predictions.labels.extend_from_slice(outputs[LABEL].try_extract_tensor()?.1);
        let (pairs, _) = outputs[PROBABILITIES].try_extract_tensor::<f32>()?.1.as_chunks();
        predictions.probabilities.extend_from_slice(pairs);
        Ok(())
    }
}
