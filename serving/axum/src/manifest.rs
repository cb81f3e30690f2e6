//! The manifest: the typed description of a bundle, as `<name>.json` holds it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::bundle_error::BundleError;
use crate::digest::sha256;
use crate::files::{read_regular, reason};
use crate::formatting::quoted;

/// The format of bundles that this code reads.
pub const FORMAT_VERSION: u64 = 1;

/// A longer manifest is not read.
const MAX_BYTES: u64 = 16 << 20;

/// What a feature's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs)]
pub enum FeatureKind {
    Numeric,
    Ordinal,
    Nominal,
}

/// One input column. A null in a `nullable` feature means missing: NaN for a numeric one, `missing_token` for the rest.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Feature {
    /// The field's name in a request.
    pub name: String,
    /// What its values are.
    pub kind: FeatureKind,
    /// Whether null is allowed.
    pub nullable: bool,
    /// A value that works: text, a number or null.
    pub example: Value,
    /// What the feature means.
    #[serde(default)]
    pub description: String,
    /// The strings seen in training.
    #[serde(default)]
    pub categories: Vec<String>,
    /// What a missing category is handed on as.
    #[serde(default)]
    pub missing_token: Option<String>,
    /// The observed range of a numeric feature.
    #[serde(default)]
    pub minimum: Option<f64>,
    /// The observed range of a numeric feature.
    #[serde(default)]
    pub maximum: Option<f64>,
}

impl Feature {
    /// Whether its values are numbers.
    pub fn is_numeric(&self) -> bool {
        self.kind == FeatureKind::Numeric
    }
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
/// `classes[i]` is the label of class index i; a response's `prediction` is that index.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[allow(missing_docs)]
pub struct Manifest {
    pub format_version: u64,
    pub name: String,
    pub version: String,
    pub created: String,
    pub task: String,
    pub features: Vec<Feature>,
    pub target: String,
    pub classes: [String; 2],
    pub positive_class: String,
    pub decision_threshold: f64,
    // what this service only passes on to those who ask for its metadata
    metrics: Map<String, Value>,
    data: Map<String, Value>,
    parity: Map<String, Value>,
    #[serde(skip_serializing)]
    pub artifacts: HashMap<String, Artifact>,
}

impl Manifest {
    /// Read the manifest of the bundle in `folder`.
    ///
    /// `pin` is the SHA-256 that its bytes must have; since it holds the digests of the artifacts, it pins them, too.
    pub fn read(folder: &Path, pin: Option<&str>) -> Result<Self, BundleError> {
        let path = find(folder)?;
        let content = read_regular(&path, MAX_BYTES)
            .map_err(|error| BundleError(format!("{}: {}", path.display(), reason(&error))))?;
        let digest = sha256(&content);
        if let Some(pin) = pin.filter(|pin| *pin != digest) {
            return Err(BundleError(format!(
                "{}: SHA-256 {digest:.12}… differs from the pinned {pin:.12}…: not the bundle meant",
                path.display()
            )));
        }
        Self::decode(&content, &path.display().to_string())
    }

    /// Parse a manifest; `origin` names it in errors.
    pub fn decode(content: &[u8], origin: &str) -> Result<Self, BundleError> {
        let invalid = |error| BundleError(format!("{origin}: not a valid manifest: {error}"));
        let document: Map<String, Value> = serde_json::from_slice(content).map_err(invalid)?;
        let version = document.get("format_version").unwrap_or(&Value::Null);
        if version != FORMAT_VERSION {
            let found = match version {
                Value::Null => "None".to_owned(),
                Value::String(text) => quoted(text),
                other => other.to_string(),
            };
            return Err(BundleError(format!(
                "{origin}: bundle format {found}, but this code reads {FORMAT_VERSION}; train again"
            )));
        }
        Self::deserialize(Value::Object(document)).map_err(invalid)
    }

    /// Ordinal and nominal features, in feature order: the columns of the packed graph's string input.
    pub fn categorical(&self) -> impl Iterator<Item = &Feature> {
        self.features.iter().filter(|feature| !feature.is_numeric())
    }
}

/// The one manifest in a model folder.
fn find(folder: &Path) -> Result<PathBuf, BundleError> {
    let entries = fs::read_dir(folder).map(|entries| entries.flatten().map(|entry| entry.path()).collect());
    let mut found: Vec<PathBuf> = entries.unwrap_or_default();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    found.sort();
    match found.as_slice() {
        [] => Err(BundleError(format!("{}: no model bundle here; `make train` publishes one", folder.display()))),
        [path] => Ok(path.clone()),
        several => {
            let names: Vec<_> = several.iter().filter_map(|path| path.file_name()?.to_str()).collect();
            let (folder, names) = (folder.display(), names.join(", "));
            Err(BundleError(format!("{folder}: more than one manifest ({names}); keep one model in a folder")))
        }
    }
}
