//! Settings of the service, from environment variables, checked once at start.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::available_parallelism;
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::api_keys::ApiKeys;
use crate::files::{read_regular, reason};
use crate::record_settings::{RecordSettings, parse_folder, parse_names, parse_part};

const PREFIX: &str = "SERVE_";
/// A longer file of keys is not read.
const MAX_KEY_FILE_BYTES: u64 = 1 << 20;
const DEFAULT_PORT: u64 = 3000;
const NAMES: [&str; 22] = [
    "SERVE_API_KEY",
    "SERVE_API_KEY_FILE",
    "SERVE_DOCS",
    "SERVE_GRPC_PORT",
    "SERVE_HOST",
    "SERVE_LOG_LEVEL",
    "SERVE_MANIFEST_SHA256",
    "SERVE_MAX_BATCH_ROWS",
    "SERVE_MAX_BODY_BYTES",
    "SERVE_MAX_BUFFERED_BYTES",
    "SERVE_MAX_CONCURRENCY",
    "SERVE_MAX_CONNECTIONS",
    "SERVE_MAX_WAIT_MS",
    "SERVE_MODEL_DIR",
    "SERVE_PORT",
    "SERVE_RECORD_BYTES",
    "SERVE_RECORD_DIR",
    "SERVE_RECORD_FIELDS",
    "SERVE_RECORD_SAMPLE",
    "SERVE_REQUEST_SECONDS",
    "SERVE_SHUTDOWN_SECONDS",
    "SERVE_WORKERS",
];

/// Nothing is critical here: that level silences the log.
const LOG_LEVELS: [(&str, LevelFilter); 5] = [
    ("critical", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warning", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
];

/// A setting is wrong. The message names the variable, its value, and what is allowed.
#[derive(Debug, PartialEq, Eq)]
pub struct SettingsError(String);

impl SettingsError {
    pub(crate) fn new(message: String) -> Self {
        Self(message)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for SettingsError {}

/// `port` 0 takes a free one. `max_body_bytes`, `max_batch_rows` and `request_time` limit a request, the other limits
/// one worker.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The folder of the bundle.
    pub model_dir: PathBuf,
    /// The SHA-256 that the manifest must have; None accepts any.
    pub manifest_sha256: Option<String>,
    /// The keys of which a request needs one; if there are none, it needs none.
    pub api_keys: ApiKeys,
    /// Whether `/docs` and `/openapi.json` are served.
    pub docs: bool,
    /// The address or name to listen on.
    pub host: String,
    /// The TCP port to listen on.
    pub port: u16,
    /// The TCP port for gRPC; None means no gRPC.
    pub grpc_port: Option<u16>,
    /// Threads that answer requests, each with an ONNX Runtime session.
    pub workers: usize,
    /// The longest request body.
    pub max_body_bytes: usize,
    /// The most rows in a batch.
    pub max_batch_rows: usize,
    /// The room for large bodies and their answers.
    pub max_buffered_bytes: usize,
    /// The most requests that a worker has in hand.
    pub max_concurrency: usize,
    /// The most connections that are answered.
    pub max_connections: usize,
    /// How long a head may take to arrive, a body after it, and an answer may be left unread.
    pub request_time: Duration,
    /// How long accepted requests may take after a signal to stop.
    pub shutdown_time: Duration,
    /// The least important log lines to write.
    pub log_level: LevelFilter,
    /// What is recorded of requests and answers; None for nothing.
    pub record: Option<RecordSettings>,
}

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

impl Settings {
    /// The settings in the environment; those that it doesn't name have defaults.
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
                SettingsError(format!("{name}={value:?}: a whole number from {lowest} to {highest} is needed"))
            }),
        };
        let size = |name: &str, default: u64, lowest: u64, highest: u64| {
            whole(name, default, lowest, highest).map(|number| usize::try_from(number).unwrap_or(usize::MAX))
        };
        let max_body_bytes = size("SERVE_MAX_BODY_BYTES", 16 << 20, 1024, 1 << 30)?;
        // at least two bodies of the longest kind, so that one client alone can't keep all the others out
        let two_bodies = 2 * max_body_bytes as u64;
        // Checked, but not used: here a request's turn comes when its head is read. The services share an environment.
        whole("SERVE_MAX_WAIT_MS", 1000, 1, 3_600_000)?;
        // The standard library's count heeds the CPU affinity and the quota of the cgroup, rounded down.
        let cpus = available_parallelism().map_or(1, |cpus| cpus.get() as u64);
        Ok(Self {
            log_level: log_level(&or("SERVE_LOG_LEVEL", "info").to_lowercase())?,
            api_keys: read_keys(environment)?,
            docs: switch("SERVE_DOCS", &or("SERVE_DOCS", "on").to_lowercase())?,
            model_dir: or("SERVE_MODEL_DIR", "models").into(),
            manifest_sha256: pin(&text("SERVE_MANIFEST_SHA256").to_lowercase())?,
            host: or("SERVE_HOST", "127.0.0.1"),
            port: whole("SERVE_PORT", DEFAULT_PORT, 0, 65_535)?.try_into().unwrap_or_default(),
            grpc_port: match text("SERVE_GRPC_PORT") {
                "" => None,
                _ => whole("SERVE_GRPC_PORT", 0, 0, 65_535)?.try_into().ok(),
            },
            workers: size("SERVE_WORKERS", cpus, 1, 256)?,
            max_body_bytes,
            max_batch_rows: size("SERVE_MAX_BATCH_ROWS", 50_000, 1, 10_000_000)?,
            max_buffered_bytes: size("SERVE_MAX_BUFFERED_BYTES", two_bodies.max(128 << 20), two_bodies, 1 << 40)?,
            max_concurrency: size("SERVE_MAX_CONCURRENCY", 256, 1, 65_536)?,
            max_connections: size("SERVE_MAX_CONNECTIONS", 4096, 1, 1 << 20)?,
            request_time: Duration::from_secs(whole("SERVE_REQUEST_SECONDS", 30, 1, 3600)?),
            shutdown_time: Duration::from_secs(whole("SERVE_SHUTDOWN_SECONDS", 10, 1, 3600)?),
            record: read_record(&text, whole("SERVE_RECORD_BYTES", 1 << 30, 1 << 20, 1 << 50)?)?,
        })
    }
}

