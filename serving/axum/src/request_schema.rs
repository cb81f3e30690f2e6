//! From a request's bytes to a batch: decoding, validation and missing values, all as the manifest says.
//!
//! One pass over the bytes fills the flat columns of a batch; no tree of values is built. Only a body that is refused
//! is looked at again, in [`crate::diagnosis`], to name everything that is wrong with it.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::background::give_way;
use crate::diagnosis;
use crate::errors::{BODY, Problem, RequestError};
use crate::faults::{Fault, Finding};
use crate::fields::{Categories, Column, Fields};
use crate::json_value::{Found, Inspect, Refused};
use crate::manifest::Manifest;
use crate::predictor::Batch;

/// A batch, and the categorical feature's index of every value whose category training never saw.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DecodedRequest<'s> {
    pub batch: Batch<'s>,
    pub unseen: Vec<usize>,
}

/// Decodes the bodies of one model's requests.
pub struct RequestSchema {
    fields: Fields,
    max_rows: usize,
}

impl RequestSchema {
    /// The schema that the manifest describes, for batches of at most `max_rows`.
    pub fn new(manifest: &Manifest, max_rows: usize) -> Self {
        Self { fields: Fields::new(manifest), max_rows }
    }

    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    pub(crate) fn max_rows(&self) -> usize {
        self.max_rows
    }

    /// A batch of the one row that the body holds.
    pub fn decode_row(&self, body: &[u8]) -> Result<DecodedRequest<'_>, RequestError> {
        let mut decoder = Decoder::new(self, Fault::NoObject);
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Row(&mut decoder).deserialize(&mut json).and_then(|()| json.end());
        if let Err(error) = read {
            return Err(self.refusal(body, &error, decoder.finding, false));
        }
        Ok(decoder.finish())
    }

    /// A batch of all rows of the array that the body holds.
    pub fn decode_rows(&self, body: &[u8]) -> Result<DecodedRequest<'_>, RequestError> {
        let mut decoder = Decoder::new(self, Fault::NoArray);
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Rows(&mut decoder).deserialize(&mut json).and_then(|()| json.end());
        if decoder.too_many {
            return Err(RequestError::TooLarge { unit: "rows", limit: self.max_rows });
        }
        if let Err(error) = read {
            return Err(self.refusal(body, &error, decoder.finding, true));
        }
        if decoder.batch.rows == 0 {
            let problem = Problem::new(vec![BODY], "at least one row is required", "too_short");
            return Err(RequestError::InvalidRows(vec![problem]));
        }
        Ok(decoder.finish())
    }

    #[cold]
    fn refusal(&self, body: &[u8], error: &serde_json::Error, mut finding: Finding<'_>, many: bool) -> RequestError {
        let message = without_position(error);
        if message == "number out of range" {
            // more than a 64-bit float holds: JSON has no such limit, so it is the value that is wrong, not the text
            finding.fault = Fault::OutOfRange;
        } else if !error.is_data() {
            return malformed(error);
        }
        RequestError::InvalidRows(diagnosis::diagnose(&self.fields, body, finding.problem(), many))
    }
}

/// The error of a body that is not JSON.
pub(crate) fn malformed(error: &serde_json::Error) -> RequestError {
    let (message, line, column) = (without_position(error), error.line(), error.column());
    RequestError::MalformedBody(format!("{message} (line {line}, column {column})"))
}

/// `serde_json` appends the position to every message.
pub(crate) fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

/// The state of decoding one body.
struct Decoder<'s> {
    schema: &'s RequestSchema,
    batch: Batch<'s>,
    unseen: Vec<usize>,
    finding: Finding<'s>,
    /// The number of the last row that had the field, counted from one, so that nothing needs a reset between rows.
    last_row_with: Vec<usize>,
    row_has_unseen: bool,
    too_many: bool,
}

