//! The bodies of gRPC calls: requests within their limits, answers that hold what they need until they are sent.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Bytes, HttpBody};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::body::Body;

use crate::buffers::Reservation;
use crate::capacity::InHand;
use crate::endpoints::THREAD_BYTES;
use crate::errors::RequestError;
use crate::inference_request::invalid;

/// What stands before a message: whether it is compressed, and its length in four bytes.
const PREFIX_BYTES: usize = 5;

/// What a call holds of the process's resources, from its head to the end of its answer.
pub struct Hold {
    reservation: Mutex<Reservation>,
    _in_hand: Option<InHand>,
}

impl Hold {
    /// A place, if the call needs one, and no memory yet.
    pub fn new(reservation: Reservation, in_hand: Option<InHand>) -> Arc<Self> {
        Arc::new(Self { reservation: Mutex::new(reservation), _in_hand: in_hand })
    }

    /// Hold `size` bytes, more or fewer than before; small sizes are not counted.
    pub fn resize(&self, size: usize) -> Result<(), RequestError> {
        let mut reservation = self.reservation.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = reservation.resize(if size > THREAD_BYTES { size } else { 0 });
        if fits { Ok(()) } else { Err(RequestError::Overloaded) }
    }
}

/// The request's body of a call. Where the call takes one message, it is exactly that.
pub struct Arriving {
    body: Body,
    hold: Arc<Hold>,
    limit: usize,
    received: usize,
    /// The prefix, as far as it has come; None where there may be several messages.
    prefix: Option<Vec<u8>>,
    time: Duration,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Arriving {
    /// A body with one message of at most `limit` bytes, which may take this long; or with several that have at most
    /// `limit` bytes in all.
    pub fn new(body: Body, hold: Arc<Hold>, limit: usize, time: Duration, is_unary: bool) -> Self {
        let prefix = is_unary.then(|| Vec::with_capacity(PREFIX_BYTES));
        Self { body, hold, limit, received: 0, prefix, time, timer: None }
    }

    fn take(&mut self, data: &[u8]) -> Result<(), RequestError> {
        self.received = self.received.saturating_add(data.len());
        let mut announced = 0;
        if let Some(prefix) = &mut self.prefix {
            prefix.extend(&data[..data.len().min(PREFIX_BYTES - prefix.len())]);
            announced = length(prefix).unwrap_or_default();
        }
        let size = announced.max(self.received.saturating_sub(PREFIX_BYTES));
        if size > self.limit {
            return Err(RequestError::TooLarge { unit: "bytes", limit: self.limit });
        }
        if self.prefix.is_some() && size > announced {
            return Err(invalid("there is something behind the message"));
        }
        if self.received > THREAD_BYTES {
            self.hold.resize(self.received)?;
        }
        Ok(())
    }

    fn end(&self) -> Result<(), RequestError> {
        let Some(prefix) = &self.prefix else { return Ok(()) };
        let is_whole = length(prefix).is_some_and(|length| self.received == PREFIX_BYTES + length);
        if is_whole { Ok(()) } else { Err(invalid("the message ended early")) }
    }

    fn is_late(&mut self, cx: &mut Context<'_>) -> bool {
        let time = self.time;
        self.prefix.is_some() && self.timer.get_or_insert_with(|| Box::pin(sleep(time))).as_mut().poll(cx).is_ready()
    }
}

/// The length in a complete prefix.
fn length(prefix: &[u8]) -> Option<usize> {
    let length = prefix.get(1..)?.first_chunk()?;
    usize::try_from(u32::from_be_bytes(*length)).ok()
}

impl HttpBody for Arriving {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Pending if self.is_late(cx) => {
                let seconds = self.time.as_secs();
                Some(Err(RequestError::Timeout { seconds }.into()))
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Some(Ok(frame))) => {
                let taken = frame.data_ref().map_or(Ok(()), |data| self.take(data));
                Some(taken.map(|()| frame).map_err(Status::from))
            }
            Poll::Ready(Some(Err(error))) => Some(Err(error)),
            Poll::Ready(None) => self.end().err().map(|error| Err(error.into())),
        };
        Poll::Ready(frame)
    }
}

/// An answer's body, and what is given back when the last part of it is on its way.
pub struct Answering<T> {
    body: Body,
    _holds: T,
}

impl<T> Answering<T> {
    /// The answer, which holds something until then.
    pub fn new(body: Body, holds: T) -> Self {
        Self { body, _holds: holds }
    }
}

impl<T: Unpin> HttpBody for Answering<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