/// The settings of the record, which are checked even if nothing is recorded.
fn read_record<'e>(text: &impl Fn(&str) -> &'e str, most_bytes: u64) -> Result<Option<RecordSettings>, SettingsError> {
    fn parsed<T>(name: &str, value: &str, parse: fn(&str) -> Result<T, String>) -> Result<T, SettingsError> {
        parse(value).map_err(|reason| SettingsError(format!("{name}={value:?}: {reason}")))
    }
    let folder = parsed("SERVE_RECORD_DIR", text("SERVE_RECORD_DIR"), parse_folder)?;
    let sample = Some(text("SERVE_RECORD_SAMPLE")).filter(|text| !text.is_empty()).unwrap_or("0.01");
    let sample = parsed("SERVE_RECORD_SAMPLE", sample, parse_part)?;
    let fields = parsed("SERVE_RECORD_FIELDS", text("SERVE_RECORD_FIELDS"), parse_names)?;
    Ok(folder.map(|folder| RecordSettings { folder, sample, most_bytes, fields }))
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
        _ => Err(SettingsError(format!("SERVE_MANIFEST_SHA256={digest:?}: 64 hexadecimal digits are needed"))),
    }
}

/// The key in the environment, or those in the file that it names, one per line; no keys if it has neither. No message
/// contains a key.
pub fn read_keys(environment: &Environment) -> Result<ApiKeys, SettingsError> {
    let text = |name: &str| environment.get(name).map_or("", |value| value.trim());
    let (key, file) = (text("SERVE_API_KEY"), text("SERVE_API_KEY_FILE"));
    if file.is_empty() {
        let key = Some(key).filter(|key| !key.is_empty());
        return ApiKeys::new(key).map_err(|error| SettingsError(format!("SERVE_API_KEY: {error}")));
    }
    if !key.is_empty() {
        return Err(SettingsError("SERVE_API_KEY and SERVE_API_KEY_FILE: only one of them can be given".to_owned()));
    }
    let wrong = |reason: &str| SettingsError(format!("SERVE_API_KEY_FILE={file:?}: {reason}"));
    let content = read_regular(Path::new(file), MAX_KEY_FILE_BYTES).map_err(|error| wrong(&reason(&error)))?;
    let content = str::from_utf8(&content).ok().filter(|content| content.is_ascii());
    let content = content.ok_or_else(|| wrong("it has characters other than ASCII"))?;
    let lines = content.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys = ApiKeys::new(lines).map_err(|error| wrong(&error))?;
    if keys.is_empty() { Err(wrong("there is no key in it")) } else { Ok(keys) }
}

