//! The manifest as `<name>.json` holds it: found, pinned, decoded and checked.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bundle_error::BundleError;
use crate::digest::sha256;
use crate::files::{read_regular, reason};
use crate::manifest::Manifest;
use crate::manifest_check::contradiction;

/// The format of bundles that this code reads.
pub const FORMAT_VERSION: u64 = 2;

/// A longer manifest is not read.
const MAX_BYTES: u64 = 16 << 20;

/// Read the manifest of the bundle in `folder`.
///
/// `pin` is the SHA-256 that its bytes must have; since it holds the digests of the artifacts, it pins them, too.
pub fn read_manifest(folder: &Path, pin: Option<&str>) -> Result<Manifest, BundleError> {
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
    decode_manifest(&content, &path.display().to_string())
}

/// Parse a manifest; `origin` names it in errors.
pub fn decode_manifest(content: &[u8], origin: &str) -> Result<Manifest, BundleError> {
    let invalid = |error: String| BundleError(format!("{origin}: not a valid manifest: {error}"));
    let document: Map<String, Value> = serde_json::from_slice(content).map_err(|error| invalid(error.to_string()))?;
    let version = document.get("format_version").unwrap_or(&Value::Null);
    if version != FORMAT_VERSION {
        return Err(BundleError(format!(
            "{origin}: bundle format {version}, but this code reads {FORMAT_VERSION}; \
             `make train` (or `make package`) makes a new one"
        )));
    }
    let manifest = Manifest::deserialize(Value::Object(document)).map_err(|error| invalid(error.to_string()))?;
    match contradiction(&manifest) {
        Some(found) => Err(invalid(found)),
        None => Ok(manifest),
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
