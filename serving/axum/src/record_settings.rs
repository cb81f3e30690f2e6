//! The settings of the record: which fraction of the requests is recorded, where, and which features.

use std::fs;
use std::path::PathBuf;

use crate::manifest::{Feature, Manifest};

/// What is recorded, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordSettings {
    /// The folder of the files.
    pub folder: PathBuf,
    /// The fraction of requests to record, from 0 to 1.
    pub sample: f64,
    /// The limit for all files of the folder together, in bytes.
    pub most_bytes: u64,
    /// The names of the features that are recorded; None for all.
    pub fields: Option<Vec<String>>,
}

impl RecordSettings {
    /// The features that are recorded, in the manifest's order; an error that says which one isn't there.
    pub fn recorded<'m>(&self, manifest: &'m Manifest) -> Result<Vec<&'m Feature>, String> {
        let all = manifest.features.iter();
        let Some(fields) = &self.fields else { return Ok(all.collect()) };
        if let Some(name) = fields.iter().find(|name| all.clone().all(|feature| feature.name != **name)) {
            let known: Vec<String> = all.map(|feature| format!("{:?}", feature.name)).collect();
            let (model, version, known) = (&manifest.name, &manifest.version, known.join(", "));
            return Err(format!("SERVE_RECORD_FIELDS: {model} {version} has no feature {name:?}; it has {known}"));
        }
        Ok(all.filter(|feature| fields.contains(&feature.name)).collect())
    }
}

/// The folder; None if none is given. An error if the path is something else.
pub(crate) fn parse_folder(text: &str) -> Result<Option<PathBuf>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    // what can't even be looked at can't be written either, and the record reports that
    if fs::metadata(text).is_ok_and(|facts| !facts.is_dir()) {
        return Err("a folder is needed, and this is none".to_owned());
    }
    Ok(Some(text.into()))
}

/// A part of all.
pub(crate) fn parse_part(text: &str) -> Result<f64, String> {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_decimal = match text.split_once('.') {
        Some((whole, fraction)) => (whole.is_empty() || digits(whole)) && digits(fraction),
        None => digits(text),
    };
    let part = Some(text).filter(|_| is_decimal).and_then(|text| text.parse().ok());
    part.filter(|part| *part <= 1.0).ok_or_else(|| "a decimal from 0 to 1 is needed".to_owned())
}

/// Names, separated by commas or as a JSON array; None if the text is empty.
pub(crate) fn parse_names(text: &str) -> Result<Option<Vec<String>>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    if text.starts_with('[') {
        return serde_json::from_str(text)
            .map(Some)
            .map_err(|error| format!("names with commas between them, or a JSON array of them, are needed: {error}"));
    }
    Ok(Some(text.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_a_decimal_from_0_to_1() {
        for (text, part) in [("0", 0.0), ("1", 1.0), ("0.01", 0.01), (".5", 0.5), ("1.000", 1.0), ("000", 0.0)] {
            assert_eq!(parse_part(text), Ok(part), "{text}");
        }
        for text in ["", ".", "1.", "1.01", "2", "-0.1", "+0.1", "1e-2", "1%", "nan", "inf", "0,1", "٠"] {
            assert_eq!(parse_part(text), Err("a decimal from 0 to 1 is needed".to_owned()), "{text}");
        }
    }

    #[test]
    fn names_have_commas_between_them_or_are_a_json_array() {
        let names = |names: &[&str]| Ok(Some(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
        assert_eq!(parse_names(""), Ok(None));
        assert_eq!(parse_names("age, sex,"), names(&["age", "sex"]));
        assert_eq!(parse_names(r#"["a, b", "c"]"#), names(&["a, b", "c"]));
        assert_eq!(parse_names("[]"), names(&[]));
        for text in ["[", "[1]", "[null]", "[]x"] {
            let message = parse_names(text).unwrap_err();
            assert!(message.starts_with("names with commas between them, or a JSON array"), "{message}");
        }
    }

    #[test]
    fn a_file_is_no_folder() {
        assert_eq!(parse_folder(""), Ok(None));
        assert_eq!(parse_folder("/nowhere/at/all"), Ok(Some("/nowhere/at/all".into())));
        assert_eq!(parse_folder("/dev/null"), Err("a folder is needed, and this is none".to_owned()));
    }
}
