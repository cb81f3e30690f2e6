//! SHA-256, as manifests and settings write it.

use sha2::{Digest, Sha256};

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
