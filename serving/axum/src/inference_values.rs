//! From a tensor's data, in JSON or binary, to its values, row by row.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::errors::RequestError;
use crate::faults::Fault;
use crate::grpc_contents::Stop;
use crate::inference_datatypes::{BOOL, BYTES, FLOATS};
use crate::inference_request::{Data, Input, invalid_input};
use crate::json_value::{Found, Refused};
use crate::request_schema::without_position;

const FORM: &str = "data must be an array of values, flat or nested as the shape is";

/// Takes a value at its index in row order, or says what is wrong with it.
pub(crate) type Take<'t> = &'t mut dyn FnMut(usize, Found<'_>) -> Result<(), String>;

/// Pass on all values of a tensor [N, columns]. A missing number in binary is NaN, and is passed on as null.
pub(crate) fn read_values(input: &Input<'_>, columns: usize, take: Take<'_>) -> Result<(), RequestError> {
    let expected = input.shape[0] * columns;
    let mut reader = Reader { datatype: &input.datatype, shape: &input.shape, expected, read: 0, take, fault: None };
    let read = match input.data {
        Data::Json(text) => read_json(&mut reader, text, input, columns),
        Data::Binary(bytes) => reader.read_binary(bytes),
        Data::Typed(contents) => {
            let read = contents.read(reader.datatype, &mut |value| reader.put_given(value));
            read.map_err(|stop| match stop {
                Stop::Tensor(message) => Refusal::Tensor(message),
                Stop::Value(message) => Refusal::Value(message),
                Stop::NotTaken(refusal) => refusal,
            })
        }
    };
    if let Err(message) = read {
        let position =
            if columns == 1 { vec![reader.read] } else { vec![reader.read / columns, reader.read % columns] };
        return Err(match message {
            Refusal::Value(message) => invalid_input(&input.name, &position, &message),
            Refusal::Row(row, message) => invalid_input(&input.name, &[row], &message),
            Refusal::Tensor(message) => invalid_input(&input.name, &[], &message),
        });
    }
    if reader.read == expected {
        return Ok(());
    }
    let message = format!("{} values, but the shape {:?} has {expected}", reader.read, input.shape);
    Err(invalid_input(&input.name, &[], &message))
}

/// What is wrong: the value at which the reader is, a row, or the tensor.
enum Refusal {
    Value(String),
    Row(usize, String),
    Tensor(String),
}

struct Reader<'r> {
    datatype: &'r str,
    shape: &'r [usize],
    expected: usize,
    read: usize,
    take: Take<'r>,
    /// Why JSON is not read on.
    fault: Option<Refusal>,
}

impl Reader<'_> {
    /// Take the next value.
    fn put(&mut self, value: Found<'_>) -> Result<(), Refusal> {
        if self.read == self.expected {
            let message = format!("more values than the {} of the shape {:?}", self.expected, self.shape);
            return Err(Refusal::Tensor(message));
        }
        (self.take)(self.read, value).map_err(Refusal::Value)?;
        self.read += 1;
        Ok(())
    }

    /// Take a value that was given one by one, not in binary, if it is one of the datatype.
    fn put_given(&mut self, value: Found<'_>) -> Result<(), Refusal> {
        let wrong = match (self.datatype, value) {
            (_, Found::Null) | (BYTES, Found::String(_)) | (BOOL, Found::Bool(_)) => None,
            (BYTES, _) => Some(Fault::NoString.message().to_owned()),
            (BOOL, _) => Some(Fault::NoBoolean.message().to_owned()),
            (datatype, Found::Number(number)) => does_not_fit(datatype, number),
            _ => Some(Fault::NoNumber.message().to_owned()),
        };
        wrong.map_or(Ok(()), |message| Err(Refusal::Value(message)))?;
        self.put(value)
    }

    fn read_binary(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        match self.datatype {
            BYTES => self.read_texts(bytes),
            BOOL => bytes.iter().try_for_each(|byte| match byte {
                0 | 1 => self.put(Found::Bool(*byte == 1)),
                _ => Err(Refusal::Value(Fault::NoBoolean.message().to_owned())),
            }),
            "FP32" => self.read_numbers(bytes, |bytes| f64::from(f32::from_le_bytes(bytes))),
            "FP64" => self.read_numbers(bytes, f64::from_le_bytes),
            "INT8" => self.read_numbers(bytes, |bytes| i8::from_le_bytes(bytes).into()),
            "INT16" => self.read_numbers(bytes, |bytes| i16::from_le_bytes(bytes).into()),
            "INT32" => self.read_numbers(bytes, |bytes| i32::from_le_bytes(bytes).into()),
            "UINT8" => self.read_numbers(bytes, |bytes| u8::from_le_bytes(bytes).into()),
            "UINT16" => self.read_numbers(bytes, |bytes| u16::from_le_bytes(bytes).into()),
            "UINT32" => self.read_numbers(bytes, |bytes| u32::from_le_bytes(bytes).into()),
            // rounded to the nearest, as every JSON number is
            #[allow(clippy::cast_precision_loss)]
            "INT64" => self.read_numbers(bytes, |bytes| i64::from_le_bytes(bytes) as f64),
            #[allow(clippy::cast_precision_loss)]
            _ => self.read_numbers(bytes, |bytes| u64::from_le_bytes(bytes) as f64),
        }
    }

    fn read_numbers<const SIZE: usize>(
        &mut self,
        bytes: &[u8],
        number: impl Fn([u8; SIZE]) -> f64,
    ) -> Result<(), Refusal> {
        let (numbers, rest) = bytes.as_chunks();
        if !rest.is_empty() {
            let (length, datatype) = (bytes.len(), self.datatype);
            let message = format!("{length} bytes of binary data are no multiple of the {SIZE} of {datatype}");
            return Err(Refusal::Tensor(message));
        }
        numbers.iter().try_for_each(|bytes| {
            let number = number(*bytes);
            self.put(if number.is_nan() { Found::Null } else { Found::Number(number) })
        })
    }

    /// Each element is its length, four bytes, and its text.
    fn read_texts(&mut self, mut bytes: &[u8]) -> Result<(), Refusal> {
        let early = || Refusal::Value("the binary data ends early".to_owned());
        while !bytes.is_empty() {
            let (length, rest) = bytes.split_first_chunk().ok_or_else(early)?;
            let length = u32::from_le_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or_else(early)?;
            let text = std::str::from_utf8(text).map_err(|_| Refusal::Value("not UTF-8".to_owned()))?;
            self.put(Found::String(text))?;
            bytes = rest;
        }
        Ok(())
    }
}

