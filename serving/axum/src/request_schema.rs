//! From a request's bytes to a batch: decoding, validation and missing values, all as the manifest says.
//!
//! One pass over the bytes fills the flat columns of a batch; no tree of values is built. Only a body that is refused is
//! looked at again, in [`crate::diagnosis`], to name everything that is wrong with it.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::diagnosis::{self, Location};
use crate::errors::{BODY, Problem, RequestError};
use crate::json_value::{Found, Inspect};
use crate::manifest::{Feature, Manifest};
use crate::predictor::Batch;

/// What an unseen category is handed on as. Encoders treat all unseen ones alike; one spelling keeps a string that a
/// runtime might read differently (ONNX Runtime stops at a NUL) from being taken for a seen one.
pub const UNSEEN: &str = "\u{fffd}unseen";

/// A batch, and the categorical feature's index of every value whose category training never saw.
#[derive(Debug, PartialEq)]
#[allow(missing_docs)]
pub struct DecodedRequest<'s> {
    pub batch: Batch<'s>,
    pub unseen: Vec<usize>,
}

/// Decodes the bodies of one model's requests.
pub struct RequestSchema {
    fields: Vec<Field>,
    by_name: HashMap<String, usize, FastHash>,
    known: Vec<HashSet<String, FastHash>>,
    numeric: usize,
    max_rows: usize,
}

/// A feature as requests name it.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) nullable: bool,
    column: Column,
}

/// Where a field's values go.
enum Column {
    /// The column of the string input; what a missing value is handed on as.
    Categorical(usize, String),
    /// The column of the float input.
    Numeric(usize),
}

impl Field {
    pub(crate) fn is_numeric(&self) -> bool {
        matches!(self.column, Column::Numeric(_))
    }
}

impl RequestSchema {
    /// The schema that the manifest describes, for batches of at most `max_rows`.
    pub fn new(manifest: &Manifest, max_rows: usize) -> Self {
        let mut widths = [0, 0];
        let mut field = |feature: &Feature| {
            let width = &mut widths[usize::from(feature.is_numeric())];
            let index = *width;
            *width += 1;
            let column = if feature.is_numeric() {
                Column::Numeric(index)
            } else {
                Column::Categorical(index, feature.missing_token.clone().unwrap_or_else(|| UNSEEN.to_owned()))
            };
            Field { name: feature.name.clone(), nullable: feature.nullable, column }
        };
        let fields: Vec<Field> = manifest.features.iter().map(&mut field).collect();
        let known = |feature: &Feature| feature.categories.iter().chain(&feature.missing_token).cloned().collect();
        Self {
            by_name: fields.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect(),
            known: manifest.categorical().map(known).collect(),
            numeric: fields.iter().filter(|field| field.is_numeric()).count(),
            fields,
            max_rows,
        }
    }

    /// A batch of the one row that the body holds.
    pub fn decode_row(&self, body: &[u8]) -> Result<DecodedRequest<'_>, RequestError> {
        let mut decoder = Decoder::new(self);
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Row(&mut decoder).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| self.refusal(body, &error, &decoder.location, false))?;
        Ok(decoder.finish())
    }

    /// A batch of all rows of the array that the body holds.
    pub fn decode_rows(&self, body: &[u8]) -> Result<DecodedRequest<'_>, RequestError> {
        let mut decoder = Decoder::new(self);
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = Rows(&mut decoder).deserialize(&mut json).and_then(|()| json.end());
        read.map_err(|error| self.refusal(body, &error, &decoder.location, true))?;
        match decoder.batch.rows {
            0 => {
                let problem = Problem::new(vec![BODY], "at least one row is required", "too_short");
                Err(RequestError::InvalidRows(vec![problem]))
            }
            rows if rows > self.max_rows => Err(RequestError::TooLarge { unit: "rows", limit: self.max_rows }),
            _ => Ok(decoder.finish()),
        }
    }

    pub(crate) fn fields(&self) -> &[Field] {
        &self.fields
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    #[cold]
    fn refusal(&self, body: &[u8], error: &serde_json::Error, location: &Location, many: bool) -> RequestError {
        let message = without_position(error);
        // JSON itself has no such limit, so this is a fault of the value and not of the text
        let out_of_range = message == "number out of range";
        if !error.is_data() && !out_of_range {
            return RequestError::MalformedBody(format!("{message} (line {}, column {})", error.line(), error.column()));
        }
        let numeric = location.field.is_some_and(|field| self.fields[field].is_numeric());
        let kind = if out_of_range && numeric { "float_range" } else { "value_error" };
        let finding = Problem::new(location.steps(self), message, kind);
        RequestError::InvalidRows(diagnosis::diagnose(self, body, finding, many))
    }
}

