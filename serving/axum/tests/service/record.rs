//! The record: what is in it, and in which form.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use axum::http::Request;
use axum_service::metrics::Metrics;
use axum_service::record::{Record, Recorder};
use axum_service::record_settings::RecordSettings;
use axum_service::state::Observers;
use flate2::read::MultiGzDecoder;
use serde_json::{Value, json};

use crate::common::{decode, manifest, manifest_json, settings};
use crate::http::{Service, row};
use crate::request_ids::{INFER, tensors};

/// A folder of its own, that is not there yet; removed at the end with what is in it.
pub struct TestFolder(pub PathBuf);

impl TestFolder {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let (process, number) = (std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(format!("axum-record-{process}-{number}")))
    }

    pub fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).into_iter().flatten();
        let mut names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// The lines of all whole files. There is no other file.
    pub fn lines(&self) -> Vec<Value> {
        let text: String = self.names().iter().map(|name| text_of(&self.0.join(name))).collect();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn text_of(path: &Path) -> String {
    let mut text = String::new();
    MultiGzDecoder::new(fs::File::open(path).unwrap()).read_to_string(&mut text).unwrap();
    text
}

pub fn record_of_all(folder: &TestFolder) -> RecordSettings {
    RecordSettings { folder: folder.0.clone(), sample: 1.0, most_bytes: 1 << 20, fields: None }
}

/// A service that records, what it counts, and the recorder.
pub fn recording(settings_of_record: &RecordSettings) -> (Service, Arc<Metrics>, Arc<Recorder>) {
    let metrics = Arc::<Metrics>::default();
    let recorder = Recorder::start(settings_of_record, &metrics).unwrap();
    let record = Record::new(&recorder, &manifest()).unwrap();
    (Service::observed(&settings(), &metrics, observed(record)), metrics, recorder)
}

fn observed(record: Record) -> Observers {
    Observers { record: Some(record), ..Observers::default() }
}

/// Rows written, lost in the queue, lost in writing, and files removed.
pub fn counted(metrics: &Metrics) -> [u64; 4] {
    let counts = metrics.record();
    [counts.rows.get(), counts.queue.get(), counts.write.get(), counts.removed.get()]
}

async fn ask(service: &Service, path: &str, body: impl Into<Body>) -> u16 {
    let request = Request::post(path).header("x-request-id", "mine\"1").body(body.into()).unwrap();
    service.send(request).await.status.as_u16()
}

#[tokio::test]
async fn a_line_says_how_a_row_was_understood_and_answered() {
    let folder = TestFolder::new();
    let (service, metrics, recorder) = recording(&record_of_all(&folder));
    let body = r#"{"grade": "what\n", "weight": null, "colour": "red", "size": 0.4}"#;
    assert_eq!(ask(&service, "/predict", body).await, 200);
    recorder.finish();
    let names = folder.names();
    assert!(names.len() == 1 && names[0].ends_with(&format!("Z-axum-{}-1.jsonl.gz", std::process::id())), "{names:?}");
    let text = text_of(&folder.0.join(&names[0]));
    let (time, rest) = text.strip_prefix("{\"time\":\"").unwrap().split_at("2026-11-27T19:20:30.123456Z".len());
    assert!(time.starts_with("20") && time.ends_with('Z'), "{time}");
    assert_eq!(
        rest,
        concat!(
            r#"","request_id":"mine\"1","row":0,"route":"/predict","service":"axum","model":"paint","version":"abc123","#,
            r#""features":{"size":0.4,"colour":"red","weight":null,"grade":null},"missing":["weight"],"unseen":["grade"],"#,
            r#""prediction":0,"probabilities":[0.9,0.1]}"#,
            "\n"
        )
    );
    assert_eq!(counted(&metrics), [1, 0, 0, 0]);
    let exposed = service.get("/metrics").await.text;
    for line in ["record_rows_total 1", "record_lost_rows_total{reason=\"queue\"} 0", "record_removed_files_total 0"] {
        assert!(exposed.lines().any(|found| found == line), "{line} is not in:\n{exposed}");
    }
}

#[tokio::test]
async fn all_rows_of_all_routes_are_recorded_that_were_answered() {
    let folder = TestFolder::new();
    let (service, metrics, recorder) = recording(&record_of_all(&folder));
    for (path, body, status) in [
        ("/predict", row("1"), 200),
        ("/predict", row("\"1\""), 422),
        ("/predict", row("500"), 500),
        ("/predict", row("501"), 500),
        ("/predict/batch", format!("[{},{}]", row("2"), row("3")), 200),
        ("/predict/batch", format!("[{},{{}}]", row("4")), 422),
        (INFER, tensors("4"), 200),
        ("/predict/batch", format!("[{}]", vec![row("1"); 2000].join(",")), 200),
    ] {
        assert_eq!(ask(&service, path, body).await, status);
    }
    recorder.finish();
    let lines = folder.lines();
    let found: Vec<_> =
        lines.iter().map(|line| (&line["route"], &line["row"], &line["features"]["size"])).take(5).collect();
    let expected = json!([
        ["/predict", 0, 1.0],
        ["/predict/batch", 0, 2.0],
        ["/predict/batch", 1, 3.0],
        ["infer", 0, 4.0],
        ["/predict/batch", 0, 1.0]
    ]);
    assert_eq!(json!(found), expected);
    assert_eq!((lines.len(), lines[2003]["row"].as_u64()), (2004, Some(1999)));
    assert_eq!(counted(&metrics), [2004, 0, 0, 0]);
}

#[tokio::test]
async fn only_the_features_that_are_asked_for() {
    let named = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let body = r#"{"grade": "never seen", "weight": null, "colour": null, "size": 1}"#;
    for (fields, features, missing, unseen) in [
        (named(&["weight", "size"]), json!({"size": 1.0, "weight": null}), json!(["weight"]), json!([])),
        (named(&["grade", "colour"]), json!({"colour": null, "grade": null}), json!(["colour"]), json!(["grade"])),
        (named(&[]), json!({}), json!([]), json!([])),
    ] {
        let folder = TestFolder::new();
        let (service, _, recorder) = recording(&RecordSettings { fields, ..record_of_all(&folder) });
        ask(&service, "/predict", body).await;
        recorder.finish();
        let line = folder.lines().remove(0);
        assert_eq!([&line["features"], &line["missing"], &line["unseen"]], [&features, &missing, &unseen]);
    }
    let folder = TestFolder::new();
    let settings = RecordSettings { fields: named(&["size", "height"]), ..record_of_all(&folder) };
    assert_eq!(
        settings.recorded(&manifest()).unwrap_err(),
        "SERVE_RECORD_FIELDS: paint abc123 has no feature \"height\"; it has \"size\", \"colour\", \"weight\", \"grade\""
    );
}

#[tokio::test]
async fn a_line_has_the_version_that_answered() {
    let folder = TestFolder::new();
    let metrics = Arc::<Metrics>::default();
    let recorder = Recorder::start(&record_of_all(&folder), &metrics).unwrap();
    for version in ["one", "two", "one"] {
        let mut manifest = manifest_json();
        manifest["version"] = json!(version);
        let record = Record::new(&recorder, &decode(&manifest)).unwrap();
        ask(&Service::observed(&settings(), &metrics, observed(record)), "/predict", row("1")).await;
    }
    recorder.finish();
    let versions: Vec<Value> = folder.lines().iter_mut().map(|line| line["version"].take()).collect();
    assert_eq!(versions, ["one", "two", "one"]);
}

#[tokio::test]
async fn none_of_the_requests_and_no_file_at_all() {
    let folder = TestFolder::new();
    let (service, metrics, recorder) = recording(&RecordSettings { sample: 0.0, ..record_of_all(&folder) });
    assert_eq!(ask(&service, "/predict", row("1")).await, 200);
    recorder.finish();
    assert_eq!((folder.names().len(), counted(&metrics)), (0, [0; 4]));
}

#[tokio::test]
async fn what_comes_after_the_end_is_answered_all_the_same() {
    let folder = TestFolder::new();
    let (service, metrics, recorder) = recording(&record_of_all(&folder));
    recorder.finish();
    assert_eq!(ask(&service, "/predict", row("1")).await, 200);
    assert_eq!((folder.names().len(), counted(&metrics)), (0, [0, 1, 0, 0]));
}
