//! Who is answered: the API keys that a request may have.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

const MIN_KEY_LENGTH: usize = 16;

/// Keys that give access to the service, kept as SHA-256: the keys themselves are in no dump. Without any, it is open
/// to all.
///
/// Clones share their keys, so that those of every application change at once.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Arc<ArcSwap<Vec<[u8; 32]>>>);

impl ApiKeys {
    /// Several keys may be valid at once, so that one can be replaced by the next without a gap. An error says what is
    /// wrong with a key, without the key.
    pub fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let digest = |key: &str| {
            if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err("a key has visible ASCII characters only, and no spaces".to_owned());
            }
            if key.len() < MIN_KEY_LENGTH {
                return Err(format!("a key has at least {MIN_KEY_LENGTH} characters"));
            }
            Ok(Sha256::digest(key).into())
        };
        let digests = keys.into_iter().map(digest).collect::<Result<_, _>>()?;
        Ok(Self(Arc::new(ArcSwap::from_pointee(digests))))
    }

    /// Replace the keys that give access to the service.
    pub fn replace(&self, others: &Self) {
        self.0.store(others.0.load_full());
    }

    /// Whether no key is required.
    pub fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Whether a request has an `Authorization: Bearer` header with one of the keys, and no other such header.
    ///
    /// Takes the same time whatever is wrong with a key: it compares all digests, which have the same length.
    pub fn admit(&self, headers: &HeaderMap) -> bool {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (given.next(), given.next()) else { return false };
        let value = value.as_bytes();
        let (scheme, token) = value.split_at(value.iter().position(|byte| *byte == b' ').unwrap_or(value.len()));
        let digest: [u8; 32] = Sha256::digest(token.trim_ascii()).into();
        let known = self.0.load().iter().fold(Choice::from(0), |known, key| known | key.ct_eq(&digest));
        scheme.eq_ignore_ascii_case(b"bearer") && bool::from(known)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 2] = ["first-key-0123456789", "second-key-012345678"];

    fn admits(authorization: &[&str]) -> bool {
        let mut headers = HeaderMap::new();
        for value in authorization {
            headers.append(AUTHORIZATION, value.parse().unwrap());
        }
        ApiKeys::new(KEYS).unwrap().admit(&headers)
    }

    #[test]
    fn one_of_the_keys_opens() {
        assert!(admits(&["Bearer first-key-0123456789"]) && admits(&["bearer  second-key-012345678"]));
    }

    #[test]
    fn nothing_else_does() {
        for wrong in ["", "Bearer", "Bearer ", "Bearer first-key-012345678", "Basic first-key-0123456789", KEYS[0]] {
            assert!(!admits(&[wrong]), "{wrong}");
        }
        assert!(!admits(&[]) && !admits(&["Bearer first-key-0123456789"; 2]));
    }

    #[test]
    fn clones_have_their_keys_replaced_too() {
        let keys = ApiKeys::new(KEYS).unwrap();
        let clone = keys.clone();
        keys.replace(&ApiKeys::new(["third-key-0123456789"]).unwrap());
        let admits =
            |key: &str| clone.admit(&HeaderMap::from_iter([(AUTHORIZATION, format!("Bearer {key}").parse().unwrap())]));
        assert!(admits("third-key-0123456789") && !admits(KEYS[0]));
    }

    #[test]
    fn a_weak_key_is_refused_without_being_told() {
        for (key, reason) in
            [("short", "at least 16"), ("with space 0123456789", "visible"), ("clé-0123456789012", "visible")]
        {
            let error = ApiKeys::new([key]).unwrap_err();
            assert!(error.contains(reason) && !error.contains(key), "{error}");
        }
    }
}
