//! A connection that speaks gRPC, and what ends it: silence, and answers that are left unread.
//!
//! The server asks a quiet client for a sign of life now and then, so that only one that is gone stays silent.

use std::io::{Error, ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Interval, interval_at};
use tokio_io_timeout::TimeoutStream;
use tonic::transport::server::Connected;

/// The answers of a connection that are not sent yet, by the turn in which they were begun: the current one or the
/// last.
#[derive(Default)]
pub struct Answers {
    begun: [AtomicUsize; 2],
    turn: AtomicUsize,
}

impl Answers {
    /// Count one more answer, until the returned value is dropped.
    pub fn begin(self: &Arc<Self>) -> Answer {
        let turn = self.turn.load(Ordering::Relaxed) % 2;
        self.begun[turn].fetch_add(1, Ordering::Relaxed);
        Answer { answers: Arc::clone(self), turn }
    }

    /// Begin the next turn, unless an answer of the last one isn't sent. Returns whether there is such an answer.
    fn is_one_left(&self) -> bool {
        let next = self.turn.load(Ordering::Relaxed) + 1;
        let left = self.begun[next % 2].load(Ordering::Relaxed) > 0;
        if !left {
            self.turn.store(next, Ordering::Relaxed);
        }
        left
    }
}

/// An answer that is being sent.
pub struct Answer {
    answers: Arc<Answers>,
    turn: usize,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.answers.begun[self.turn].fetch_sub(1, Ordering::Relaxed);
    }
}

/// A client's connection.
pub struct GrpcStream {
    stream: Pin<Box<TimeoutStream<TcpStream>>>,
    answers: Arc<Answers>,
    turns: Interval,
    _place: OwnedSemaphorePermit,
}

impl GrpcStream {
    /// A connection in its place. It ends when nothing arrives, or nothing can be written, for this long, and when an
    /// answer is left unread for twice as long.
    pub fn new(stream: TcpStream, time: Duration, place: OwnedSemaphorePermit) -> Self {
        let _ = stream.set_nodelay(true); // an answer is written at once, and must not wait for more
        let mut stream = TimeoutStream::new(stream);
        stream.set_read_timeout(Some(time));
        stream.set_write_timeout(Some(time));
        let turns = interval_at(Instant::now() + time, time);
        Self { stream: Box::pin(stream), answers: Arc::default(), turns, _place: place }
    }
}

impl Connected for GrpcStream {
    type ConnectInfo = Arc<Answers>;

    fn connect_info(&self) -> Arc<Answers> {
        Arc::clone(&self.answers)
    }
}

impl AsyncRead for GrpcStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        while self.turns.poll_tick(cx).is_ready() {
            if self.answers.is_one_left() {
                return Poll::Ready(Err(Error::new(ErrorKind::TimedOut, "an answer is left unread")));
            }
        }
        self.stream.as_mut().poll_read(cx, buf)
    }
}

impl AsyncWrite for GrpcStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<Result<usize>> {
        self.stream.as_mut().poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        self.stream.as_mut().poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.stream.as_mut().poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_left_when_it_outlives_the_turn_after_its_own() {
        let answers = Arc::<Answers>::default();
        let slow = answers.begin();
        assert!(!answers.is_one_left());
        drop(answers.begin());
        assert!(answers.is_one_left() && answers.is_one_left());
        drop(slow);
        assert!(!answers.is_one_left() && !answers.is_one_left());
    }
}
