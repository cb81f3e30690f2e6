//! Where the requests on a connection begin and end, and which of their heads are refused.
//!
//! hyper accepts more than the service promises to (bare LF, a length beside a transfer encoding, absolute targets),
//! and doesn't show it to the application. So every head is checked here first; what passes means the same to both.

use memchr::memmem;

use crate::errors::RequestError;

/// The longest request line and header fields together.
pub const HEAD_BYTES: usize = 64 << 10;
/// The most header fields of a request.
pub const MAX_FIELDS: usize = 100;

const HEAD_END: &[u8] = b"\r\n\r\n";
/// HTTP's methods that act on a resource; CONNECT asks for a tunnel.
const METHODS: [&[u8]; 9] = [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"TRACE", b"PATCH", b"QUERY"];
/// The longest line that gives a chunk's size or a trailer.
const CHUNK_LINE_BYTES: usize = 8 << 10;

/// Why the bytes of a connection go no further.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// The head that begins there is refused.
    Refused(RequestError),
    /// The chunks of a body make no sense.
    BrokenChunk,
}

/// What the next byte of a connection belongs to.
#[derive(Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// A request's head, or the empty lines before it.
    #[default]
    Head,
    /// A body of which this much is missing.
    Body(u64),
    /// The line before a chunk, of which this much has arrived.
    ChunkLine(Vec<u8>),
    /// A chunk of which this much is missing, including the line end after it.
    Chunk(u64),
    /// A trailer's line, of which this much has arrived.
    Trailer(Vec<u8>),
}

impl Framing {
    /// How many of the bytes belong to requests that may be answered, as far as they have arrived; and why there are no
    /// more, unless more just haven't arrived. What is left is an unfinished head.
    pub fn pass(&mut self, bytes: &[u8]) -> (usize, Option<Stop>) {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            match self.step(rest) {
                Ok(0) => break,
                Ok(passed) => at += passed,
                Err(stop) => return (at, Some(stop)),
            }
        }
        (at, None)
    }

    fn step(&mut self, rest: &[u8]) -> Result<usize, Stop> {
        match self {
            Self::Head => self.head(rest),
            Self::Body(missing) => {
                let passed = usize::try_from(*missing).unwrap_or(usize::MAX).min(rest.len());
                *missing -= passed as u64;
                if *missing == 0 {
                    *self = Self::Head;
                }
                Ok(passed)
            }
            Self::Chunk(missing) => {
                let passed = usize::try_from(*missing).unwrap_or(usize::MAX).min(rest.len());
                let end = &rest[usize::try_from(missing.saturating_sub(2)).unwrap_or(usize::MAX).min(passed)..passed];
                // the last two bytes are a line end
                let expected = if *missing == 1 { &b"\n"[..] } else { b"\r\n" };
                if !expected.starts_with(end) {
                    return Err(Stop::BrokenChunk);
                }
                *missing -= passed as u64;
                if *missing == 0 {
                    *self = Self::ChunkLine(Vec::new());
                }
                Ok(passed)
            }
            Self::ChunkLine(line) => {
                let (passed, complete) = read_line(line, rest)?;
                if complete {
                    *self = match chunk_size(line).ok_or(Stop::BrokenChunk)? {
                        0 => Self::Trailer(Vec::new()),
                        size => Self::Chunk(size + 2),
                    };
                }
                Ok(passed)
            }
            Self::Trailer(line) => {
                let (passed, complete) = read_line(line, rest)?;
                if complete {
                    *self = if line.as_slice() == b"\r\n" { Self::Head } else { Self::Trailer(Vec::new()) };
                }
                Ok(passed)
            }
        }
    }

    fn head(&mut self, rest: &[u8]) -> Result<usize, Stop> {
        let empty = rest.iter().position(|byte| !b"\r\n".contains(byte)).unwrap_or(rest.len());
        let head = &rest[empty..];
        let Some(end) = memmem::find(head, HEAD_END) else {
            return check_unfinished(head).map(|()| 0).map_err(Stop::Refused);
        };
        *self = check(&head[..end + 2]).map_err(Stop::Refused)?;
        Ok(empty + end + HEAD_END.len())
    }
}

/// The bytes up to the end of a line that began with `line`, and whether they are all of it.
fn read_line(line: &mut Vec<u8>, rest: &[u8]) -> Result<(usize, bool), Stop> {
    let end = memchr::memchr(b'\n', rest).map(|at| at + 1);
    line.extend(&rest[..end.unwrap_or(rest.len()).min(CHUNK_LINE_BYTES)]);
    if line.len() >= CHUNK_LINE_BYTES || (end.is_some() && !line.ends_with(b"\r\n")) {
        return Err(Stop::BrokenChunk);
    }
    Ok((end.unwrap_or(rest.len()), end.is_some()))
}

/// The size in a line like `1f;extension\r\n`.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let text = str::from_utf8(&line[..digits]).ok().filter(|digits| digits.len() < 16)?;
    b";\r".contains(&line[digits]).then(|| u64::from_str_radix(text, 16).ok())?
}

