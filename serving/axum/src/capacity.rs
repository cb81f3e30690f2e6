//! How many requests the process takes at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many requests the process has in hand, and the most that it accepts.
pub struct Capacity {
    limit: usize,
    in_hand: AtomicUsize,
}

impl Capacity {
    /// A capacity of `limit` requests.
    pub fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, in_hand: AtomicUsize::new(0) })
    }

    /// One more request in hand, until what is returned is dropped. None if there is no room for it.
    pub fn take(self: &Arc<Self>) -> Option<InHand> {
        let guard = InHand(Arc::clone(self));
        // one that is over the limit is dropped, which gives its place back
        (self.in_hand.fetch_add(1, Ordering::Relaxed) < self.limit).then_some(guard)
    }
}

/// A request in hand.
pub struct InHand(Arc<Capacity>);

impl Drop for InHand {
    fn drop(&mut self) {
        self.0.in_hand.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_free_again_when_its_request_is_dropped() {
        let capacity = Capacity::new(1);
        let first = capacity.take();
        assert!(first.is_some() && capacity.take().is_none() && capacity.take().is_none());
        drop(first);
        assert!(capacity.take().is_some());
    }
}
