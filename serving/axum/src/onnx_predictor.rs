//! The ONNX graph in ONNX Runtime.

use std::borrow::Cow;
use std::sync::{Mutex, PoisonError};

use ort::memory::Allocator;
use ort::session::{HasSelectedOutputs, OutputSelector, RunOptions, Session, SessionInputValue};
use ort::value::{DynTensor, Tensor, TensorRef};

use crate::background::{ROWS_AT_ONCE, give_way};
use crate::manifest::Manifest;
use crate::onnx_runtime::OnnxRuntime;
use crate::predictor::{Batch, PredictionError, Predictions, Predictor};
use crate::string_tensor;

const CATEGORICAL: &str = "categorical";
const NUMERIC: &str = "numeric";
const LABEL: &str = "label";
const PROBABILITIES: &str = "probabilities";
const VALUE: &str = "value";

impl From<ort::Error> for PredictionError {
    fn from(error: ort::Error) -> Self {
        Self(error.to_string())
    }
}

/// Runs the packed graph: a string tensor and a float tensor in; labels and probabilities, or values, out.
pub struct OnnxPredictor {
    runtime: OnnxRuntime,
    model: Vec<u8>,
    shape: Shape,
    idle: Mutex<Vec<Worker>>,
}

/// The columns of the graph's inputs and of its output of numbers: a regressor has no classes.
#[derive(Clone, Copy)]
struct Shape {
    categorical: usize,
    numeric: usize,
    classes: usize,
}

/// A session, and what its runs on single rows reuse.
struct Worker {
    session: Session,
    shape: Shape,
    one_row_strings: DynTensor,
    one_row_outputs: RunOptions<HasSelectedOutputs>,
}

impl OnnxPredictor {
    /// A predictor for the manifest's graph, with `sessions` of its sessions made in advance.
    pub fn new(
        runtime: OnnxRuntime,
        manifest: &Manifest,
        model: Vec<u8>,
        sessions: usize,
    ) -> Result<Self, PredictionError> {
        let categorical = manifest.categorical().count();
        let shape =
            Shape { categorical, numeric: manifest.features.len() - categorical, classes: manifest.classes.len() };
        let predictor = Self { runtime, model, shape, idle: Mutex::new(Vec::new()) };
        let workers = (0..sessions).map(|_| predictor.worker()).collect::<Result<_, _>>()?;
        *predictor.idle.lock().unwrap_or_else(PoisonError::into_inner) = workers;
        Ok(predictor)
    }

    fn worker(&self) -> Result<Worker, PredictionError> {
        // One thread, and no spinning: requests are spread over sessions, and ONNX Runtime's default, a spinning thread
        // per host core, is what makes it slow inside a container with a CPU limit.
        let session = Session::builder(&self.runtime.environment)?
            .with_intra_threads(1)
            .map_err(ort::Error::from)?
            .with_inter_threads(1)
            .map_err(ort::Error::from)?
            .with_intra_op_spinning(false)
            .map_err(ort::Error::from)?
            .commit_from_memory(&self.model)?;
        let memory = Allocator::default();
        let outputs = OutputSelector::no_default();
        let outputs = if self.shape.classes == 0 {
            outputs.with(VALUE).preallocate(VALUE, Tensor::<f32>::new(&memory, [1_usize])?)
        } else {
            outputs
                .with(LABEL)
                .with(PROBABILITIES)
                .preallocate(LABEL, Tensor::<i64>::new(&memory, [1_usize])?)
                .preallocate(PROBABILITIES, Tensor::<f32>::new(&memory, [1, self.shape.classes])?)
        };
        let one_row_outputs = RunOptions::new()?.with_outputs(outputs);
        let one_row_strings = string_tensor::new(1, self.shape.categorical)?;
        Ok(Worker { session, shape: self.shape, one_row_strings, one_row_outputs })
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

    fn library(&self) -> String {
        format!("onnxruntime {}", self.runtime.version)
    }
}

impl Worker {
    fn predict(&mut self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
        let mut predictions = if self.shape.classes == 0 {
            Predictions::Values(Vec::new())
        } else {
            Predictions::Classes { labels: Vec::new(), probabilities: Vec::new() }
        };
        let widths = [batch.categorical.len(), batch.numeric.len()].map(|length| length / batch.rows.max(1));
        // in pieces, so that the graph's intermediate results stay small
        for start in (0..batch.rows).step_by(ROWS_AT_ONCE) {
            let end = batch.rows.min(start + ROWS_AT_ONCE);
            let [categorical, numeric] = widths.map(|width| start * width..end * width);
            self.run(end - start, &batch.categorical[categorical], &batch.numeric[numeric], &mut predictions)?;
            give_way(end - 1);
        }
        Ok(predictions)
    }

    fn run(
        &mut self,
        rows: usize,
        categorical: &[Cow<'_, str>],
        numeric: &[f32],
        predictions: &mut Predictions,
    ) -> Result<(), PredictionError> {
        let mut feeds: Vec<(&str, SessionInputValue<'_>)> = Vec::with_capacity(2);
        let mut strings;
        if self.shape.categorical > 0 {
            let tensor = if rows == 1 {
                &mut self.one_row_strings
            } else {
                strings = string_tensor::new(rows, self.shape.categorical)?;
                &mut strings
            };
            string_tensor::write(tensor, categorical)?;
            feeds.push((CATEGORICAL, (&*tensor).into()));
        }
        if self.shape.numeric > 0 {
            feeds.push((NUMERIC, TensorRef::from_array_view(([rows, self.shape.numeric], numeric))?.into()));
        }
        let outputs = if rows == 1 {
            self.session.run_with_options(feeds, &self.one_row_outputs)?
        } else {
            self.session.run(feeds)?
        };
        match predictions {
            Predictions::Classes { labels, probabilities } => {
                labels.extend_from_slice(outputs[LABEL].try_extract_tensor()?.1);
                probabilities.extend_from_slice(outputs[PROBABILITIES].try_extract_tensor()?.1);
            }
            Predictions::Values(values) => values.extend_from_slice(outputs[VALUE].try_extract_tensor()?.1),
        }
        Ok(())
    }
}
