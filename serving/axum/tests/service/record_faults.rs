//! The record when something goes wrong: requests are answered, and what was whole stays whole.

use std::env;
use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use axum::http::StatusCode;
use axum_service::record_settings::RecordSettings;
use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::http::row;
use crate::record::{TestFolder, counted, record_of_all, recording, text_of};

const LEFT: &str = "record-20261127T192030.123456Z-onnx-7-0.jsonl.gz";

fn member(text: &str) -> Vec<u8> {
    let mut member = GzEncoder::new(Vec::new(), Compression::default());
    member.write_all(text.as_bytes()).unwrap();
    member.finish().unwrap()
}

/// The folder with an unfinished file in it.
fn folder_with(content: &[u8]) -> (TestFolder, File) {
    let folder = TestFolder::new();
    fs::create_dir(&folder.0).unwrap();
    let path = folder.0.join(format!(".{LEFT}.part"));
    fs::write(&path, content).unwrap();
    let file = File::open(path).unwrap();
    (folder, file)
}

fn start_and_finish(folder: &TestFolder) {
    recording(&record_of_all(folder)).2.finish();
}

#[test]
fn a_file_that_was_left_is_cut_after_its_last_whole_member() {
    let (first, second) = (member("one\n"), member(&"two\n".repeat(10_000)));
    let torn = member("three\n");
    for length in [0, 1, 9, 10, 11, torn.len() - 8, torn.len() - 1] {
        let (folder, _) = folder_with(&[&first, &second, &torn[..length]].concat());
        start_and_finish(&folder);
        assert_eq!(folder.names(), [LEFT]);
        let whole = fs::metadata(folder.0.join(LEFT)).unwrap().len();
        assert_eq!(whole, (first.len() + second.len()) as u64, "{length} bytes more");
        assert_eq!(text_of(&folder.0.join(LEFT)), format!("one\n{}", "two\n".repeat(10_000)));
    }
}

#[test]
fn one_without_a_whole_member_is_removed() {
    for content in [&b""[..], &member("one\n")[..12], b"no gzip at all"] {
        let (folder, _) = folder_with(content);
        start_and_finish(&folder);
        assert!(folder.names().is_empty());
    }
}

#[test]
fn one_that_is_being_written_is_let_be() {
    let (folder, file) = folder_with(&member("one\n"));
    flock(&file, FlockOperation::LockExclusive).unwrap();
    start_and_finish(&folder);
    assert_eq!(folder.names(), [format!(".{LEFT}.part")]);
}

#[test]
fn no_file_takes_the_place_of_another() {
    let (folder, _) = folder_with(&member("new\n"));
    fs::write(folder.0.join(LEFT), member("old\n")).unwrap();
    start_and_finish(&folder);
    let next = LEFT.replace("-0.", "-1.");
    assert_eq!(folder.names(), [LEFT, &next]);
    assert_eq!([LEFT, &next].map(|name| text_of(&folder.0.join(name))), ["old\n", "new\n"]);
}

