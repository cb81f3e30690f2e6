//! Whether a model gives a row the same answer, to the bit, alone and among others: then rows may share its runs.
//!
//! ONNX does not promise it, and it is not true of every model: ONNX Runtime multiplies a matrix with a different
//! routine than a vector, which adds in a different order. That changes the last bit of one in a hundred of a linear
//! model's answers, or of one in three: a few similar rows don't show it. The ONNX service in Python does the same
//! (`serving/row_independence.py`).

use std::borrow::Cow;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use tracing::info;

use crate::manifest::{Feature, FeatureKind, Manifest};
use crate::predictor::{Batch, PredictionError, Predictions, Predictor};

/// How many rows a model is tried with.
const TRIED_ROWS: usize = 1024;

/// How long that may take at startup. A model that needs longer answers each row by itself.
const TRIAL_TIME: Duration = Duration::from_secs(1);

/// The fraction of missing values, where values may be missing.
const MISSING_PART: f64 = 0.05;

/// Always the same rows, with everything that the features may have: numbers in their range and somewhat beyond, known
/// and unseen categories, missing values.
pub(crate) fn rows_to_try(manifest: &Manifest) -> Batch<'_> {
    let mut random = Random(0);
    let mut rows = Batch { rows: TRIED_ROWS, ..Batch::default() };
    for _ in 0..TRIED_ROWS {
        for feature in &manifest.features {
            let is_missing = feature.nullable && random.unit() < MISSING_PART;
            if feature.is_categorical() {
                let text = if is_missing { &manifest.tokens.missing } else { text(feature, manifest, &mut random) };
                rows.categorical.push(Cow::Borrowed(text));
            } else {
                rows.numeric.push(if is_missing { f32::NAN } else { number(feature, &mut random) });
            }
        }
    }
    rows
}

/// Whether these rows get the same answers alone and together, to the bit. A model can't share if it fails on one of
/// them, or takes too long for them one by one.
pub(crate) fn can_share(predictor: &dyn Predictor, rows: &Batch<'_>) -> bool {
    shares_within(predictor, rows, TRIAL_TIME)
}

fn shares_within(predictor: &dyn Predictor, rows: &Batch<'_>, time: Duration) -> bool {
    match catch_unwind(AssertUnwindSafe(|| try_rows(predictor, rows, time))) {
        Ok(Ok(shares)) => shares,
        // a model may fail at what it is tried with, and still be right for valid rows
        Ok(Err(error)) => {
            info!("rows don't share runs of the model: it fails on a row of the trial: {error}");
            false
        }
        Err(_) => false, // the panic has been logged
    }
}

fn try_rows(predictor: &dyn Predictor, rows: &Batch<'_>, time: Duration) -> Result<bool, PredictionError> {
    let started = Instant::now();
    let mut alone = Vec::with_capacity(rows.rows);
    for row in 0..rows.rows {
        alone.push(bits(&predictor.predict(&part(rows, row..row + 1))?));
        if started.elapsed() > time {
            info!("rows don't share runs of the model: the trial takes too long");
            return Ok(false);
        }
    }
    for run in runs(rows.rows) {
        let together = predictor.predict(&part(rows, run.clone()))?;
        if run.clone().any(|row| bits(&together.row(row - run.start)) != alone[row]) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Runs of two rows, of three and so on, and one of all rows.
fn runs(rows: usize) -> impl Iterator<Item = Range<usize>> {
    let starts = (2..).scan(0, |next, size| Some(std::mem::replace(next, *next + size)));
    let growing = starts.zip(2..).take_while(move |(start, _)| *start < rows);
    growing.map(move |(start, size)| start..rows.min(start + size)).chain(std::iter::once(0..rows))
}

fn part<'b>(rows: &Batch<'b>, run: Range<usize>) -> Batch<'b> {
    let of = |length: usize| run.start * length / rows.rows..run.end * length / rows.rows;
    let categorical = rows.categorical[of(rows.categorical.len())].to_vec();
    Batch { rows: run.len(), categorical, numeric: rows.numeric[of(rows.numeric.len())].to_vec() }
}

fn bits(predictions: &Predictions) -> (Vec<i64>, Vec<u32>) {
    let bits = |numbers: &[f32]| numbers.iter().map(|number| number.to_bits()).collect();
    match predictions {
        Predictions::Classes { labels, probabilities } => (labels.clone(), bits(probabilities)),
        Predictions::Values(values) => (Vec::new(), bits(values)),
    }
}

fn text<'m>(feature: &'m Feature, manifest: &'m Manifest, random: &mut Random) -> &'m str {
    let known = feature.categories.len() + feature.rare.len();
    let mut texts = feature.categories.iter().chain(&feature.rare).map(String::as_str);
    match (texts.nth(random.below(known.max(1) + 1)), feature.example.as_str()) {
        (Some(known), _) => known,
        (None, Some(example)) if known == 0 && random.below(2) == 0 => example,
        _ => &manifest.tokens.unseen,
    }
}

