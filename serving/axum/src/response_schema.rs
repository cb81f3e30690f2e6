//! From predictions to a response's bytes, with the names that the manifest gives.

use std::io::Write;

use crate::manifest::Manifest;
use crate::predictor::Predictions;

/// Encodes the answers of one model: `prediction`, `probabilities`, `predicted_<target>`.
pub struct ResponseSchema {
    /// What follows the probabilities, by class index.
    endings: [Vec<u8>; 2],
}

/// The length of a row's numbers: its class index, two numbers of up to 24 characters, and what stands around them.
const NUMBERS: usize = 88;

impl ResponseSchema {
    /// The schema that the manifest describes.
    pub fn new(manifest: &Manifest) -> Self {
        let name = json(&format!("predicted_{}", manifest.target));
        Self { endings: manifest.classes.each_ref().map(|label| format!("],{name}:{}}}", json(label)).into_bytes()) }
    }

    /// The answer to a single row.
    pub fn encode_row(&self, predictions: &Predictions) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.row_length());
        for (label, probabilities) in predictions.labels.iter().zip(&predictions.probabilities) {
            self.write_row(&mut out, *label, *probabilities);
        }
        out
    }

    /// The answer to a batch, in the order of its rows.
    pub fn encode_rows(&self, predictions: &Predictions) -> Vec<u8> {
        let mut out = Vec::with_capacity(48 + predictions.labels.len() * (1 + self.row_length()));
        out.extend_from_slice(b"{\"predictions\":[");
        for (index, (label, probabilities)) in predictions.labels.iter().zip(&predictions.probabilities).enumerate() {
            if index > 0 {
                out.push(b',');
            }
            self.write_row(&mut out, *label, *probabilities);
        }
        write!(out, "],\"batch_size\":{}}}", predictions.labels.len()).expect(MEMORY);
        out
    }

    fn row_length(&self) -> usize {
        NUMBERS + self.endings[0].len().max(self.endings[1].len())
    }

    fn write_row(&self, out: &mut Vec<u8>, label: i64, probabilities: [f32; 2]) {
        let class = usize::from(label == 1);
        out.extend_from_slice(if class == 1 { b"{\"prediction\":1," } else { b"{\"prediction\":0," });
        out.extend_from_slice(b"\"probabilities\":[");
        // widened, because that is how Python writes a 32-bit float: both services' numbers are equal to the last digit
        serde_json::to_writer(&mut *out, &f64::from(probabilities[0])).expect(MEMORY);
        out.push(b',');
        serde_json::to_writer(&mut *out, &f64::from(probabilities[1])).expect(MEMORY);
        out.extend_from_slice(&self.endings[class]);
    }
}

const MEMORY: &str = "writing to memory can't fail";

fn json(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
