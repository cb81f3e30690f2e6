//! Whether the model gives the answer that the manifest expects of it: ready means right.

use crate::manifest::Manifest;
use crate::predictor::Predictions;

/// How much a probability may differ, and a value relative to its size, but to no less than 1.
const PROBABILITY: f64 = 1e-6;
const VALUE: f64 = 1e-5;

/// What is wrong with the answer to the example row; `library` is what the model runs on.
pub fn wrong_answer(manifest: &Manifest, given: &Predictions, library: &str) -> Option<String> {
    let expected = &manifest.expected;
    let (prediction, probabilities) = match given {
        #[allow(clippy::cast_precision_loss)] // a class index
        Predictions::Classes { labels, probabilities } => {
            (labels.iter().map(|label| *label as f64).collect(), widened(probabilities))
        }
        Predictions::Values(values) => (widened(values), Vec::new()),
    };
    let classifies = matches!(given, Predictions::Classes { .. });
    let allowed = if classifies { 0.0 } else { VALUE * expected.prediction.abs().max(1.0) };
    let tolerance = manifest.parity.as_ref().and_then(|parity| parity.get("tolerance")?.as_f64()).unwrap_or_default();
    let same = |given: &[f64], expected: &[f64], allowed: f64| {
        given.len() == expected.len() && given.iter().zip(expected).all(|(a, b)| (a - b).abs() <= allowed)
    };
    if same(&prediction, &[expected.prediction], allowed)
        && same(&probabilities, &expected.probabilities, tolerance.max(PROBABILITY))
    {
        return None;
    }
    let made = manifest.libraries.iter().map(|(name, version)| format!("{name} {}", version.as_str().unwrap_or("?")));
    Some(format!(
        "it answers its example with {}, but its bundle expects {}: made with {}; running on {library}; serve it with those \
         versions, or make it again with these",
        shown(&prediction, &probabilities),
        shown(&[expected.prediction], &expected.probabilities),
        made.collect::<Vec<_>>().join(", "),
    ))
}

fn widened(numbers: &[f32]) -> Vec<f64> {
    numbers.iter().copied().map(f64::from).collect()
}

fn shown(prediction: &[f64], probabilities: &[f64]) -> String {
    let joined = |numbers: &[f64]| numbers.iter().map(f64::to_string).collect::<Vec<_>>().join(", ");
    if probabilities.is_empty() {
        joined(prediction)
    } else {
        format!("class {} ({})", joined(prediction), joined(probabilities))
    }
}