/// Booleans are numbers here, and so are dates, as in a batch.
#[allow(clippy::cast_possible_truncation)] // to what a model gets
fn number(feature: &Feature, random: &mut Random) -> f32 {
    if feature.kind == FeatureKind::Boolean {
        return if random.below(2) == 0 { 0.0 } else { 1.0 };
    }
    let largest = f64::from(f32::MAX);
    let example = feature.example.as_f64().unwrap_or_default();
    let low = feature.minimum.unwrap_or(example - example.abs() - 1.0).max(-largest);
    let high = feature.maximum.unwrap_or(example + example.abs() + 1.0).min(largest);
    let exact = f64::midpoint(low, high) + random.normal() * (high / 3.0 - low / 3.0);
    let exact = exact.clamp(-largest, largest);
    (if feature.integer || feature.kind == FeatureKind::Date { exact.round() } else { exact }) as f32
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From 0 to 1.
    #[allow(clippy::cast_precision_loss)] // the 53 bits that are left fit
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// One of so many numbers from 0.
    #[allow(clippy::cast_possible_truncation)] // it is smaller than `count`
    fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }

    /// Around 0, with a deviation of 1, nearly normally distributed.
    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.unit()).sum::<f64>() - 6.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use serde_json::json;

    use super::*;
    use crate::manifest_file::decode_manifest;

    fn manifest() -> Manifest {
        let manifest = json!({
            "format_version": 2, "name": "", "version": "", "created": "", "task": "regression",
            "features": [
                {"name": "n", "kind": "numeric", "nullable": true, "example": 1, "minimum": 0.0, "maximum": 60.0},
                {"name": "huge", "kind": "numeric", "nullable": false, "example": 3e38},
                {"name": "whole", "kind": "numeric", "nullable": false, "example": -7, "integer": true},
                {"name": "bool", "kind": "boolean", "nullable": true, "example": true},
                {"name": "day", "kind": "date", "nullable": false, "example": "2026-11-27", "minimum": 100, "maximum": 200},
                {"name": "c", "kind": "nominal", "nullable": true, "example": "a", "categories": ["a", "b"], "rare": ["r"]},
                {"name": "any", "kind": "nominal", "nullable": false, "example": "e", "open": true},
            ],
            "target": "", "tokens": {"missing": "?", "unseen": "!"}, "expected": {"prediction": 0},
            "libraries": {}, "artifacts": {},
        });
        decode_manifest(manifest.to_string().as_bytes(), "test").unwrap()
    }

    struct Sum(fn(rows: usize, sum: f32) -> Result<f32, PredictionError>);

    impl Predictor for Sum {
        fn predict(&self, batch: &Batch<'_>) -> Result<Predictions, PredictionError> {
            let sums = batch.numeric.chunks(batch.numeric.len() / batch.rows).map(|row| row.iter().sum());
            Ok(Predictions::Values(sums.map(|sum| (self.0)(batch.rows, sum)).collect::<Result<_, _>>()?))
        }

        fn library(&self) -> String {
            "a sum".to_owned()
        }
    }

    #[test]
    fn a_model_is_tried_with_all_that_its_features_may_have() {
        let manifest = manifest();
        let rows = rows_to_try(&manifest);
        assert_eq!((rows.rows, rows.categorical.len(), rows.numeric.len()), (1024, 2 * 1024, 5 * 1024));
        let texts = |column: usize| rows.categorical.chunks(2).map(move |row| &*row[column]).collect::<HashSet<_>>();
        assert_eq!(texts(0), HashSet::from(["a", "b", "r", "?", "!"]));
        assert_eq!(texts(1), HashSet::from(["e", "!"]));
        let numbers = |column: usize| rows.numeric.chunks(5).map(move |row| row[column]).collect::<Vec<_>>();
        let differing = |column| numbers(column).into_iter().map(f32::to_bits).collect::<HashSet<_>>().len();
        assert!(numbers(0).iter().any(|n| n.is_nan()) && differing(0) > 900);
        assert!(numbers(0).iter().any(|n| *n < 0.0) && numbers(0).iter().any(|n| *n > 60.0));
        assert!(numbers(1).iter().all(|n| n.is_finite()) && differing(1) > 500);
        assert!(numbers(2).iter().all(|n| n.fract() == 0.0) && differing(2) > 10);
        assert!(numbers(3).iter().all(|n| [0.0, 1.0].contains(n) || n.is_nan()) && differing(3) == 3);
        assert!(numbers(4).iter().all(|n| n.fract() == 0.0) && differing(4) > 100);
        assert_eq!(format!("{rows:?}"), format!("{:?}", rows_to_try(&manifest))); // NaN is not equal to itself
    }

    #[test]
    fn every_row_is_in_a_run_of_few_and_in_one_of_all() {
        assert_eq!(runs(7).collect::<Vec<_>>(), [0..2, 2..5, 5..7, 0..7]);
    }

    #[test]
    fn a_model_shares_runs_if_its_answers_are_the_same_bits_and_come_in_time() {
        let manifest = manifest();
        let rows = rows_to_try(&manifest);
        let shares = |sum| can_share(&Sum(sum), &rows);
        assert!(shares(|_, sum| Ok(sum)));
        assert!(!shares(|rows, sum| Ok(if rows > 1 && sum.to_bits().is_multiple_of(100) {
            sum.next_up()
        } else {
            sum
        })));
        assert!(!shares(|rows, sum| if rows == 1024 { Err(PredictionError(String::new())) } else { Ok(sum) }));
        assert!(!shares(|_, sum| if sum < 0.0 { panic!("a panic that the test asked for") } else { Ok(sum) }));
        assert!(!shares_within(&Sum(|_, sum| Ok(sum)), &rows, Duration::ZERO));
    }
}