impl<'s> Decoder<'s> {
    /// A decoder that has read nothing; `fault` is what is wrong if the body isn't even of the right kind.
    fn new(schema: &'s RequestSchema, fault: Fault) -> Self {
        Self {
            schema,
            batch: Batch::default(),
            unseen: Vec::new(),
            finding: Finding { row: None, field: None, fault },
            last_row_with: vec![0; schema.fields.all().len()],
            row_has_unseen: false,
            too_many: false,
        }
    }

    fn finish(self) -> DecodedRequest<'s> {
        DecodedRequest { batch: self.batch, unseen: self.unseen }
    }

    fn start_row(&mut self) {
        self.batch.rows += 1;
        let fields = &self.schema.fields;
        self.batch.categorical.resize(self.batch.rows * fields.categorical, Cow::Borrowed(&fields.unseen));
        self.batch.numeric.resize(self.batch.rows * fields.numeric, f32::NAN);
    }

    /// The field with this name. Most clients send the fields in the manifest's order, so the `expected` one is tried
    /// first.
    fn field(&self, name: &str, expected: usize) -> Option<usize> {
        match self.schema.fields.all().get(expected) {
            Some(field) if field.name == name => Some(expected),
            _ => self.schema.fields.index_of(name),
        }
    }

    fn refuse(&mut self, fault: Fault) -> Refused {
        self.finding.fault = fault;
        Refused
    }

    fn set(&mut self, index: usize, value: Found<'_>) -> Result<(), Fault> {
        let fields = &self.schema.fields;
        let field = &fields.all()[index];
        let row = self.batch.rows - 1;
        match &field.column {
            Column::Numeric(column, numbers) => {
                self.batch.numeric[row * fields.numeric + column] = field.number(*numbers, value)?;
            }
            Column::Categorical(column, categories) => {
                let known = field.category(categories, value)?;
                self.row_has_unseen |= known.is_none();
                self.batch.categorical[row * fields.categorical + column] =
                    known.unwrap_or(Cow::Borrowed(&fields.unseen));
            }
        }
        self.last_row_with[index] = self.batch.rows;
        Ok(())
    }

    /// Counts at the end of the row, because a field may be given twice, and the last one is the one that holds.
    fn end_row(&mut self) -> Result<(), Refused> {
        if let Some(index) = self.last_row_with.iter().position(|row| *row != self.batch.rows) {
            self.finding.field = Some(Cow::Borrowed(&self.schema.fields.all()[index].name));
            return Err(self.refuse(Fault::Missing));
        }
        if self.row_has_unseen {
            self.row_has_unseen = false;
            let fields = &self.schema.fields;
            let row = &self.batch.categorical[(self.batch.rows - 1) * fields.categorical..];
            let unseen = |column: &Column| match column {
                Column::Categorical(index, Categories::Known { .. }) if row[*index] == fields.unseen => Some(*index),
                _ => None,
            };
            self.unseen.extend(fields.all().iter().filter_map(|field| unseen(&field.column)));
        }
        Ok(())
    }
}

/// Reads an array of rows.
struct Rows<'d, 's>(&'d mut Decoder<'s>);

impl<'de> DeserializeSeed<'de> for Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        self.0.finding.fault = Fault::NoObject;
        self.0.finding.row = Some(0);
        while array.next_element_seed(Row(self.0))?.is_some() {
            let rows = self.0.batch.rows;
            give_way(rows - 1);
            self.0.finding.row = Some(rows);
            self.0.too_many = rows > self.0.schema.max_rows;
            if self.0.too_many {
                return Err(A::Error::custom(Refused)); // what follows isn't read
            }
        }
        Ok(())
    }
}

/// Reads one row.
struct Row<'d, 's>(&'d mut Decoder<'s>);