/// Refuse bytes that can no longer become a head, whatever follows.
fn check_unfinished(head: &[u8]) -> Result<(), RequestError> {
    check_size(head.len(), memchr::memchr_iter(b'\n', head).count().saturating_sub(1))?;
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let Some(first) = lines.next() else { return Ok(()) };
    if !first.ends_with(b"\n") {
        let method = first.iter().take_while(|byte| byte.is_ascii_uppercase()).count();
        let begins = (1..=16).contains(&method) && first.get(method).is_none_or(|byte| *byte == b' ');
        return if begins { Ok(()) } else { bad("it does not begin with a method and a target") };
    }
    request_line(first.strip_suffix(b"\r\n").ok_or(RequestError::BadHead(BARE_LF))?)?;
    if lines.any(|line| line.ends_with(b"\n") && !line.ends_with(b"\r\n")) { bad(BARE_LF) } else { Ok(()) }
}

const BARE_LF: &str = "a line ends with LF, not with CR LF";

fn check_size(bytes: usize, fields: usize) -> Result<(), RequestError> {
    if bytes > HEAD_BYTES {
        return Err(RequestError::HeadTooLarge { unit: "bytes", limit: HEAD_BYTES });
    }
    if fields > MAX_FIELDS {
        return Err(RequestError::HeadTooLarge { unit: "fields", limit: MAX_FIELDS });
    }
    Ok(())
}

fn bad<T>(reason: &'static str) -> Result<T, RequestError> {
    Err(RequestError::BadHead(reason))
}

/// Whether the request line, without its end, is one of HTTP/1.1; it may be one of HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, RequestError> {
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return bad("the request line is not METHOD /path HTTP/1.1");
    };
    if method == b"CONNECT" {
        return bad("CONNECT is not served");
    }
    if !METHODS.contains(&method) {
        return bad("the method is not one of HTTP");
    }
    if !target.starts_with(b"/") || target.contains(&b'#') {
        return bad("a target begins with / and has no #");
    }
    match version {
        _ if !target.iter().all(u8::is_ascii_graphic) => bad("the target has other characters than visible ASCII ones"),
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => bad("the request line is not METHOD /path HTTP/1.1"),
    }
}

/// What follows a head, which is given with its last line end and without the empty line.
fn check(head: &[u8]) -> Result<Framing, RequestError> {
    check_size(head.len() + 2, memchr::memchr_iter(b'\n', head).count().saturating_sub(1))?;
    let mut lines = head.split_inclusive(|byte| *byte == b'\n');
    let mut line = || match lines.next() {
        Some(line) => line.strip_suffix(b"\r\n").map(Some).ok_or(RequestError::BadHead(BARE_LF)),
        None => Ok(None),
    };
    let is_http_11 = request_line(line()?.unwrap_or_default())?;
    let (mut host, mut length, mut chunked) = (false, None, false);
    while let Some(line) = line()? {
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"host") {
            if std::mem::replace(&mut host, true) {
                return bad("host is there more than once");
            }
        } else if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(digits(value)?).is_some() {
                return bad("content-length is there more than once");
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if !is_http_11 || chunked || !value.eq_ignore_ascii_case(b"chunked") {
                return bad("the transfer encoding is not chunked");
            }
            chunked = true;
        }
    }
    match (chunked, length) {
        (true, Some(_)) => bad("there is a content-length and a transfer-encoding"),
        (true, None) => Ok(Framing::ChunkLine(Vec::new())),
        (false, None | Some(0)) => Ok(Framing::Head),
        (false, Some(length)) => Ok(Framing::Body(length)),
    }
}

/// Name and value of a field's line.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), RequestError> {
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    let colon = line.iter().position(|byte| !is_token(byte)).unwrap_or(line.len());
    if colon == 0 || line.get(colon) != Some(&b':') {
        return bad("a line is not a header field");
    }
    let value = &line[colon + 1..];
    if value.iter().any(|byte| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f) {
        return bad("a header field has a control character in it");
    }
    Ok((&line[..colon], value.trim_ascii()))
}

