//! From predictions to a response's bytes, with the names that the manifest gives.

use std::io::Write;

use serde::Serialize;

use crate::background::give_way;
use crate::manifest::{Manifest, Task};
use crate::predictor::Predictions;

/// Encodes the answers of one model: `prediction`, and of a classifier `probabilities` and `predicted_<target>`.
pub struct ResponseSchema {
    /// The text before a row's numbers and after them, by class index; a regressor has one such pair.
    frames: Vec<Frame>,
    /// The length of a row's answer, or somewhat more.
    row_length: usize,
}

struct Frame {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// The length of a number and a comma.
const NUMBER: usize = 25;

impl ResponseSchema {
    /// The schema that the manifest describes.
    pub fn new(manifest: &Manifest) -> Self {
        let frame = |before: String, after: String| Frame { before: before.into_bytes(), after: after.into_bytes() };
        let frames: Vec<Frame> = if manifest.task == Task::Regression {
            vec![frame("{\"prediction\":".to_owned(), "}".to_owned())]
        } else {
            let name = json(&format!("predicted_{}", manifest.target));
            let frame = |(index, label)| {
                let before = format!("{{\"prediction\":{index},\"probabilities\":[");
                frame(before, format!("],{name}:{}}}", json(label)))
            };
            manifest.classes.iter().enumerate().map(frame).collect()
        };
        let longest = frames.iter().map(|frame| frame.before.len() + frame.after.len()).max();
        Self { frames, row_length: longest.unwrap_or_default() + manifest.classes.len().max(1) * NUMBER }
    }

    /// The answer to a single row.
    pub fn encode_row(&self, predictions: &Predictions) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.row_length);
        self.write_rows(&mut out, predictions);
        out
    }

    /// The answer to a batch, in the order of its rows.
    pub fn encode_rows(&self, predictions: &Predictions) -> Vec<u8> {
        let rows = match predictions {
            Predictions::Classes { labels, .. } => labels.len(),
            Predictions::Values(values) => values.len(),
        };
        let mut out = Vec::with_capacity(48 + rows * (1 + self.row_length));
        out.extend_from_slice(b"{\"predictions\":[");
        self.write_rows(&mut out, predictions);
        write!(out, "],\"batch_size\":{rows}}}").expect(MEMORY);
        out
    }

    /// The answers to all rows, with commas between them.
    fn write_rows(&self, out: &mut Vec<u8>, predictions: &Predictions) {
        match predictions {
            Predictions::Classes { labels, probabilities } => {
                let rows = labels.iter().zip(probabilities.chunks_exact(self.frames.len()));
                for (row, (label, probabilities)) in rows.enumerate() {
                    // a label that is no class is a fault of the model, and ends as any other panic inside
                    let class = usize::try_from(*label).expect("a class index");
                    self.write_row(out, row, class, probabilities);
                    give_way(row);
                }
            }
            Predictions::Values(values) => {
                for (row, value) in values.iter().enumerate() {
                    self.write_row(out, row, 0, std::slice::from_ref(value));
                    give_way(row);
                }
            }
        }
    }

    fn write_row(&self, out: &mut Vec<u8>, row: usize, class: usize, numbers: &[f32]) {
        if row > 0 {
            out.push(b',');
        }
        let frame = &self.frames[class];
        out.extend_from_slice(&frame.before);
        for (index, number) in numbers.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            // widened, because that is how Python writes a 32-bit float: the services' numbers are equal to the last
            // digit
            serde_json::to_writer(&mut *out, &f64::from(*number)).expect(MEMORY);
        }
        out.extend_from_slice(&frame.after);
    }
}

const MEMORY: &str = "writing to memory can't fail";

fn json(value: &(impl Serialize + ?Sized)) -> String {
    serde_json::to_string(value).expect("strings, numbers and booleans can be written")
}
