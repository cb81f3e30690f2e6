//! From answered rows to lines of JSON, one per row: the same in every service.

use std::io::Write;
use std::time::SystemTime;

use serde::Serialize;

use crate::dates;
use crate::manifest::{Feature, FeatureKind, Manifest};
use crate::predictor::{Batch, Predictions};
use crate::record_names::iso;
use crate::request_id::RequestId;

/// A request that was answered, and its rows.
pub(crate) struct Answered {
    pub(crate) id: RequestId,
    pub(crate) route: &'static str,
    pub(crate) time: SystemTime,
    pub(crate) rows: Rows,
    pub(crate) predictions: Predictions,
}

/// The rows of a batch, whose strings are its own.
pub(crate) struct Rows {
    pub(crate) count: usize,
    categorical: Vec<Box<str>>,
    numeric: Vec<f32>,
}

impl Rows {
    pub(crate) fn of(batch: &Batch<'_>) -> Self {
        let categorical = batch.categorical.iter().map(|text| Box::from(&**text)).collect();
        Self { count: batch.rows, categorical, numeric: batch.numeric.clone() }
    }
}

/// Makes the lines of one model's rows, with the given features.
pub struct Lines {
    /// What stands between the route and the values of the features.
    served: Vec<u8>,
    features: Vec<Recorded>,
    missing: String,
    unseen: String,
}

/// A feature that is recorded: its name in JSON, and its column of the strings or of the numbers.
struct Recorded {
    name: String,
    column: usize,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// A string that may be a token.
    Known,
    /// Any string.
    Open,
    Number,
    Whole,
    Boolean,
    Date,
}

/// What is known of a value.
enum Value<'r> {
    Missing,
    Unseen,
    Text(&'r str),
    Number(f32),
}

impl Lines {
    /// Those of the manifest's model, with the features that are named in `recorded`.
    pub fn new(manifest: &Manifest, recorded: &[&Feature], service: &str) -> Self {
        let mut widths = [0, 0];
        let mut features = Vec::new();
        for feature in &manifest.features {
            let width = &mut widths[usize::from(!feature.is_categorical())];
            if recorded.iter().any(|other| other.name == feature.name) {
                features.push(Recorded { name: json(&feature.name), column: *width, kind: Kind::of(feature) });
            }
            *width += 1;
        }
        let (model, version) = (json(&manifest.name), json(&manifest.version));
        let served = format!(",\"service\":{},\"model\":{model},\"version\":{version},\"features\":{{", json(service));
        let tokens = &manifest.tokens;
        Self { served: served.into(), features, missing: tokens.missing.clone(), unseen: tokens.unseen.clone() }
    }

    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self { served: Vec::new(), features: Vec::new(), missing: String::new(), unseen: String::new() }
    }

    /// Pass on each row's line.
    pub(crate) fn write(&self, answered: &Answered, mut take: impl FnMut(&[u8])) {
        let (rows, route) = (&answered.rows, json(answered.route));
        let request =
            format!("{{\"time\":\"{}\",\"request_id\":{},\"row\":", iso(answered.time), json(answered.id.as_str()));
        let mut line = Vec::with_capacity(512);
        for row in 0..rows.count.min(answers(&answered.predictions)) {
            line.clear();
            put(&mut line, &[&request]);
            put_json(&mut line, &row);
            put(&mut line, &[",\"route\":", &route]);
            line.extend_from_slice(&self.served);
            self.write_features(&mut line, rows, row);
            write_answer(&mut line, &answered.predictions, row);
            line.extend_from_slice(b"}\n");
            take(&line);
        }
    }

    fn write_features(&self, out: &mut Vec<u8>, rows: &Rows, row: usize) {
        let (mut missing, mut unseen) = (String::new(), String::new());
        let widths = [rows.categorical.len(), rows.numeric.len()].map(|length| length / rows.count * row);
        for (index, feature) in self.features.iter().enumerate() {
            put(out, &[if index > 0 { "," } else { "" }, &feature.name, ":"]);
            let list = match self.value(feature, rows, widths) {
                Value::Text(text) => {
                    put_json(out, text);
                    continue;
                }
                Value::Number(number) => {
                    write_value(out, feature.kind, number);
                    continue;
                }
                Value::Missing => &mut missing,
                Value::Unseen => &mut unseen,
            };
            put(out, &["null"]);
            list.push_str(if list.is_empty() { "" } else { "," });
            list.push_str(&feature.name);
        }
        put(out, &["},\"missing\":[", &missing, "],\"unseen\":[", &unseen, "]"]);
    }

    fn value<'r>(&self, feature: &Recorded, rows: &'r Rows, starts: [usize; 2]) -> Value<'r> {
        let [categorical, numeric] = starts.map(|start| start + feature.column);
        match feature.kind {
            Kind::Open => Value::Text(&rows.categorical[categorical]),
            Kind::Known => match &*rows.categorical[categorical] {
                text if text == self.missing => Value::Missing,
                text if text == self.unseen => Value::Unseen,
                text => Value::Text(text),
            },
            _ if rows.numeric[numeric].is_nan() => Value::Missing,
            _ => Value::Number(rows.numeric[numeric]),
        }
    }
}

