//! The room that the process has for large bodies and their answers.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::task::yield_now;

/// How much of a long answer is handed on at once.
const PART_BYTES: usize = 256 << 10;

/// Bytes that are free.
pub struct Buffers(AtomicUsize);

impl Buffers {
    /// Room for `size` bytes.
    pub fn new(size: usize) -> Arc<Self> {
        Arc::new(Self(AtomicUsize::new(size)))
    }

    /// What one request holds of them: nothing yet.
    pub fn reserve(self: &Arc<Self>) -> Reservation {
        Reservation { buffers: Arc::clone(self), held: 0 }
    }
}

/// What one request holds of the buffers, until it is dropped.
pub struct Reservation {
    buffers: Arc<Buffers>,
    held: usize,
}

impl Reservation {
    /// Hold `size` bytes, more or fewer than before. Returns whether that many are free; if not, nothing changes.
    #[must_use]
    pub fn resize(&mut self, size: usize) -> bool {
        let take = |free: usize| (free + self.held).checked_sub(size);
        let taken = self.buffers.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok();
        if taken {
            self.held = size;
        }
        taken
    }

    /// Give all of it back.
    pub fn release(&mut self) {
        self.buffers.0.fetch_add(std::mem::take(&mut self.held), Ordering::Relaxed);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.release();
    }
}

/// A long answer, in parts, between which other connections have their turn: only as much of it as the client reads is
/// copied for sending. What it `holds` is given back when the last part is on its way.
pub struct LongAnswer<T> {
    /// Whether others have had their turn since the last part.
    others_went: bool,
    rest: Bytes,
    _holds: T,
}

impl<T: Send + Unpin + 'static> LongAnswer<T> {
    /// The content as a response's body.
    pub fn body(content: Bytes, holds: T) -> Body {
        Body::new(Self { others_went: true, rest: content, _holds: holds })
    }
}

impl<T: Unpin> HttpBody for LongAnswer<T> {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        if !std::mem::replace(&mut self.others_went, true) {
            ready!(poll_others(cx));
        }
        self.others_went = false;
        let part = self.rest.len().min(PART_BYTES);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(part)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}

/// Let others go first, once: pending, and the task goes on when all ready tasks have been polled and the sockets
/// checked. Waking the task itself is not enough, as the runtime checks the sockets only when no task is ready, or on
/// every sixty-first turn.
pub(crate) fn poll_others(cx: &mut Context<'_>) -> Poll<()> {
    pin!(yield_now()).poll(cx)
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use http_body_util::BodyExt;

    #[test]
    fn what_is_held_is_missing_and_what_is_dropped_is_back() {
        let buffers = Buffers::new(100);
        let (mut first, mut second) = (buffers.reserve(), buffers.reserve());
        assert!(first.resize(60) && !second.resize(41) && second.resize(40));
        assert!(!first.resize(61) && first.resize(10) && second.resize(90));
        drop(second);
        assert!(first.resize(100) && !buffers.reserve().resize(1));
    }

    #[tokio::test]
    async fn a_long_answer_is_whole_and_holds_until_it_is_sent() {
        let content: Vec<u8> = (0..PART_BYTES * 2 + 5).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let held = Arc::new(());
        let mut body = LongAnswer::body(content.clone().into(), Arc::clone(&held));
        assert_eq!(body.size_hint().exact(), Some(content.len() as u64));
        let mut received = Vec::new();
        while let Some(frame) = body.frame().await {
            assert_eq!(Arc::strong_count(&held), 2);
            received.extend(frame.unwrap().into_data().unwrap());
        }
        drop(body);
        assert_eq!((received, Arc::strong_count(&held)), (content, 1));
    }

    #[test]
    fn between_two_parts_others_have_their_turn() {
        let mut answer = LongAnswer { others_went: true, rest: vec![7; PART_BYTES * 2].into(), _holds: () };
        let mut poll = || Pin::new(&mut answer).poll_frame(&mut Context::from_waker(Waker::noop()));
        assert!(poll().is_ready() && poll().is_pending() && poll().is_ready());
    }
}
