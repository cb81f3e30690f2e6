//! The stream between a connection and hyper: hands on whole, checked heads and their bodies, and ends with patience.

use std::io::{Error, ErrorKind, Result};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::buffers::poll_others;
use crate::errors::RequestError;
use crate::framing::{Framing, HEAD_BYTES, Stop};

/// How much a connection may hold of an unfinished head in any case, so that full buffers do not shut out ordinary
/// clients.
const OWN_BYTES: usize = 4 << 10;
/// How long a connection that is ending reads on: unread bytes would reset it, perhaps before the answer is read.
const LINGER_TIME: Duration = Duration::from_secs(5);
/// The same between two requests, where little can be lost, and a service that stops waits for it.
const IDLE_LINGER_TIME: Duration = Duration::from_millis(500);
/// How much it reads in that time.
const LINGER_BYTES: usize = 32 << 20;
/// How much of it at once.
const DISCARD_BYTES: usize = 16 << 10;

/// How much is read from a connection before others have their turn: a large body is there all at once, and hyper would
/// read on. In shorter turns, bodies that arrive together would share the room that is left, and one that could have
/// had it would be refused. The lengths of small requests add up to it as well, at no noticeable cost.
const TURN_BYTES: usize = 1 << 20;

/// The method of the request that hyper gets in place of a refused one. No client can send it.
pub const REFUSED: &str = "REFUSED";
const REFUSED_HEAD: &[u8] = b"REFUSED / HTTP/1.1\r\nconnection: close\r\n\r\n";

/// How many bytes all connections may hold of unfinished heads, beyond their own.
pub struct Unfinished(AtomicUsize);

impl Unfinished {
    /// Room for `size` bytes.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(size)))
    }
}

/// Why a connection's last request is refused, from its gate to what answers.
#[derive(Clone, Default)]
pub struct Refusal(Arc<Mutex<Option<RequestError>>>);

impl Refusal {
    /// The reason, once.
    pub fn take(&self) -> Option<RequestError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn set(&self, error: RequestError) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// A stream of requests that may be answered. The first one that may not is replaced by a `REFUSED` one, so that those
/// before it are answered first; then nothing more is read until the end.
pub struct Gate<S> {
    stream: S,
    framing: Framing,
    /// An unfinished head.
    pending: Vec<u8>,
    /// How much of it is counted.
    held: usize,
    unfinished: Arc<Unfinished>,
    /// What hyper gets next, from the index on.
    passed: (Vec<u8>, usize),
    refusal: Refusal,
    is_refused: bool,
    broken: bool,
    /// Nothing more comes, or nothing that comes matters.
    ended: bool,
    linger: Option<(Pin<Box<Sleep>>, usize)>,
    /// How much has been read since other connections had their turn.
    since_turn: usize,
}

impl<S> Gate<S> {
    /// A gate before `stream`, which puts into `refusal` why it is closed.
    pub fn new(stream: S, unfinished: Arc<Unfinished>, refusal: Refusal) -> Self {
        Self {
            stream,
            framing: Framing::default(),
            pending: Vec::new(),
            held: 0,
            unfinished,
            passed: (Vec::new(), 0),
            refusal,
            is_refused: false,
            broken: false,
            ended: false,
            linger: None,
            since_turn: 0,
        }
    }

    fn refuse(&mut self, error: RequestError) {
        self.refusal.set(error);
        self.is_refused = true;
        self.hold(Vec::new());
        self.passed.0.extend(REFUSED_HEAD);
    }

    fn stop(&mut self, stop: Option<Stop>) {
        match stop {
            Some(Stop::Refused(error)) => self.refuse(error),
            Some(Stop::BrokenChunk) => self.broken = true,
            None => {}
        }
    }

    /// If an answer can't be written, there is none that reading on could save.
    fn watch(&mut self, written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        self.ended |= matches!(written, Poll::Ready(Err(_)));
        written
    }

    /// Keep an unfinished head, if there is room for it.
    fn hold(&mut self, pending: Vec<u8>) {
        let wanted = pending.len().saturating_sub(OWN_BYTES);
        let take = |free: usize| (free + self.held).checked_sub(wanted);
        let fits =
            wanted == self.held || self.unfinished.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if fits {
            (self.pending, self.held) = (pending, wanted);
        } else {
            self.refuse(RequestError::Overloaded);
        }
    }

