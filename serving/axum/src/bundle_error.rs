//! What can be wrong with a bundle on disk.

use std::fmt;

/// A bundle is missing, incomplete, altered or of another format. The message names the file and what to do.
#[derive(Debug)]
pub struct BundleError(pub String);

impl fmt::Display for BundleError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for BundleError {}
