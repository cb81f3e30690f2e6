//! JSON Schemas of requests and answers, made from the manifest.

use serde_json::{Map, Value, json};

use crate::dates;
use crate::manifest::{ClassLabel, Feature, FeatureKind, Manifest, Task};

/// The most categories that a description lists.
const LISTED: usize = 20;

/// All schemas, by name.
pub fn schemas(manifest: &Manifest) -> Value {
    json!({
        "Row": row_schema(manifest),
        "Prediction": prediction_schema(manifest),
        "BatchPrediction": batch_schema(),
        "Problems": problems_schema(),
    })
}

/// A reference to a schema, for use elsewhere in the document.
pub fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

/// A row that is valid as it is.
pub fn example_row(manifest: &Manifest) -> Value {
    manifest.features.iter().map(|feature| (feature.name.clone(), feature.example.clone())).collect()
}

fn row_schema(manifest: &Manifest) -> Value {
    let properties: Map<String, Value> =
        manifest.features.iter().map(|feature| (feature.name.clone(), feature_schema(feature))).collect();
    let required: Vec<&str> = manifest.features.iter().map(|feature| feature.name.as_str()).collect();
    let mut schema = object(&properties.into(), &required.into());
    schema["additionalProperties"] = json!(false);
    schema["example"] = example_row(manifest);
    schema
}

fn feature_schema(feature: &Feature) -> Value {
    let kind = match feature.kind {
        FeatureKind::Numeric if feature.integer => "integer",
        FeatureKind::Numeric => "number",
        FeatureKind::Boolean => "boolean",
        FeatureKind::Date | FeatureKind::Ordinal | FeatureKind::Nominal => "string",
    };
    let mut schema = json!({
        "type": if feature.nullable { json!([kind, "null"]) } else { json!(kind) },
        "examples": [feature.example],
    });
    // an integer just above the largest one reads as the largest one, so integers have no bound to state
    if feature.kind == FeatureKind::Numeric && !feature.integer {
        schema["minimum"] = json!(-f64::from(f32::MAX));
        schema["maximum"] = json!(f64::from(f32::MAX));
    }
    if feature.kind == FeatureKind::Date {
        schema["format"] = json!("date");
    }
    let missing = feature.nullable.then(|| "null means missing".to_owned());
    let parts = [Some(feature.description.clone()), seen(feature), missing];
    let parts: Vec<String> = parts.into_iter().flatten().filter(|part| !part.is_empty()).collect();
    schema["description"] = json!(parts.join("; "));
    schema
}

/// The feature's values that training saw.
fn seen(feature: &Feature) -> Option<String> {
    if feature.open {
        return Some("any string".to_owned());
    }
    if feature.is_categorical() {
        return Some(format!("seen in training: {}; others are accepted", listed(&feature.categories)));
    }
    let end = |end: f64| match feature.kind {
        #[allow(clippy::cast_possible_truncation)] // saturates, and then is no date
        FeatureKind::Date => dates::text(end as i32),
        _ => Some(end.to_string()),
    };
    Some(format!("seen in training: {} to {}", end(feature.minimum?)?, end(feature.maximum?)?))
}

/// The first of the words, and how many more there are.
fn listed(words: &[String]) -> String {
    let first = words[..words.len().min(LISTED)].join(", ");
    match words.len().saturating_sub(LISTED) {
        0 => first,
        more => format!("{first} and {more} more"),
    }
}

fn prediction_schema(manifest: &Manifest) -> Value {
    if manifest.task == Task::Regression {
        let text = format!("The model's estimate of {}; null where it has no finite one", manifest.target);
        let value = json!({"type": ["number", "null"], "description": text});
        return object(&json!({"prediction": value}), &json!(["prediction"]));
    }
    let label = format!("predicted_{}", manifest.target);
    let classes: Vec<String> = manifest.classes.iter().map(|class| json!(class).to_string()).collect();
    let properties = json!({
        "prediction": {
            "type": "integer",
            "enum": (0..classes.len()).collect::<Vec<_>>(),
            "description": format!("Class index{}", rule(manifest)),
        },
        "probabilities": {
            "type": "array",
            "items": {"type": "number", "minimum": 0, "maximum": 1},
            "minItems": classes.len(),
            "maxItems": classes.len(),
            "description": format!("Probabilities of the classes: {}", listed(&classes)),
        },
        label.as_str(): {"type": label_type(&manifest.classes), "enum": manifest.classes},
    });
    object(&properties, &json!(["prediction", "probabilities", label]))
}

/// When the model answers with the positive class.
fn rule(manifest: &Manifest) -> String {
    let Some((positive, threshold)) = manifest.positive_class.as_ref().zip(manifest.decision_threshold) else {
        return String::new();
    };
    let index = manifest.classes.iter().position(|class| class == positive).unwrap_or_default();
    let positive = json!(positive);
    format!("; {index} where the probability of {positive} is at least {threshold}, the model's decision threshold")
}

fn label_type(classes: &[ClassLabel]) -> &'static str {
    match classes {
        [ClassLabel::Boolean(_), ..] => "boolean",
        [ClassLabel::Integer(_), ..] => "integer",
        _ => "string",
    }
}

fn batch_schema() -> Value {
    let rows = json!({"type": "array", "items": reference("Prediction")});
    let properties = json!({"predictions": rows, "batch_size": {"type": "integer"}});
    object(&properties, &json!(["predictions", "batch_size"]))
}

fn problems_schema() -> Value {
    let step = json!({"anyOf": [{"type": "string"}, {"type": "integer"}]});
    let properties = json!({
        "loc": {"type": "array", "items": step},
        "msg": {"type": "string"},
        "type": {"type": "string"},
    });
    let problem = object(&properties, &json!(["loc", "msg", "type"]));
    object(&json!({"detail": {"type": "array", "items": problem}}), &json!(["detail"]))
}

fn object(properties: &Value, required: &Value) -> Value {
    json!({"type": "object", "properties": properties, "required": required})
}
