//! What the program says, and its exit status, when it can't start: one line, and 2.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::common::manifest_json;
use serde_json::{Value, json};

fn folder(name: &str, files: &[(&str, &str)]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("axum-service-{}-{name}", std::process::id()));
    fs::create_dir_all(&path).unwrap();
    for (file, content) in files {
        fs::write(path.join(file), content).unwrap();
    }
    path
}

fn fails(variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_axum-service"));
    command.env_clear().env("SERVE_PORT", "0").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("error: ") && text.ends_with('\n') && text.lines().count() == 1, "{text}");
    text["error: ".len()..].trim_end().to_owned()
}

fn fails_with_bundle(name: &str, files: &[(&str, &str)]) -> String {
    let folder = folder(name, files);
    let message = fails(&[("SERVE_MODEL_DIR", folder.to_str().unwrap())]);
    message.replace(folder.to_str().unwrap(), "models")
}

/// A manifest of a model whose digest is that of "abc".
fn manifest(changes: &[(&str, Value)]) -> String {
    let mut manifest = manifest_json();
    manifest["artifacts"]["onnx_packed"]["sha256"] =
        json!("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    for (key, value) in changes {
        manifest[*key] = value.clone();
    }
    manifest.to_string()
}

#[test]
fn wrong_settings() {
    assert_eq!(fails(&[("SERVE_PORT", "http")]), "SERVE_PORT=\"http\": a whole number from 0 to 65535 is needed");
}

#[test]
fn a_port_that_is_taken() {
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let folder = folder("port", &[("m.json", &manifest(&[])), ("paint.onnx", "abc")]);
    let message = fails(&[("SERVE_MODEL_DIR", folder.to_str().unwrap()), ("SERVE_PORT", &port)]);
    assert!(message.starts_with(&format!("SERVE_HOST=\"127.0.0.1\", SERVE_PORT={port}: Address ")), "{message}");
}

#[test]
fn no_bundle_or_too_many() {
    assert_eq!(fails_with_bundle("none", &[]), "models: no model bundle here; `make train` publishes one");
    assert_eq!(
        fails_with_bundle("two", &[("b.json", ""), ("a.json", ""), ("c.txt", "")]),
        "models: more than one manifest (a.json, b.json); keep one model in a folder"
    );
}

#[test]
fn a_manifest_of_another_format_or_none() {
    assert_eq!(
        fails_with_bundle("format", &[("a.json", &manifest(&[("format_version", json!(1))]))]),
        "models/a.json: bundle format 1, but this code reads 2; `make train` (or `make package`) makes a new one"
    );
    assert!(fails_with_bundle("text", &[("a.json", "{")]).starts_with("models/a.json: not a valid manifest: "));
    let wrong = |key: &str, value: Value| fails_with_bundle("field", &[("a.json", &manifest(&[(key, value)]))]);
    assert!(wrong("classes", json!("no, yes")).starts_with("models/a.json: not a valid manifest: invalid type"));
    let told = [
        ("classes", json!(["one"]), "1 classes are not those of the task"),
        ("classes", json!(["yes", "yes"]), "the classes must differ, and be of one type"),
        ("classes", json!(["yes", 1]), "the classes must differ, and be of one type"),
        ("positive_class", json!("maybe"), "positive_class is none of the classes"),
        ("decision_threshold", json!(null), "positive_class and decision_threshold belong to binary_classification"),
        ("expected", json!({"prediction": 1}), "the expected answer needs a probability for every class"),
        ("features", json!([]), "there must be features, and their names must differ"),
        ("tokens", json!({"missing": "red", "unseen": "?"}), "feature \"colour\" has a token as a category: \"red\""),
        (
            "artifacts",
            json!({"pickle": {"file": "../a", "bytes": 0, "sha256": ""}}),
            "\"../a\" is not a relative path inside the bundle",
        ),
    ];
    for (key, value, message) in told {
        let found = wrong(key, value);
        assert!(found.starts_with(&format!("models/a.json: not a valid manifest: {message}")), "{found}");
    }
}

#[test]
fn a_model_that_is_missing_or_altered() {
    assert_eq!(
        fails_with_bundle("unlisted", &[("a.json", &manifest(&[("artifacts", json!({}))]))]),
        "models: the manifest lists no artifact 'onnx_packed'; train again"
    );
    assert_eq!(
        fails_with_bundle("missing", &[("a.json", &manifest(&[]))]),
        "models/paint.onnx: No such file or directory, but the manifest lists it; train again"
    );
    assert_eq!(
        fails_with_bundle("altered", &[("a.json", &manifest(&[])), ("paint.onnx", "abd")]),
        "models/paint.onnx: SHA-256 a52d159f262b… (3 bytes) differs from the manifest's ba7816bf8f01… (3 bytes): \
         the file was altered; train again"
    );
}

#[test]
fn no_runtime_library() {
    let folder = folder("library", &[("a.json", &manifest(&[])), ("paint.onnx", "abc")]);
    let model_dir = ("SERVE_MODEL_DIR", folder.to_str().unwrap());
    assert!(fails(&[model_dir]).starts_with("ORT_DYLIB_PATH is not set"));
    let message = fails(&[model_dir, ("ORT_DYLIB_PATH", "/nowhere/libonnxruntime.so")]);
    assert!(message.contains("/nowhere/libonnxruntime.so"), "{message}");
}