/// Why a JSON number is not one of the datatype.
fn does_not_fit(datatype: &str, number: f64) -> Option<String> {
    if FLOATS.contains(&datatype) {
        return None;
    }
    let (bits, signed) = match datatype.strip_prefix('U') {
        Some(rest) => (rest, false),
        None => (datatype, true),
    };
    let bits: i32 = bits.trim_start_matches("INT").parse().unwrap_or(64);
    let limit = 2f64.powi(if signed { bits - 1 } else { bits });
    let inside = number < limit && number >= if signed { -limit } else { 0.0 };
    if number.fract() != 0.0 {
        return Some(Fault::NotWhole.message().to_owned());
    }
    (!inside).then(|| format!("outside the range of {datatype}"))
}

fn read_json(reader: &mut Reader<'_>, text: &str, input: &Input<'_>, columns: usize) -> Result<(), Refusal> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut rows = Rows { reader, columns, shape: &input.shape, nested: None };
    let result = json.deserialize_any(&mut rows);
    match result {
        Ok(()) => Ok(()),
        Err(error) => Err(rows.reader.fault.take().unwrap_or_else(|| {
            if without_position(&error) == "number out of range" {
                Refusal::Value(Fault::OutOfRange.message().to_owned())
            } else {
                Refusal::Tensor(FORM.to_owned())
            }
        })),
    }
}

/// Reads the data's array, of values or of rows.
struct Rows<'d, 'r> {
    reader: &'d mut Reader<'r>,
    columns: usize,
    shape: &'d [usize],
    /// Whether the first element was a row.
    nested: Option<bool>,
}

impl<'de> Visitor<'de> for &mut Rows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of values")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element_seed(Element { rows: &mut *self, inside_row: false })?.is_some() {}
        Ok(())
    }
}

/// Reads a value, or a row of them.
struct Element<'e, 'd, 'r> {
    rows: &'e mut Rows<'d, 'r>,
    inside_row: bool,
}

impl Element<'_, '_, '_> {
    fn put<E: Error>(self, value: Found<'_>) -> Result<(), E> {
        if !self.inside_row && *self.rows.nested.get_or_insert(false) {
            return Err(E::custom(Refused)); // a value among rows
        }
        self.rows.reader.put_given(value).map_err(|fault| {
            self.rows.reader.fault = Some(fault);
            E::custom(Refused)
        })
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.put(Found::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.put(Found::Bool(value))
    }

    #[allow(clippy::cast_precision_loss)] // rounded to the nearest, as every JSON number is
    fn visit_i64<E: Error>(self, number: i64) -> Result<(), E> {
        self.put(Found::Number(number as f64))
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, number: u64) -> Result<(), E> {
        self.put(Found::Number(number as f64))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<(), E> {
        self.put(Found::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.put(Found::String(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        self.put(Found::Object)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        if self.inside_row || !*self.rows.nested.get_or_insert(true) {
            return Err(A::Error::custom(Refused));
        }
        let first = self.rows.reader.read;
        while array.next_element_seed(Element { rows: &mut *self.rows, inside_row: true })?.is_some() {}
        let (found, columns) = (self.rows.reader.read - first, self.rows.columns);
        if found == columns {
            return Ok(());
        }
        let message = format!("{found} values, but the shape is {:?}", self.rows.shape);
        self.rows.reader.fault = Some(Refusal::Row(first / columns, message));
        Err(A::Error::custom(Refused))
    }
}
