//! How the parts of a manifest must fit together.

use std::collections::HashSet;
use std::mem::discriminant;

use crate::manifest::{Feature, FeatureKind, Manifest, Task, Tokens};

/// The first part of the manifest that contradicts another one, or is impossible.
pub(crate) fn contradiction(manifest: &Manifest) -> Option<String> {
    let names: HashSet<&str> = manifest.features.iter().map(|feature| feature.name.as_str()).collect();
    if names.is_empty() || names.len() != manifest.features.len() {
        return Some("there must be features, and their names must differ".to_owned());
    }
    if manifest.tokens.missing == manifest.tokens.unseen {
        return Some("the tokens for missing and unseen categories are the same".to_owned());
    }
    let feature = manifest.features.iter().find_map(|feature| of_feature(feature, &manifest.tokens));
    let path = manifest.artifacts.values().map(|artifact| artifact.file.as_str()).find(|file| !stays_inside(file));
    let path =
        path.map(|file| format!("{file:?} is not a relative path inside the bundle, with '/' between its parts"));
    feature.or_else(|| of_classes(manifest)).or(path)
}

fn of_feature(feature: &Feature, tokens: &Tokens) -> Option<String> {
    let name = &feature.name;
    let mut known = feature.categories.iter().chain(&feature.rare);
    let has_categories = known.clone().next().is_some();
    if name.is_empty() {
        Some("a feature has no name".to_owned())
    } else if feature.example.is_null() && !feature.nullable {
        Some(format!("feature {name:?} is not nullable, but its example is null"))
    } else if !feature.is_categorical() && (has_categories || feature.open) {
        Some(format!("feature {name:?} holds no strings, and can't have categories"))
    } else if feature.open && (has_categories || feature.nullable || feature.kind != FeatureKind::Nominal) {
        Some(format!("feature {name:?} is open: it must be nominal, not nullable, without categories"))
    } else if feature.integer && feature.kind != FeatureKind::Numeric {
        Some(format!("feature {name:?} is not numeric, and can't be integer"))
    } else {
        let token = known.find(|category| [&tokens.missing, &tokens.unseen].contains(category))?;
        Some(format!("feature {name:?} has a token as a category: {token:?}"))
    }
}

fn of_classes(manifest: &Manifest) -> Option<String> {
    let classes = &manifest.classes;
    let kinds: HashSet<_> = classes.iter().map(discriminant).collect();
    let count = classes.len();
    let fits = match manifest.task {
        Task::BinaryClassification => count == 2,
        Task::MulticlassClassification => count > 2,
        Task::Regression => count == 0,
    };
    let binary = manifest.task == Task::BinaryClassification;
    if kinds.len() > 1 || classes.iter().collect::<HashSet<_>>().len() != count {
        Some("the classes must differ, and be of one type".to_owned())
    } else if !fits {
        Some(format!("{count} classes are not those of the task"))
    } else if [manifest.positive_class.is_some(), manifest.decision_threshold.is_some()] != [binary; 2] {
        Some("positive_class and decision_threshold belong to binary_classification, and only there".to_owned())
    } else if manifest.positive_class.as_ref().is_some_and(|positive| !classes.contains(positive)) {
        Some("positive_class is none of the classes".to_owned())
    } else if manifest.expected.probabilities.len() != count {
        Some("the expected answer needs a probability for every class".to_owned())
    } else {
        None
    }
}

/// Whether the path leads to no file outside the bundle's folder.
fn stays_inside(file: &str) -> bool {
    !file.contains(['\\', '\0']) && file.split('/').all(|part| !["", ".", ".."].contains(&part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artifact_is_a_file_inside_the_bundle() {
        for file in ["a.onnx", "abc/a.onnx", "..a/b..", "年齢 1.onnx"] {
            assert!(stays_inside(file), "{file}");
        }
        for file in ["", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", "a\\b", "a\0"] {
            assert!(!stays_inside(file), "{file}");
        }
    }
}
