//! The manifest: the typed description of a bundle. docs/bundle.md describes it field by field.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the model's answers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)]
pub enum Task {
    BinaryClassification,
    MulticlassClassification,
    Regression,
}

/// What a feature's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum FeatureKind {
    Numeric,
    Boolean,
    Date,
    Ordinal,
    Nominal,
}

/// One input column. A null in a `nullable` feature means missing: NaN, or `tokens.missing` for a category.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Feature {
    /// The field's name in a request.
    pub name: String,
    /// What its values are.
    pub kind: FeatureKind,
    /// Whether null is allowed.
    pub nullable: bool,
    /// A valid value: text, a number, true, false or null.
    pub example: Value,
    /// Whether its numbers are whole.
    #[serde(default)]
    pub integer: bool,
    /// What the feature means.
    #[serde(default)]
    pub description: String,
    /// The known categories that are published; ordinal ones in rank order.
    #[serde(default)]
    pub categories: Vec<String>,
    /// The other known categories: too few rows had them to name them in public.
    #[serde(default, skip_serializing)]
    pub rare: Vec<String>,
    /// Whether no categories are known, so that every string is passed on unchanged.
    #[serde(default)]
    pub open: bool,
    /// The lower end of the observed range of a number, or of a date in days since 1970-01-01.
    #[serde(default)]
    pub minimum: Option<f64>,
    /// The upper end of that range.
    #[serde(default)]
    pub maximum: Option<f64>,
    // only the Python side reads these; this service passes them on
    #[serde(default)]
    dtype: String,
    #[serde(default)]
    graph_input: String,
}

impl Feature {
    /// Whether its values are strings of the packed graph's string input.
    pub fn is_categorical(&self) -> bool {
        matches!(self.kind, FeatureKind::Ordinal | FeatureKind::Nominal)
    }
}

/// A class label as it is in the data.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum ClassLabel {
    Boolean(bool),
    Integer(i64),
    Text(String),
}

/// The strings that stand for a missing and for an unseen category in a string tensor. No category of the bundle is
/// equal to one.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs)]
pub struct Tokens {
    pub missing: String,
    pub unseen: String,
}

/// The model's answer to the row of all features' examples: class index and probabilities, or a value.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs)]
pub struct Expected {
    pub prediction: f64,
    #[serde(default)]
    pub probabilities: Vec<f64>,
}

/// A file of the bundle: its path relative to the manifest, size in bytes, and SHA-256 in hexadecimal.
#[derive(Clone, Debug, Deserialize)]
#[allow(missing_docs)]
pub struct Artifact {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

/// The manifest. Serialized, it is the public part: what only those who run the service need stays out.
///
/// `classes[i]` is the label of class index i; a response's `prediction` is that index. A regressor has no classes.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs)]
pub struct Manifest {
    pub format_version: u64,
    pub name: String,
    pub version: String,
    pub created: String,
    pub task: Task,
    pub features: Vec<Feature>,
    pub target: String,
    #[serde(default)]
    pub classes: Vec<ClassLabel>,
    #[serde(default)]
    pub positive_class: Option<ClassLabel>,
    #[serde(default)]
    pub decision_threshold: Option<f64>,
    pub tokens: Tokens,
    pub expected: Expected,
    // this service only passes these on, in its metadata
    #[serde(default)]
    frame: Option<String>,
    #[serde(default)]
    metrics: Option<Map<String, Value>>,
    #[serde(default)]
    data: Option<Map<String, Value>>,
    /// What the parity gate measured.
    #[serde(default)]
    pub parity: Option<Map<String, Value>>,
    /// Versions of the libraries that made the bundle.
    #[serde(skip_serializing)]
    pub libraries: Map<String, Value>,
    #[serde(skip_serializing)]
    pub artifacts: HashMap<String, Artifact>,
}

impl Manifest {
    /// Ordinal and nominal features, in feature order: the columns of the packed graph's string input.
    pub fn categorical(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().filter(|feature| feature.is_categorical())
    }
}
