//! What the application asks of a model, whatever it is made of.

use std::fmt;

/// Decoded rows, one after the other, in the manifest's feature order within each part.
///
/// The strings are those of the request schema: a category that training never saw is replaced while decoding.
#[derive(Debug, Default, PartialEq)]
pub struct Batch<'s> {
    /// How many rows there are.
    pub rows: usize,
    /// The values of the ordinal and nominal features.
    pub categorical: Vec<&'s str>,
    /// The values of the numeric features, NaN for missing.
    pub numeric: Vec<f32>,
}

/// What the model says of every row.
#[derive(Debug, Default, PartialEq)]
pub struct Predictions {
    /// Class indices, the decision threshold applied.
    pub labels: Vec<i64>,
    /// Probabilities by class index.
    pub probabilities: Vec<[f32; 2]>,
}

/// The model failed on a batch. The message is for the log.
#[derive(Debug)]
pub struct PredictionError(pub String);

impl fmt::Display for PredictionError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for PredictionError {}

/// A loaded model. `predict` may be called from any thread, one call at a time or several.
pub trait Predictor: Send + Sync {
    /// Class indices and probabilities of every row of the batch.
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError>;
}
