//! Log lines on standard error, from a chosen level on.

use std::fmt;
use std::sync::atomic::{AtomicU8, Ordering};

/// How important a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing is written at this level: it silences the log.
    Critical,
    /// Something failed inside.
    Error,
    /// Something is not as it should be, and the service goes on.
    Warning,
    /// Start and stop.
    Info,
    /// As `Info`: nothing is written at this level.
    Debug,
}

impl Level {
    /// The names that settings use, in order of importance.
    pub const NAMES: [(&str, Self); 5] = [
        ("critical", Self::Critical),
        ("error", Self::Error),
        ("warning", Self::Warning),
        ("info", Self::Info),
        ("debug", Self::Debug),
    ];
}

static LEVEL: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Write lines of this level and the more important ones.
pub fn set_level(level: Level) {
    LEVEL.store(level as u8, Ordering::Relaxed);
}

/// Write a line.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 <= LEVEL.load(Ordering::Relaxed) {
        eprintln!("{}: {message}", format!("{level:?}").to_uppercase());
    }
}
