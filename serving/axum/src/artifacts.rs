//! Artifacts on disk, and the digests that bind them to the manifest.

use std::io::ErrorKind;
use std::path::Path;

use crate::bundle_error::BundleError;
use crate::digest::sha256;
use crate::files::{read_regular, reason};
use crate::manifest::Manifest;

/// The content of an artifact, checked against the manifest before anything parses it.
///
/// The bytes that were checked are the bytes that are returned, so that a file swapped after the check changes nothing.
pub fn read_artifact(manifest: &Manifest, kind: &str, folder: &Path) -> Result<Vec<u8>, BundleError> {
    let Some(artifact) = manifest.artifacts.get(kind) else {
        let folder = folder.display();
        return Err(BundleError(format!("{folder}: the manifest lists no artifact '{kind}'; train again")));
    };
    let path = folder.join(&artifact.file);
    let content = read_regular(&path, artifact.bytes).map_err(|error| {
        let path = path.display();
        if error.kind() == ErrorKind::FileTooLarge {
            let (bytes, digest) = (artifact.bytes, &artifact.sha256);
            return BundleError(format!(
                "{path}: more than the manifest's {bytes} bytes (SHA-256 {digest:.12}…): the file was altered; train again"
            ));
        }
        BundleError(format!("{path}: {}, but the manifest lists it; train again", reason(&error)))
    })?;
    let digest = sha256(&content);
    if content.len() as u64 != artifact.bytes || digest != artifact.sha256 {
        return Err(BundleError(format!(
            "{}: SHA-256 {:.12}… ({} bytes) differs from the manifest's {:.12}… ({} bytes): the file was altered; \
             train again",
            path.display(),
            digest,
            content.len(),
            artifact.sha256,
            artifact.bytes,
        )));
    }
    Ok(content)
}