fn switch(name: &str, value: &str) -> Result<bool, SettingsError> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(SettingsError(format!("{name}={value:?}: one of on, off is needed"))),
    }
}

fn log_level(name: &str) -> Result<LevelFilter, SettingsError> {
    LOG_LEVELS.iter().find(|(known, _)| *known == name).map(|(_, level)| *level).ok_or_else(|| {
        let known = LOG_LEVELS.map(|(name, _)| name).join(", ");
        SettingsError(format!("SERVE_LOG_LEVEL={name:?}: one of {known} is needed"))
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
        assert_eq!((settings.port, settings.grpc_port, settings.host.as_str()), (3000, None, "127.0.0.1"));
        assert_eq!((settings.max_body_bytes, settings.max_batch_rows), (16 << 20, 50_000));
        assert_eq!((settings.max_concurrency, settings.shutdown_time), (256, Duration::from_secs(10)));
        assert_eq!((settings.model_dir, settings.log_level), ("models".into(), LevelFilter::INFO));
        assert!(settings.workers >= 1);
    }

    #[test]
    fn reads_what_the_environment_gives() {
        let settings = read(&[("SERVE_PORT", " 0 "), ("SERVE_WORKERS", "3"), ("SERVE_LOG_LEVEL", "ERROR")]).unwrap();
        assert_eq!((settings.port, settings.workers, settings.log_level), (0, 3, LevelFilter::ERROR));
        assert_eq!(read(&[("SERVE_GRPC_PORT", "8033")]).unwrap().grpc_port, Some(8033));
        assert_eq!((settings.manifest_sha256, settings.record), (None, None));
        let record = read(&[("SERVE_RECORD_DIR", "a"), ("SERVE_RECORD_FIELDS", "b")]).unwrap().record.unwrap();
        assert_eq!((record.folder, record.sample, record.most_bytes), ("a".into(), 0.01, 1 << 30));
        assert_eq!(record.fields, Some(vec!["b".to_owned()]));
        let pinned = read(&[("SERVE_MANIFEST_SHA256", &"AB".repeat(32))]).unwrap();
        assert_eq!(pinned.manifest_sha256, Some("ab".repeat(32)));
    }

    #[test]
    fn names_what_is_wrong() {
        let port = "a whole number from 0 to 65535 is needed";
        for value in ["65536", "-1", "+1", "1.0", "x", "٣", "99999999999999999999999"] {
            assert_eq!(message("SERVE_PORT", value), format!("SERVE_PORT={value:?}: {port}"));
            assert_eq!(message("SERVE_GRPC_PORT", value), format!("SERVE_GRPC_PORT={value:?}: {port}"));
        }
        assert_eq!(
            message("SERVE_LOG_LEVEL", "loud"),
            "SERVE_LOG_LEVEL=\"loud\": one of critical, error, warning, info, debug is needed"
        );
        assert_eq!(
            message("SERVE_MANIFEST_SHA256", "ABC"),
            "SERVE_MANIFEST_SHA256=\"abc\": 64 hexadecimal digits are needed"
        );
        assert_eq!(message("SERVE_RECORD_SAMPLE", "2"), "SERVE_RECORD_SAMPLE=\"2\": a decimal from 0 to 1 is needed");
        assert_eq!(
            message("SERVE_RECORD_DIR", "/dev/null"),
            "SERVE_RECORD_DIR=\"/dev/null\": a folder is needed, and this is none"
        );
        assert!(message("SERVE_RECORD_FIELDS", "[").starts_with("SERVE_RECORD_FIELDS=\"[\": names with commas"));
        assert!(message("SERVE_RECORD_BYTES", "1000").contains("a whole number from 1048576 to "));
        assert_eq!(message("SERVE_DOCS", "no"), "SERVE_DOCS=\"no\": one of on, off is needed");
        assert!(message("SERVE_MAX_BUFFERED_BYTES", "1024").contains("a whole number from 33554432 to "));
        assert_eq!(message("SERVE_API_KEY", "too-short"), "SERVE_API_KEY: a key has at least 16 characters");
        assert_eq!(
            message("SERVE_API_KEY_FILE", "/nowhere/k"),
            "SERVE_API_KEY_FILE=\"/nowhere/k\": No such file or directory"
        );
        assert!(message("SERVE_THREADS", "2").starts_with("unknown variable SERVE_THREADS; known are SERVE_API_KEY, "));
    }
}