/// `serde_json` appends the position to every message.
fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    let position = format!(" at line {} column {}", error.line(), error.column());
    message.strip_suffix(&position).unwrap_or(&message).to_owned()
}

/// The state of decoding one body.
struct Decoder<'s> {
    schema: &'s RequestSchema,
    batch: Batch<'s>,
    unseen: Vec<usize>,
    location: Location,
    /// The number of the last row that had the field, counted from one, so that nothing is reset between rows.
    last_row_with: Vec<usize>,
    row_has_unseen: bool,
}

impl<'s> Decoder<'s> {
    fn new(schema: &'s RequestSchema) -> Self {
        Self {
            schema,
            batch: Batch::default(),
            unseen: Vec::new(),
            location: Location::default(),
            last_row_with: vec![0; schema.fields.len()],
            row_has_unseen: false,
        }
    }

    fn finish(self) -> DecodedRequest<'s> {
        DecodedRequest { batch: self.batch, unseen: self.unseen }
    }

    fn start_row(&mut self) {
        self.batch.rows += 1;
        self.batch.categorical.resize(self.batch.rows * self.schema.known.len(), UNSEEN);
        self.batch.numeric.resize(self.batch.rows * self.schema.numeric, f32::NAN);
    }

    /// The field of the name. Most clients send the fields in the manifest's order, so the `expected` one is tried first.
    fn field(&self, name: &str, expected: usize) -> Option<usize> {
        match self.schema.fields.get(expected) {
            Some(field) if field.name == name => Some(expected),
            _ => self.schema.index_of(name),
        }
    }

    fn set(&mut self, index: usize, value: Found<'_>) -> Result<(), &'static str> {
        let schema = self.schema;
        let field = &schema.fields[index];
        let row = self.batch.rows - 1;
        match &field.column {
            Column::Numeric(column) => {
                let cell = &mut self.batch.numeric[row * schema.numeric + column];
                *cell = match value {
                    Found::Number(number) => float32(number).ok_or("outside the range of a 32-bit float")?,
                    Found::Null if field.nullable => f32::NAN,
                    Found::Null => return Err("null is not allowed here"),
                    _ => return Err("a number is required"),
                };
            }
            Column::Categorical(column, missing_token) => {
                let cell = &mut self.batch.categorical[row * schema.known.len() + column];
                *cell = match value {
                    Found::String(text) => match schema.known[*column].get(text) {
                        Some(known) => known,
                        None => {
                            self.row_has_unseen = true;
                            UNSEEN
                        }
                    },
                    Found::Null if field.nullable => missing_token,
                    Found::Null => return Err("null is not allowed here"),
                    _ => return Err("a string is required"),
                };
            }
        }
        self.last_row_with[index] = self.batch.rows;
        Ok(())
    }

    /// Counts at the end of the row, because a field may be given twice, and the last one is the one that holds.
    fn end_row(&mut self) -> Result<(), String> {
        if let Some(field) = self.last_row_with.iter().position(|row| *row != self.batch.rows) {
            return Err(format!("the field `{}` is missing", self.schema.fields[field].name));
        }
        if self.row_has_unseen {
            self.row_has_unseen = false;
            let start = (self.batch.rows - 1) * self.schema.known.len();
            let row = self.batch.categorical[start..].iter().enumerate();
            self.unseen.extend(row.filter(|(_, text)| **text == UNSEEN).map(|(column, _)| column));
        }
        Ok(())
    }
}

/// The number as a 32-bit float; None beyond the largest one, even where rounding would lead back to it.
#[allow(clippy::cast_possible_truncation)]
pub(crate) fn float32(number: f64) -> Option<f32> {
    (number.abs() <= f64::from(f32::MAX)).then_some(number as f32)
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
        self.0.location.row = Some(0);
        while array.next_element_seed(Row(self.0))?.is_some() {
            self.0.location.row = Some(self.0.batch.rows);
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
        while let Some(index) = object.next_key_seed(Inspect(|key: Found<'_>| match key {
            Found::String(name) => decoder.field(name, expected).ok_or("an unknown field"),
            _ => Err("a field's name is required"),
        }))? {
            decoder.location.field = Some(index);
            object.next_value_seed(Inspect(|value: Found<'_>| decoder.set(index, value)))?;
            decoder.location.field = None;
            expected = index + 1;
        }
        decoder.end_row().map_err(A::Error::custom)
    }
}

type FastHash = BuildHasherDefault<Fnv>;

/// FNV-1a: several times as fast as the standard hasher on short strings.
///
/// A client that makes names collide gains nothing, because the tables hold the manifest's names only.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