#[tokio::test]
async fn the_oldest_files_make_room() {
    let folder = TestFolder::new();
    fs::create_dir(&folder.0).unwrap();
    fs::write(folder.0.join("not the record's"), vec![0; 100_000]).unwrap();
    fs::write(folder.0.join(LEFT), vec![0; 9_000]).unwrap();
    let (service, metrics, recorder) = recording(&RecordSettings { most_bytes: 50_000, ..record_of_all(&folder) });
    for batch in 0..40 {
        let rows: Vec<String> = (0..1000).map(|index| row(&format!("{}e-9", (batch * 1000 + index) * 7919))).collect();
        assert_eq!(service.predict_batch(format!("[{}]", rows.join(","))).await.status, StatusCode::OK);
        tokio::time::sleep(Duration::from_millis(5)).await; // the queue is short
    }
    recorder.finish();
    let sizes = folder.names().into_iter().filter(|name| name.starts_with("record-"));
    let total: u64 = sizes.map(|name| fs::metadata(folder.0.join(name)).unwrap().len()).sum();
    let [rows, queue, write, removed] = counted(&metrics);
    assert!((25_000..=50_000).contains(&total) && removed > 5, "{total} bytes, {removed} files removed");
    assert_eq!((rows + queue, write), (40_000, 0));
    assert!(folder.names().contains(&"not the record's".to_owned()) && !folder.names().contains(&LEFT.to_owned()));
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_loses_rows_until_it_can() {
    let folder = TestFolder::new();
    fs::write(&folder.0, "in its way").unwrap();
    let (service, metrics, recorder) =
        recording(&RecordSettings { folder: folder.0.join("record"), ..record_of_all(&folder) });
    assert_eq!(service.predict(row("1")).await.status, StatusCode::OK);
    while counted(&metrics) == [0; 4] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::remove_file(&folder.0).unwrap();
    assert_eq!(service.predict(row("2")).await.status, StatusCode::OK);
    recorder.finish();
    assert_eq!(counted(&metrics), [1, 0, 1, 0]);
    assert_eq!(fs::read_dir(folder.0.join("record")).unwrap().count(), 1);
}

#[tokio::test]
async fn a_file_that_somebody_removes_is_begun_anew() {
    let folder = TestFolder::new();
    let (service, metrics, recorder) = recording(&record_of_all(&folder));
    service.predict(row("1")).await;
    while counted(&metrics) == [0; 4] {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    fs::remove_dir_all(&folder.0).unwrap();
    service.predict(row("2")).await;
    recorder.finish();
    assert_eq!((folder.lines().len(), counted(&metrics)), (1, [2, 0, 0, 0]));
}

/// The test of this name in a process of its own, which finds the folder in a variable. A file that becomes too long is
/// an error there, and no signal.
fn again(test: &str, folder: &TestFolder) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(env::current_exe().unwrap());
    command.args(["--exact", &format!("record_faults::{test}"), "--nocapture"]);
    command.env("TEST_FOLDER", &folder.0).stdout(Stdio::null()).spawn().unwrap()
}

/// The folder that was handed over to this process.
fn handed_over() -> Option<TestFolder> {
    env::var_os("TEST_FOLDER").map(|path| TestFolder(path.into()))
}

fn limit_files(bytes: Option<u64>) {
    setrlimit(Resource::Fsize, Rlimit { current: bytes, maximum: None }).unwrap();
}

#[tokio::test]
async fn a_full_disk_loses_rows_until_there_is_room() {
    let Some(folder) = handed_over() else {
        assert!(again("a_full_disk_loses_rows_until_there_is_room", &TestFolder::new()).wait().unwrap().success());
        return;
    };
    let (service, metrics, recorder) = recording(&record_of_all(&folder));
    let wait = async |rows| {
        while counted(&metrics).iter().sum::<u64>() < rows {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    service.predict(row("1")).await;
    wait(1).await;
    let size = || fs::metadata(folder.0.join(&folder.names()[0])).unwrap().len();
    let whole = size();
    limit_files(Some(whole + 20)); // room for some of a member
    service.predict(row("2")).await;
    wait(2).await;
    assert_eq!((counted(&metrics), size()), ([1, 0, 1, 0], whole));
    limit_files(None);
    service.predict(row("3")).await;
    recorder.finish();
    assert_eq!(counted(&metrics), [2, 0, 1, 0]);
    let sizes: Vec<f64> = folder.lines().iter().map(|line| line["features"]["size"].as_f64().unwrap()).collect();
    assert_eq!(sizes, [1.0, 3.0]);
}

#[tokio::test]
async fn a_service_that_is_killed_leaves_what_it_had_written() {
    if let Some(folder) = handed_over() {
        let (service, ..) = recording(&record_of_all(&folder));
        loop {
            service.predict(row("1")).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    let folder = TestFolder::new();
    let mut killed = again("a_service_that_is_killed_leaves_what_it_had_written", &folder);
    let written = || folder.names().iter().any(|name| fs::metadata(folder.0.join(name)).is_ok_and(|it| it.len() > 0));
    while !written() {
        assert!(killed.try_wait().unwrap().is_none());
        std::thread::sleep(Duration::from_millis(20));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    start_and_finish(&folder);
    let lines = folder.lines();
    assert!(folder.names().len() == 1 && lines.iter().all(|line| line["prediction"] == 1), "{lines:?}");
}