    /// Pass on what has been accepted, as far as there is room.
    fn deliver(&mut self, buf: &mut ReadBuf<'_>) {
        let (bytes, at) = &mut self.passed;
        let size = buf.remaining().min(bytes.len() - *at);
        buf.put_slice(&bytes[*at..*at + size]);
        *at += size;
        if *at == bytes.len() {
            self.passed = (Vec::new(), 0);
        }
    }
}

impl<S> Drop for Gate<S> {
    fn drop(&mut self) {
        self.unfinished.0.fetch_add(self.held, Ordering::Relaxed);
    }
}

impl<S: AsyncRead + Unpin> Gate<S> {
    /// Read into `buf` itself, and take back only what must not pass: most requests arrive whole, and are not copied.
    fn poll_pass(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        if self.since_turn >= TURN_BYTES {
            self.since_turn = 0;
            ready!(poll_others(cx));
        }
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        let arrived = &buf.filled()[before..];
        self.since_turn += arrived.len();
        self.ended = arrived.is_empty();
        let (passed, stop) = self.framing.pass(arrived);
        if passed < arrived.len() {
            let rest = arrived[passed..].to_vec();
            buf.set_filled(before + passed);
            if stop.is_none() {
                self.hold(rest);
            }
        }
        self.stop(stop);
        Poll::Ready(Ok(()))
    }

    /// Read on after an unfinished head.
    fn poll_pending(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let mut more = [0; DISCARD_BYTES];
        let mut more = ReadBuf::new(&mut more);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut more))?;
        self.ended = more.filled().is_empty();
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend(more.filled());
        let (passed, stop) = self.framing.pass(&pending);
        let rest = pending.split_off(passed);
        self.passed = (pending, 0);
        if stop.is_none() {
            self.hold(rest);
        }
        self.stop(stop);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gate<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        let before = buf.filled().len();
        loop {
            if !self.passed.0.is_empty() {
                self.deliver(buf);
                return Poll::Ready(Ok(()));
            }
            if self.broken {
                return Poll::Ready(Err(Error::new(ErrorKind::InvalidData, "its chunks make no sense")));
            }
            if self.is_refused {
                return Poll::Pending; // hyper closes when it has answered; only its writing can wake it
            }
            if self.pending.is_empty() {
                ready!(self.poll_pass(cx, buf))?;
            } else {
                ready!(self.poll_pending(cx))?;
            }
            if self.ended || buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Gate<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[std::io::IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Signal that nothing more will be sent; then, if the client still sends, read what it sends for a while. Once
    /// that is over, nothing happens any more.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let gate = &mut *self;
        if gate.linger.is_none() {
            ready!(Pin::new(&mut gate.stream).poll_shutdown(cx))?;
            gate.hold(Vec::new());
            let between = gate.framing == Framing::Head && !gate.is_refused;
            gate.linger = Some((Box::pin(sleep(if between { IDLE_LINGER_TIME } else { LINGER_TIME })), LINGER_BYTES));
        }
        let Some((time, left)) = &mut gate.linger else { return Poll::Ready(Ok(())) };
        let mut scratch = [0; DISCARD_BYTES];
        while !gate.ended && *left > 0 && time.as_mut().poll(cx).is_pending() {
            let mut discarded = ReadBuf::new(&mut scratch);
            ready!(Pin::new(&mut gate.stream).poll_read(cx, &mut discarded))?;
            gate.ended = discarded.filled().is_empty();
            *left = left.saturating_sub(discarded.filled().len());
        }
        Poll::Ready(Ok(()))
    }
}

/// The longest head, and room for what follows it.
pub const READ_BYTES: usize = 2 * HEAD_BYTES;

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn in_a_long_body_others_have_their_turn() {
        let head = format!("POST / HTTP/1.1\r\ncontent-length: {}\r\n\r\n", 2 * TURN_BYTES);
        let request = [head.into_bytes(), vec![b'0'; 2 * TURN_BYTES]].concat();
        let mut gate = Gate::new(request.as_slice(), Unfinished::new(0), Refusal::default());
        let (mut received, mut turns) = (Vec::new(), 0);
        while received.len() < request.len() {
            let mut part = vec![0; READ_BYTES];
            let mut part = ReadBuf::new(&mut part);
            match Pin::new(&mut gate).poll_read(&mut Context::from_waker(Waker::noop()), &mut part) {
                Poll::Ready(read) => read.map(|()| received.extend_from_slice(part.filled())).unwrap(),
                Poll::Pending => turns += 1,
            }
        }
        assert_eq!((received.as_slice(), turns), (request.as_slice(), 2));
    }
}