fn digits(value: &[u8]) -> Result<u64, RequestError> {
    let text = str::from_utf8(value).ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    // as far as hyper counts
    let length = text.and_then(|text| text.parse().ok()).filter(|length| *length < u64::MAX - 1);
    length.ok_or(RequestError::BadHead("content-length is not a length"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What passes of bytes that arrive in parts of each size, which must make no difference.
    fn passes(bytes: &[u8]) -> (usize, Option<Stop>) {
        let whole = Framing::default().pass(bytes);
        for size in 1..bytes.len() {
            let (mut framing, mut pending, mut passed, mut stop) = (Framing::default(), Vec::new(), 0, None);
            for part in bytes.chunks(size) {
                pending.extend(part);
                let (ready, stopped) = framing.pass(&pending);
                passed += ready;
                pending.drain(..ready);
                stop = stopped;
                if stop.is_some() {
                    break;
                }
            }
            match (&whole.1, &stop) {
                (Some(Stop::Refused(_)), Some(Stop::Refused(_))) => assert_eq!(passed, whole.0, "parts of {size}"),
                (a, b) => assert_eq!(a, b, "parts of {size}"),
            }
        }
        whole
    }

    const GOOD: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

    fn refusal(head: &[u8]) -> &'static str {
        let (passed, stop) = passes(&[GOOD, head].concat());
        assert_eq!(passed, GOOD.len(), "{}", head.escape_ascii());
        match stop {
            Some(Stop::Refused(RequestError::BadHead(reason))) => reason,
            other => panic!("{}: {other:?}", head.escape_ascii()),
        }
    }

    #[test]
    fn requests_pass_whole_with_their_bodies() {
        for requests in [
            &[GOOD, GOOD].concat()[..],
            b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n\r\n\rGET /?a HTTP/1.0\r\n\r\n",
            b"\r\n\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nt: 1\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            b"POST / HTTP/1.1\r\ncontent-length: 2\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\nab",
        ] {
            assert_eq!(passes(requests), (requests.len(), None), "{}", requests.escape_ascii());
        }
    }

    #[test]
    fn an_unfinished_head_waits() {
        assert_eq!(passes(&[GOOD, b"GET / HT"].concat()), (GOOD.len(), None));
        assert_eq!(passes(b"\r\nGET / HTTP/1.1\r\na: b\r\n").1, None);
    }

    #[test]
    fn heads_that_mean_different_things_to_different_readers_are_refused() {
        for (head, reason) in [
            (&b"GET / HTTP/1.1\nhost: x\r\n\r\n"[..], BARE_LF),
            (b"GET / HTTP/1.1\r\nhost: x\na: b\r\n\r\n", BARE_LF),
            (b"GET / HTTP/1.1\r\na: b\r\n c\r\n\r\n", "a line is not a header field"),
            (b"GET / HTTP/1.1\r\na : b\r\n\r\n", "a line is not a header field"),
            (b"GET / HTTP/1.1\r\na: \x01\r\n\r\n", "a header field has a control character in it"),
            (b"GET  / HTTP/1.1\r\n\r\n", "the request line is not METHOD /path HTTP/1.1"),
            (b"GET / HTTP/2.0\r\n\r\n", "the request line is not METHOD /path HTTP/1.1"),
            (b"GET http://x/ HTTP/1.1\r\n\r\n", "a target begins with / and has no #"),
            (b"OPTIONS * HTTP/1.1\r\n\r\n", "a target begins with / and has no #"),
            (b"CONNECT x:443 HTTP/1.1\r\n\r\n", "CONNECT is not served"),
            (b"BREW / HTTP/1.1\r\n\r\n", "the method is not one of HTTP"),
            (b"\x16\x03\x01", "it does not begin with a method and a target"),
            (b"POST / HTTP/1.1\r\nhost: x\r\nHost: x\r\n\r\n", "host is there more than once"),
            (
                b"POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 1\r\n\r\n",
                "content-length is there more than once",
            ),
            (b"POST / HTTP/1.1\r\ncontent-length: +1\r\n\r\n", "content-length is not a length"),
            (b"POST / HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n", "content-length is not a length"),
            (b"POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n", "the transfer encoding is not chunked"),
            (b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", "the transfer encoding is not chunked"),
            (
                b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 1\r\n\r\n",
                "there is a content-length and a transfer-encoding",
            ),
        ] {
            assert_eq!(refusal(head), reason, "{}", head.escape_ascii());
        }
    }

    #[test]
    fn heads_are_bounded() {
        let too_many = Some(Stop::Refused(RequestError::HeadTooLarge { unit: "fields", limit: MAX_FIELDS }));
        let head = |fields| [b"GET / HTTP/1.1\r\n", b"a:b\r\n".repeat(fields).as_slice(), b"\r\n"].concat();
        assert_eq!(passes(&head(MAX_FIELDS)).1, None);
        assert_eq!(passes(&head(MAX_FIELDS + 1)).1, too_many);
        let (_, stop) = Framing::default().pass(&[&b"GET /"[..], &vec![b'a'; HEAD_BYTES]].concat());
        assert_eq!(stop, Some(Stop::Refused(RequestError::HeadTooLarge { unit: "bytes", limit: HEAD_BYTES })));
    }

    #[test]
    fn chunks_that_make_no_sense_stop() {
        for body in
            ["zz\r\n", "1\nab\r\n", "1\r\nab\r\n", "1\r\na\rb", "1 \r\na\r\n", "ffffffffffffffff\r\n", "0\r\na\n\n"]
        {
            let request = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
            assert_eq!(passes(request.as_bytes()).1, Some(Stop::BrokenChunk), "{body:?}");
        }
    }
}
