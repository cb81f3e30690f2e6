//! The name of a request in its answer, in log lines and in the record: the client's own, or one made here.

use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;

use crate::routes::Endpoint;

/// The header field that has it, in requests and in answers.
pub(crate) const NAME: &str = "x-request-id";
const REQUEST_ID: HeaderName = HeaderName::from_static(NAME);

/// The longest one that is accepted.
const LONGEST: usize = 128;

/// 1 to 128 visible ASCII characters.
#[derive(Clone, Debug)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The request's own, if it has exactly one; otherwise a new one of 32 hexadecimal digits.
    pub fn of(headers: &HeaderMap) -> Self {
        let mut given = headers.get_all(REQUEST_ID).iter();
        match (given.next(), given.next()) {
            (Some(id), None) if is_usable(id.as_bytes()) => Self(id.clone()),
            _ => Self::new(),
        }
    }

    /// The one of a request to a predict route, however it is answered; other answers have none.
    pub(crate) fn of_path(path: &str, headers: &HeaderMap) -> Option<Self> {
        Endpoint::of(path).map(|_| Self::of(headers))
    }

    fn new() -> Self {
        static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(std::process::id()));
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let number = (u128::from(*PROCESS) << 64) | u128::from(REQUESTS.fetch_add(1, Ordering::Relaxed));
        let digits: [u8; 32] =
            std::array::from_fn(|index| b"0123456789abcdef"[(number >> (124 - 4 * index)) as usize & 15]);
        Self(HeaderValue::from_bytes(&digits).unwrap_or(const { HeaderValue::from_static("-") })) // digits are allowed
    }

    /// Its characters.
    pub fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }

    /// Name the request in its answer.
    pub fn echo<B>(self, response: &mut Response<B>) {
        response.headers_mut().insert(REQUEST_ID, self.0);
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

fn is_usable(id: &[u8]) -> bool {
    (1..=LONGEST).contains(&id.len()) && id.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn id(values: &[&[u8]]) -> String {
        let value = |value: &&[u8]| (REQUEST_ID, HeaderValue::from_bytes(value).unwrap());
        RequestId::of(&values.iter().map(value).collect()).to_string()
    }

    fn is_made(id: &str) -> bool {
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
    }

    #[test]
    fn a_usable_one_is_taken() {
        let longest = "~".repeat(LONGEST);
        for given in ["a", "!\"\\{}", &longest] {
            assert_eq!(id(&[given.as_bytes()]), given);
        }
    }

    #[test]
    fn anything_else_is_replaced() {
        let too_long = [b'a'; LONGEST + 1];
        for given in [&b""[..], b"a b", b"a\tb", b"\xe9", &too_long] {
            assert!(is_made(&id(&[given])), "{given:?}");
        }
        for several in [&[][..], &[&b"a"[..], b"b"], &[b"a", b"a"]] {
            assert!(is_made(&id(several)), "{several:?}");
        }
    }

    #[test]
    fn no_two_are_the_same() {
        let made: HashSet<String> = (0..1000).map(|_| id(&[])).collect();
        assert_eq!(made.len(), 1000);
        assert!(made.iter().all(|id| is_made(id)));
    }
}
