//! One run of the model for the rows of several requests: those that are to be answered in the same turn anyway.
//!
//! A row costs several times as much in a run of its own as among others. No request waits for another to arrive: the
//! first row of a turn lets all ready tasks go first, and is then answered with the rows that they brought.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use tokio::sync::oneshot;
use tokio::task::yield_now;

use crate::errors::RequestError;
use crate::request_id::RequestId;

/// A request for the answer to one row.
pub(crate) struct Row {
    pub(crate) id: RequestId,
    pub(crate) body: Bytes,
}

/// The body of the answer to a row.
pub(crate) type Answer = Result<Vec<u8>, RequestError>;

/// A row, and where its answer goes; the row whose request does the work needs no such place.
type Waiting = (Row, Option<oneshot::Sender<Answer>>);

/// How many rows a run has at most: many rows get several runs in a turn, so that the first ones don't wait for all the
/// others.
const MOST_ROWS: usize = 64;

/// What a row's request has to do.
enum Part {
    /// It lets others go before it, and answers the rows that they bring.
    First,
    /// It is answered.
    Waits(oneshot::Receiver<Answer>),
    /// It answers these rows, its own among them, since there are enough.
    Full(Vec<Waiting>),
}

/// The rows that wait for the end of a turn, those of each thread apart.
pub(crate) struct SharedRuns(Vec<Mutex<Vec<Waiting>>>);

impl SharedRuns {
    /// For rows that so many threads bring.
    pub(crate) fn new(threads: usize) -> Self {
        Self((0..threads).map(|_| Mutex::default()).collect())
    }

    /// The answer to a row: `run` gives it, with those to the other rows of this thread's turn, in their order.
    pub(crate) async fn answer(&self, row: Row, run: impl Fn(&[Row]) -> Vec<Answer>) -> Answer {
        let waiting = &self.0[thread_number() % self.0.len()];
        let answer = match join(waiting, row) {
            Part::First => {
                let mut turn = Turn { waiting, run: Some(run) };
                yield_now().await;
                turn.end()
            }
            Part::Waits(answer) => answer.await.ok(),
            Part::Full(rows) => answer_all(rows, run),
        };
        answer.unwrap_or(Err(RequestError::Internal))
    }
}

/// Let a row wait for the end of the turn.
fn join(waiting: &Mutex<Vec<Waiting>>, row: Row) -> Part {
    let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
    if waiting.is_empty() {
        waiting.push((row, None));
        return Part::First;
    }
    if waiting.len() == MOST_ROWS {
        let mut full = waiting.split_off(1); // the first one waits for the end, to answer those that are still to come
        full.push((row, None));
        return Part::Full(full);
    }
    let (sender, answer) = oneshot::channel();
    waiting.push((row, Some(sender)));
    Part::Waits(answer)
}

/// Answer the rows in one run. Returns the answer of the one that has no sender.
fn answer_all(waiting: Vec<Waiting>, run: impl Fn(&[Row]) -> Vec<Answer>) -> Option<Answer> {
    let (rows, senders): (Vec<_>, Vec<_>) = waiting.into_iter().unzip();
    let mut own = None;
    for (answer, sender) in run(&rows).into_iter().zip(senders) {
        match sender {
            Some(sender) => _ = sender.send(answer), // an error means that the request was cancelled
            None => own = Some(answer),
        }
    }
    own
}

/// A turn that has begun. It belongs to its first row's request; if that is cancelled, the others are still answered.
struct Turn<'w, F: Fn(&[Row]) -> Vec<Answer>> {
    waiting: &'w Mutex<Vec<Waiting>>,
    run: Option<F>,
}

impl<F: Fn(&[Row]) -> Vec<Answer>> Turn<'_, F> {
    /// Answer the rows that have come. Returns the first one's answer.
    fn end(&mut self) -> Option<Answer> {
        let run = self.run.take()?;
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        answer_all(waiting, run)
    }
}

impl<F: Fn(&[Row]) -> Vec<Answer>> Drop for Turn<'_, F> {
    fn drop(&mut self) {
        self.end();
    }
}

/// The number of this thread, among those that ask.
fn thread_number() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::future::Future;
    use std::task::{Context, Waker};

    use axum::http::HeaderMap;
    use tokio::join;

    use super::*;

    fn row(body: &'static str) -> Row {
        Row { id: RequestId::of(&HeaderMap::new()), body: Bytes::from_static(body.as_bytes()) }
    }

    /// Answers each row with its body, and notes who was in the run.
    fn echo(runs: &RefCell<Vec<Vec<u8>>>) -> impl Fn(&[Row]) -> Vec<Answer> + Copy + '_ {
        |rows| {
            runs.borrow_mut().push(rows.iter().flat_map(|row| row.body.to_vec()).collect());
            rows.iter().map(|row| Ok(row.body.to_vec())).collect()
        }
    }

    #[tokio::test]
    async fn rows_of_one_turn_are_one_run_and_each_gets_its_own_answer() {
        let (shared, runs) = (SharedRuns::new(1), RefCell::default());
        let run = echo(&runs);
        let answers = join!(shared.answer(row("a"), run), shared.answer(row("b"), run), shared.answer(row("c"), run),);
        assert_eq!(answers, (Ok(b"a".to_vec()), Ok(b"b".to_vec()), Ok(b"c".to_vec())));
        assert_eq!(shared.answer(row("d"), run).await, Ok(b"d".to_vec()));
        assert_eq!(*runs.borrow(), [b"abc".to_vec(), b"d".to_vec()]);
    }

    #[tokio::test]
    async fn a_crowd_has_several_runs_in_a_turn() {
        let (shared, runs) = (SharedRuns::new(1), RefCell::default());
        let run = echo(&runs);
        let mut requests: Vec<_> = (0..=2 * MOST_ROWS).map(|_| Box::pin(shared.answer(row("a"), run))).collect();
        let mut poll = |at: usize| requests[at].as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let begun: Vec<_> = (0..=2 * MOST_ROWS).filter(|at| poll(*at).is_ready()).collect();
        assert_eq!(begun, [MOST_ROWS, 2 * MOST_ROWS]); // those that found enough rows
        assert!((0..2 * MOST_ROWS).filter(|at| *at != MOST_ROWS).all(|at| poll(at).is_ready()));
        assert_eq!(runs.borrow().iter().map(Vec::len).collect::<Vec<_>>(), [MOST_ROWS, MOST_ROWS, 1]);
    }

    #[tokio::test]
    async fn a_request_that_is_cancelled_takes_nobody_with_it() {
        for cancelled in 0..3 {
            let (shared, runs) = (SharedRuns::new(1), RefCell::default());
            let run = echo(&runs);
            let mut requests: Vec<_> =
                ["a", "b", "c"].map(|body| Box::pin(shared.answer(row(body), run))).into_iter().collect();
            for request in &mut requests {
                assert!(request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            }
            drop(requests.remove(cancelled));
            let mut left = ["a", "b", "c"].to_vec();
            left.remove(cancelled);
            for (request, body) in requests.into_iter().zip(left) {
                assert_eq!(request.await, Ok(body.as_bytes().to_vec()));
            }
            assert_eq!(*runs.borrow(), [b"abc".to_vec()]);
            assert_eq!(shared.answer(row("d"), run).await, Ok(b"d".to_vec()));
        }
    }
}
