//! What the application asks of a model, whatever it is made of.

use std::borrow::Cow;
use std::fmt;

/// Decoded rows, one after the other, in the manifest's feature order within each part.
///
/// The strings are those of the request schema, except for features without known categories: a category that training
/// never saw is replaced while decoding.
#[derive(Debug, Default, PartialEq)]
pub struct Batch<'s> {
    /// How many rows there are.
    pub rows: usize,
    /// The values of the ordinal and nominal features.
    pub categorical: Vec<Cow<'s, str>>,
    /// The values of all other features, NaN for missing.
    pub numeric: Vec<f32>,
}

/// The model's answers to every row.
#[derive(Clone, Debug, PartialEq)]
pub enum Predictions {
    /// A classifier's answers.
    Classes {
        /// Class indices, with the decision threshold applied.
        labels: Vec<i64>,
        /// As many probabilities for each row as there are classes, by class index.
        probabilities: Vec<f32>,
    },
    /// A regressor's answers.
    Values(Vec<f32>),
}

impl Predictions {
    /// The answer to one of the rows, counted from zero.
    ///
    /// # Panics
    ///
    /// If there are not as many.
    #[must_use]
    pub fn row(&self, index: usize) -> Self {
        match self {
            Self::Classes { labels, probabilities } => {
                let classes = probabilities.len() / labels.len();
                let probabilities = probabilities[index * classes..(index + 1) * classes].to_vec();
                Self::Classes { labels: vec![labels[index]], probabilities }
            }
            Self::Values(values) => Self::Values(vec![values[index]]),
        }
    }
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

/// A loaded model. `predict` may be called from any thread, also by several at once.
pub trait Predictor: Send + Sync {
    /// The answers to all rows of the batch.
    fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError>;

    /// What it runs on, for tracing the cause of an unexpected answer.
    fn library(&self) -> String;
}
