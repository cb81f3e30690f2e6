//! Threads for large bodies, which give way to those that answer small requests.

use std::cell::Cell;
use std::thread;

use rustix::process::setpriority_process;
use rustix::thread::gettid;

/// The niceness of such a thread, for when both want the same CPU.
const NICENESS: i32 = 10;

/// After how many rows it lets others go first; a larger batch is also predicted in pieces of so many. With niceness
/// alone it would keep the CPU for a whole time slice, some milliseconds, when the other thread has just had its share,
/// such as by reading or writing a large body.
pub(crate) const ROWS_AT_ONCE: usize = 128;

thread_local! {
    static IS_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// Make the current thread one of them, permanently.
pub(crate) fn step_back() {
    if !IS_BACKGROUND.replace(true) {
        // where it isn't allowed, or isn't a thread's own, small requests wait somewhat longer
        let _ = setpriority_process(Some(gettid()), NICENESS);
    }
}

/// Let other threads go first, if this is one of them and that many more rows are done. `row` is the last that is,
/// counted from zero.
pub(crate) fn give_way(row: usize) {
    if row % ROWS_AT_ONCE == ROWS_AT_ONCE - 1 && IS_BACKGROUND.get() {
        thread::yield_now();
    }
}
