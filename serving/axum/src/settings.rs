//! Settings of the service, from environment variables, checked once at start.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use crate::formatting::{grouped, quoted};
use crate::log::Level;

const PREFIX: &str = "SERVE_";
const DEFAULT_PORT: u64 = 3000;
const NAMES: [&str; 10] = [
    "SERVE_HOST",
    "SERVE_LOG_LEVEL",
    "SERVE_MANIFEST_SHA256",
    "SERVE_MAX_BATCH_ROWS",
    "SERVE_MAX_BODY_BYTES",
    "SERVE_MAX_CONCURRENCY",
    "SERVE_MODEL_DIR",
    "SERVE_PORT",
    "SERVE_SHUTDOWN_SECONDS",
    "SERVE_WORKERS",
];

/// A setting is wrong. The message names the variable, its value, and what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// `port` 0 takes a free one. The limits hold for a request; `max_concurrency` for one worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the bundle.
    pub model_dir: PathBuf,
    /// The SHA-256 that the manifest must have; None takes the one that is there.
    pub manifest_sha256: Option<String>,
    /// The address or name to listen on.
    pub host: String,
    /// The TCP port to listen on.
    pub port: u16,
    /// Threads that answer requests, each with an ONNX Runtime session.
    pub workers: usize,
    /// The longest request body.
    pub max_body_bytes: usize,
    /// The most rows in a batch.
    pub max_batch_rows: usize,
    /// The most requests that a worker has in hand.
    pub max_concurrency: usize,
    /// How long accepted requests may take after a signal to stop.
    pub shutdown_time: Duration,
    /// The least important log lines to write.
    pub log_level: Level,
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

impl Settings {
    /// The settings that the environment gives; what it doesn't name has a default.
    pub fn read(environment: &Environment) -> Result<Self, SettingsError> {
        let unknown = environment.keys().find(|name| name.starts_with(PREFIX) && !NAMES.contains(&name.as_str()));
        if let Some(name) = unknown {
            return Err(SettingsError(format!("unknown variable {name}; known are {}", NAMES.join(", "))));
        }
        let text = |name: &str| environment.get(name).map_or("", |value| value.trim());
        let or = |name: &str, default: &str| match text(name) {
            "" => default.to_owned(),
            value => value.to_owned(),
        };
        let whole = |name: &str, default: u64, lowest: u64, highest: u64| match text(name) {
            "" => Ok(default),
            value => whole_number(value).filter(|number| (lowest..=highest).contains(number)).ok_or_else(|| {
                let (value, lowest, highest) = (quoted(value), grouped(lowest), grouped(highest));
                SettingsError(format!("{name}={value}: a whole number from {lowest} to {highest} is needed"))
            }),
        };
        let size = |name: &str, default: u64, lowest: u64, highest: u64| {
            whole(name, default, lowest, highest).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        // The standard library's count heeds the CPU affinity and the quota of the cgroup, rounded down.
        let cpus = available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        Ok(Self {
            log_level: log_level(&or("SERVE_LOG_LEVEL", "info").to_lowercase())?,
            model_dir: or("SERVE_MODEL_DIR", "models").into(),
            manifest_sha256: pin(&text("SERVE_MANIFEST_SHA256").to_lowercase())?,
            host: or("SERVE_HOST", "127.0.0.1"),
            port: whole("SERVE_PORT", DEFAULT_PORT, 0, 65_535)?.try_into().unwrap_or_default(),
            workers: size("SERVE_WORKERS", cpus, 1, 256)?,
            max_body_bytes: size("SERVE_MAX_BODY_BYTES", 16 << 20, 1024, 1 << 30)?,
            max_batch_rows: size("SERVE_MAX_BATCH_ROWS", 50_000, 1, 10_000_000)?,
            max_concurrency: size("SERVE_MAX_CONCURRENCY", 256, 1, 65_536)?,
            shutdown_time: Duration::from_secs(whole("SERVE_SHUTDOWN_SECONDS", 10, 1, 3600)?),
        })
    }
}

/// Digits only: `parse` would take a leading plus sign as well.
fn whole_number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

fn pin(digest: &str) -> Result<Option<String>, SettingsError> {
    let digits = digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    match digest.len() {
        0 => Ok(None),
        64 if digits => Ok(Some(digest.to_owned())),
        _ => Err(SettingsError(format!("SERVE_MANIFEST_SHA256={}: 64 hexadecimal digits are needed", quoted(digest)))),
    }
}

fn log_level(name: &str) -> Result<Level, SettingsError> {
    Level::NAMES.iter().find(|(known, _)| *known == name).map(|(_, level)| *level).ok_or_else(|| {
        let known = Level::NAMES.map(|(name, _)| name).join(", ");
        SettingsError(format!("SERVE_LOG_LEVEL={}: one of {known} is needed", quoted(name)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(&variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    fn message(name: &str, value: &str) -> String {
        read(&[(name, value)]).unwrap_err().to_string()
    }

    #[test]
    fn has_defaults_and_ignores_other_variables() {
        let settings = read(&[("HOME", "x"), ("SERVE_PORT", "  "), ("SERVE_HOST", "")]).unwrap();
        assert_eq!((settings.port, settings.host.as_str()), (3000, "127.0.0.1"));
        assert_eq!((settings.max_body_bytes, settings.max_batch_rows), (16 << 20, 50_000));
        assert_eq!((settings.max_concurrency, settings.shutdown_time), (256, Duration::from_secs(10)));
        assert_eq!((settings.model_dir, settings.log_level), ("models".into(), Level::Info));
        assert!(settings.workers >= 1);
    }

    #[test]
    fn reads_what_the_environment_gives() {
        let settings = read(&[("SERVE_PORT", " 0 "), ("SERVE_WORKERS", "3"), ("SERVE_LOG_LEVEL", "ERROR")]).unwrap();
        assert_eq!((settings.port, settings.workers, settings.log_level), (0, 3, Level::Error));
        assert_eq!(settings.manifest_sha256, None);
        let pinned = read(&[("SERVE_MANIFEST_SHA256", &"AB".repeat(32))]).unwrap();
        assert_eq!(pinned.manifest_sha256, Some("ab".repeat(32)));
    }

    #[test]
    fn names_what_is_wrong() {
        let port = "a whole number from 0 to 65,535 is needed";
        for value in ["65536", "-1", "+1", "1.0", "x", "٣", "99999999999999999999999"] {
            assert_eq!(message("SERVE_PORT", value), format!("SERVE_PORT='{value}': {port}"));
        }
        assert_eq!(
            message("SERVE_LOG_LEVEL", "loud"),
            "SERVE_LOG_LEVEL='loud': one of critical, error, warning, info, debug is needed"
        );
        assert_eq!(
            message("SERVE_MANIFEST_SHA256", "ABC"),
            "SERVE_MANIFEST_SHA256='abc': 64 hexadecimal digits are needed"
        );
        assert!(message("SERVE_THREADS", "2").starts_with("unknown variable SERVE_THREADS; known are SERVE_HOST, "));
    }
}
