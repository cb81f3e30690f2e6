//! Artifacts on disk, and the digests that bind them to the manifest.

use std::fs;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::manifest::{BundleError, Manifest, reason};

/// The content of an artifact, checked against the manifest before anybody gets to parse it.
///
/// The bytes that were checked are the bytes that are returned, so that a file swapped after the check changes nothing.
pub fn read_artifact(manifest: &Manifest, kind: &str, folder: &Path) -> Result<Vec<u8>, BundleError> {
    let Some(artifact) = manifest.artifacts.get(kind) else {
        let folder = folder.display();
        return Err(BundleError(format!("{folder}: the manifest lists no artifact '{kind}'; train again")));
    };
    let path = folder.join(&artifact.file);
    let content = fs::read(&path).map_err(|error| {
        BundleError(format!("{}: {}, but the manifest lists it; train again", path.display(), reason(&error)))
    })?;
    let digest = sha256(&content);
    if digest != artifact.sha256 {
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

/// The SHA-256 of `content`, in lower-case hexadecimal.
pub(crate) fn sha256(content: &[u8]) -> String {
    hexadecimal(&Sha256::digest(content))
}

fn hexadecimal(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]).map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_digests_as_the_manifest_does() {
        assert_eq!(hexadecimal(&[0, 15, 16, 171, 255]), "000f10abff");
    }
}