impl<'de> DeserializeSeed<'de> for Row<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Row<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let decoder = self.0;
        decoder.start_row();
        let mut expected = 0;
        while let Some(known) = object.next_key_seed(Inspect(|key: Found<'_>| match key {
            Found::String(name) => Ok(decoder.field(name, expected).ok_or_else(|| name.to_owned())),
            _ => Err(Refused), // JSON has no other keys
        }))? {
            let index = match known {
                Ok(index) => index,
                Err(unknown) => {
                    decoder.finding.field = Some(Cow::Owned(unknown));
                    return object.next_value_seed(decoder.refuse(Fault::Unknown));
                }
            };
            decoder.finding.field = Some(Cow::Borrowed(&decoder.schema.fields.all()[index].name));
            object.next_value_seed(Inspect(|value: Found<'_>| {
                decoder.set(index, value).map_err(|fault| decoder.refuse(fault))
            }))?;
            decoder.finding.field = None;
            expected = index + 1;
        }
        decoder.end_row().map_err(A::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest_file::decode_manifest;
    use serde_json::json;

    fn schema(max_rows: usize) -> RequestSchema {
        let manifest = json!({
            "format_version": 2, "name": "", "version": "", "created": "", "task": "regression",
            "features": [
                {"name": "n", "kind": "numeric", "nullable": true, "example": 1},
                {"name": "c", "kind": "nominal", "nullable": true, "example": "a", "categories": ["a"], "rare": ["b"]},
                {"name": "o", "kind": "ordinal", "nullable": true, "example": "lo", "categories": ["lo", "hi"]},
                {"name": "any", "kind": "nominal", "nullable": false, "example": "", "open": true},
                {"name": "年齢", "kind": "boolean", "nullable": true, "example": true},
                {"name": "d-1", "kind": "date", "nullable": true, "example": "2026-11-27"},
            ],
            "target": "", "tokens": {"missing": "?", "unseen": "!"}, "expected": {"prediction": 0},
            "libraries": {}, "artifacts": {},
        });
        RequestSchema::new(&decode_manifest(manifest.to_string().as_bytes(), "test").unwrap(), max_rows)
    }

    #[test]
    fn rows_become_flat_columns_in_the_manifest_s_order() {
        let schema = schema(10);
        let body = r#" [{"n": 1, "c": "a", "o": "hi", "any": "x", "年齢": true, "d-1": "1970-01-03"},
            {"d-1": "1969-12-31", "o": "l\u006f", "any": "\u0000y", "\u5e74齢": false, "c": "b", "\u006e": -2.5e0}] "#;
        let request = schema.decode_rows(body.as_bytes()).unwrap();
        let categorical = ["a", "hi", "x", "b", "lo", "\0y"].map(Cow::Borrowed).to_vec();
        let batch = Batch { rows: 2, categorical, numeric: vec![1.0, 1.0, 2.0, -2.5, 0.0, -1.0] };
        assert_eq!(request, DecodedRequest { batch, unseen: vec![] });
    }

    #[test]
    fn missing_and_unseen_values_are_replaced_and_the_latter_counted() {
        let schema = schema(10);
        let body = r#"[{"n": null, "c": null, "o": "x", "any": "!", "年齢": null, "d-1": null},
            {"n": 0, "c": "", "o": "hi\u0000", "any": "?", "年齢": null, "d-1": null},
            {"n": 0, "c": "?", "o": null, "any": "", "年齢": null, "d-1": null}]"#;
        let request = schema.decode_rows(body.as_bytes()).unwrap();
        assert_eq!(request.batch.categorical, ["?", "!", "!", "!", "!", "?", "!", "?", ""]);
        assert!(request.batch.numeric[..3].iter().all(|number| number.is_nan()));
        assert_eq!(request.unseen, [1, 0, 1, 0]);
    }

    #[test]
    fn what_follows_the_last_allowed_row_is_not_read() {
        let row = r#"{"n": 0, "c": "a", "o": "lo", "any": "", "年齢": true, "d-1": null}"#;
        assert_eq!(schema(2).decode_rows(format!("[{row},{row}]").as_bytes()).unwrap().batch.rows, 2);
        let error = schema(1).decode_rows(format!("[{row},{row}, bad").as_bytes()).unwrap_err();
        assert_eq!(error, RequestError::TooLarge { unit: "rows", limit: 1 });
    }
}
