//! Traces, received by a collector's test double over HTTP.

use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;

use axum::body::Body;
use axum::http::Request;
use axum_service::state::Observers;
use axum_service::traces::{TracedModel, Traces};

use crate::common::{manifest, settings};
use crate::http::{Service, row};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

/// The fields of a protobuf message: number and content, which is the digits of a varint or the bytes of anything else.
fn fields(mut message: &[u8]) -> Vec<(u64, Vec<u8>)> {
    fn varint(message: &mut &[u8]) -> u64 {
        let end = message.iter().position(|byte| *byte < 0x80).unwrap() + 1;
        let (digits, rest) = message.split_at(end);
        *message = rest;
        digits.iter().rev().fold(0, |number, byte| (number << 7) | u64::from(byte & 0x7f))
    }
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let length = match tag & 7 {
            0 => {
                found.push((tag >> 3, varint(&mut message).to_string().into_bytes()));
                continue;
            }
            1 => 8,
            2 => usize::try_from(varint(&mut message)).unwrap(),
            5 => 4,
            other => panic!("wire type {other}"),
        };
        let (content, rest) = message.split_at(length);
        found.push((tag >> 3, content.to_owned()));
        message = rest;
    }
    found
}

/// The contents of the fields at this path.
fn at(message: &[u8], path: &[u64]) -> Vec<Vec<u8>> {
    let Some((first, rest)) = path.split_first() else { return vec![message.to_owned()] };
    let inner = fields(message).into_iter().filter(|(number, _)| number == first);
    inner.flat_map(|(_, content)| at(&content, rest)).collect()
}

fn text(message: &[u8], path: &[u64]) -> String {
    at(message, path).first().map(|text| String::from_utf8(text.clone()).unwrap()).unwrap_or_default()
}

fn hex(message: &[u8], field: u64) -> String {
    let digits = at(message, &[field]).concat().into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from_digit(digit.into(), 16).unwrap()).collect()
}

/// Names and values, as text, of the attributes in these fields.
fn attributes(message: &[u8], path: &[u64]) -> BTreeMap<String, String> {
    let value = |pair: &[u8]| [text(pair, &[2, 1]), text(pair, &[2, 3])].concat();
    at(message, path).iter().map(|pair| (text(pair, &[1]), value(pair))).collect()
}

/// The body of a request, which is answered with a 200.
fn receive(stream: TcpStream) -> Vec<u8> {
    let mut reader = BufReader::new(stream);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0);
    }
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    let lines: Vec<String> = head.lines().map(str::to_lowercase).collect();
    assert!(lines.contains(&"content-type: application/x-protobuf".to_owned()), "{head}");
    let length = lines.iter().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    reader.read_exact(&mut body).unwrap();
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    body
}

/// The requests that the test is about, from a service in this process.
fn ask() {
    let traces = Traces::start().unwrap();
    let model = TracedModel::new(&traces, &manifest());
    let observers = Observers { traces: Some(model), ..Observers::default() };
    let service = Service::observed(&settings(), &Arc::default(), observers);
    let asynchronous = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    asynchronous.block_on(async {
        let request = |path: &str, id: &str, flags: &str| {
            let parent = format!("00-{TRACE}-{PARENT}-{flags}");
            Request::post(path).header("traceparent", parent).header("x-request-id", id)
        };
        let batch = format!("[{}]", vec![row("1"); 2000].join(","));
        service.send(request("/predict/batch", "batch", "01").body(Body::from(batch)).unwrap()).await;
        service.send(request("/predict", "unsampled", "00").body(Body::from(row("1"))).unwrap()).await;
        let twice = request("/predict", "failed", "01").header("traceparent", "x");
        service.send(twice.body(Body::from(row("500"))).unwrap()).await;
        service.predict("{").await;
    });
    traces.finish();
}

#[test]
fn a_request_is_a_span_with_its_steps_below() {
    if env::var_os("TEST_OF_TRACES").is_some() {
        return ask();
    }
    let collector = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = collector.local_addr().unwrap();
    // the client's first connection is all that is waited for: the spans are sent together when the service ends
    let received = thread::spawn(move || receive(collector.accept().unwrap().0));
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "traces::a_request_is_a_span_with_its_steps_below"]).stdout(Stdio::null());
    let variables =
        [("TEST_OF_TRACES", "1"), ("OTEL_BSP_SCHEDULE_DELAY", "600000"), ("OTEL_RESOURCE_ATTRIBUTES", "a=b")];
    command.envs(variables).env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{address}"));
    assert!(command.status().unwrap().success());
    let _ = TcpStream::connect(address); // which ends the wait for spans that were not sent

    let message = received.join().unwrap();
    let resource = attributes(&message, &[1, 1, 1]);
    assert_eq!((resource["service.name"].as_str(), resource["a"].as_str()), ("train-to-serve-axum", "b"));
    let spans = at(&message, &[1, 2, 2]);
    let servers: Vec<&Vec<u8>> = spans.iter().filter(|span| at(span, &[6])[0].as_slice() == b"2").collect();
    assert_eq!(servers.len(), 3);
    let batch = servers[0];
    assert_eq!((hex(batch, 1), hex(batch, 4)), (TRACE.to_owned(), PARENT.to_owned()));
    assert_eq!(text(batch, &[5]), "POST /predict/batch");
    let expected = [
        ("http.request.method", "POST"),
        ("http.response.status_code", "200"),
        ("http.route", "/predict/batch"),
        ("model.name", "paint"),
        ("model.version", "abc123"),
        ("request_id", "batch"),
        ("rows", "2000"),
    ];
    assert_eq!(attributes(batch, &[9]), expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
    let steps = |server: &[u8]| -> Vec<String> {
        let below = spans.iter().filter(|span| hex(span, 4) == hex(server, 2) && hex(span, 1) == hex(server, 1));
        below.map(|span| text(span, &[5])).collect()
    };
    assert_eq!(steps(batch), ["decode", "predict", "encode"]);

    let others: Vec<_> = servers[1..].iter().map(|span| (hex(span, 4), text(span, &[15, 3]), steps(span))).collect();
    let decode = || "decode".to_owned();
    let failed = (String::new(), "2".to_owned(), vec![decode(), "predict".to_owned()]);
    assert_eq!(others, [failed, (String::new(), String::new(), vec![decode()])]);
    assert_eq!(attributes(servers[2], &[9])["http.response.status_code"], "400");
}