impl Kind {
    fn of(feature: &Feature) -> Self {
        match feature.kind {
            FeatureKind::Ordinal | FeatureKind::Nominal if feature.open => Self::Open,
            FeatureKind::Ordinal | FeatureKind::Nominal => Self::Known,
            FeatureKind::Numeric if feature.integer => Self::Whole,
            FeatureKind::Numeric => Self::Number,
            FeatureKind::Boolean => Self::Boolean,
            FeatureKind::Date => Self::Date,
        }
    }
}

/// Beyond it, no 64-bit integer holds the number, and it is written as a float: few readers accept longer integers.
const BEYOND_64_BITS: f32 = 9_223_372_036_854_775_808.0;

#[allow(clippy::cast_possible_truncation)] // whole numbers in range
fn write_value(out: &mut Vec<u8>, kind: Kind, number: f32) {
    match kind {
        Kind::Boolean => put_json(out, &(number != 0.0)),
        Kind::Date => put_json(out, &dates::text(number as i32)),
        Kind::Whole if number.abs() < BEYOND_64_BITS => put_json(out, &(number as i64)),
        _ => write_shortest(out, number),
    }
}

fn answers(predictions: &Predictions) -> usize {
    match predictions {
        Predictions::Values(values) => values.len(),
        Predictions::Classes { labels, .. } => labels.len(),
    }
}

fn write_answer(out: &mut Vec<u8>, predictions: &Predictions, row: usize) {
    put(out, &[",\"prediction\":"]);
    match predictions {
        Predictions::Values(values) => write_shortest(out, values[row]),
        Predictions::Classes { labels, probabilities } => {
            put_json(out, &labels[row]);
            put(out, &[",\"probabilities\":["]);
            let classes = probabilities.len() / labels.len();
            for (index, probability) in probabilities[row * classes..][..classes].iter().enumerate() {
                put(out, &[if index > 0 { "," } else { "" }]);
                write_shortest(out, *probability);
            }
            put(out, &["]"]);
        }
    }
}

/// The shortest decimal that is this 32-bit float, in the form of the 64-bit one with the same decimal; null if it is
/// not finite.
fn write_shortest(out: &mut Vec<u8>, number: f32) {
    let decimal = Some(number).filter(|number| number.is_finite()).map(|number| format!("{number:e}"));
    let start = out.len();
    put_json(out, &decimal.and_then(|decimal| decimal.parse::<f64>().ok()));
    if let Some(sign) = out[start..].iter().position(|byte| *byte == b'+') {
        out.remove(start + sign); // 1e16, as msgspec has it
    }
}

fn put(out: &mut Vec<u8>, texts: &[&str]) {
    for text in texts {
        out.extend_from_slice(text.as_bytes());
    }
}

fn put_json(out: &mut Vec<u8>, value: &(impl Serialize + ?Sized)) {
    serde_json::to_writer(out.by_ref(), value).expect("plain values can be written to memory");
}

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shortest(number: f32) -> String {
        let mut out = Vec::new();
        write_shortest(&mut out, number);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn numbers_are_the_shortest_decimals() {
        let cases = [
            (0.1, "0.1"),
            (0.9, "0.9"),
            (1.0 / 3.0, "0.33333334"),
            (-0.0, "-0.0"),
            (39.0, "39.0"),
            (16_777_216.0, "16777216.0"),
            (1e-7, "1e-7"),
            (1.5e-6, "1.5e-6"),
            (1e-5, "0.00001"),
            (0.000_123, "0.000123"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e16"),
            (f32::MAX, "3.4028235e38"),
            (1e-45, "1e-45"),
            (f32::NAN, "null"),
            (f32::INFINITY, "null"),
        ];
        for (number, text) in cases {
            assert_eq!(shortest(number), text);
        }
    }

    #[test]
    fn values_are_written_as_what_they_are() {
        let text = |kind, number| {
            let mut out = Vec::new();
            write_value(&mut out, kind, number);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(text(Kind::Whole, -0.0), "0");
        assert_eq!(text(Kind::Whole, 16_777_216.0), "16777216");
        assert_eq!(text(Kind::Whole, -9.223_371e18), "-9223370937343148032");
        assert_eq!(text(Kind::Whole, BEYOND_64_BITS), "9.223372e18");
        assert_eq!(text(Kind::Boolean, 1.0), "true");
        assert_eq!(text(Kind::Date, 20_784.0), "\"2026-11-27\"");
        assert_eq!(text(Kind::Date, -719_162.0), "\"0001-01-01\"");
        assert_eq!(text(Kind::Number, 2.5), "2.5");
    }
}
