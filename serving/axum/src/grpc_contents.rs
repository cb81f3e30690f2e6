//! The values of a tensor in the typed fields of a gRPC message.

use crate::inference_datatypes::{BOOL, BYTES};
use crate::json_value::Found;
use crate::protobuf::{Fields, Malformed, Value, varints};

const FIELDS: [&str; 8] = [
    "bool_contents",
    "int_contents",
    "int64_contents",
    "uint_contents",
    "uint64_contents",
    "fp32_contents",
    "fp64_contents",
    "bytes_contents",
];

/// An encoded `InferTensorContents`.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a>(pub(crate) &'a [u8]);

/// Why the values end early.
pub(crate) enum Stop<E> {
    /// They are not what they should be.
    Tensor(String),
    /// The next one is not what it should be.
    Value(String),
    /// The caller wants no more.
    NotTaken(E),
}

impl<E> From<Malformed> for Stop<E> {
    fn from(_: Malformed) -> Self {
        Self::Tensor("contents is malformed".to_owned())
    }
}

/// Takes a value.
type Take<'t, E> = &'t mut dyn FnMut(Found<'_>) -> Result<(), E>;

impl Contents<'_> {
    /// Pass on the values of a tensor of this datatype. NaN means missing, and is passed on as null.
    pub(crate) fn read<E>(self, datatype: &str, take: Take<'_, E>) -> Result<(), Stop<E>> {
        let expected = field(datatype);
        for read in Fields(self.0) {
            let (number, value) = read?;
            if number == expected {
                read_values(datatype, value, take)?;
            } else if value != Value::Bytes(&[]) {
                let name = FIELDS[expected as usize - 1];
                return Err(Stop::Tensor(format!("contents of {datatype} belong into {name}")));
            }
        }
        Ok(())
    }
}

/// The number of the field that has the values of a datatype.
fn field(datatype: &str) -> u32 {
    match datatype {
        BOOL => 1,
        "INT8" | "INT16" | "INT32" => 2,
        "INT64" => 3,
        "UINT8" | "UINT16" | "UINT32" => 4,
        "UINT64" => 5,
        "FP32" => 6,
        "FP64" => 7,
        _ => 8,
    }
}

fn read_values<E>(datatype: &str, value: Value<'_>, take: Take<'_, E>) -> Result<(), Stop<E>> {
    match datatype {
        BYTES => {
            let text = str::from_utf8(value.bytes()?).map_err(|_| Stop::Value("not UTF-8".to_owned()))?;
            take(Found::String(text)).map_err(Stop::NotTaken)
        }
        "FP32" => match value {
            Value::Fixed32(bytes) => take_number(f32::from_le_bytes(bytes).into(), take),
            packed => read_packed(packed.bytes()?, |bytes| f32::from_le_bytes(bytes).into(), take),
        },
        "FP64" => match value {
            Value::Fixed64(bytes) => take_number(f64::from_le_bytes(bytes), take),
            packed => read_packed(packed.bytes()?, f64::from_le_bytes, take),
        },
        _ => varints(value).try_for_each(|number| {
            let found = whole(datatype, number?);
            take(found).map_err(Stop::NotTaken)
        }),
    }
}

/// What a varint stands for. Numbers are rounded to the nearest double, as every JSON number is.
#[allow(clippy::cast_possible_wrap, clippy::cast_possible_truncation, clippy::cast_precision_loss)]
fn whole(datatype: &str, number: u64) -> Found<'static> {
    match field(datatype) {
        1 => Found::Bool(number != 0),
        2 => Found::Number((number as i32).into()),
        3 => Found::Number(number as i64 as f64),
        4 => Found::Number((number as u32).into()),
        _ => Found::Number(number as f64),
    }
}

fn read_packed<const SIZE: usize, E>(
    bytes: &[u8],
    number: impl Fn([u8; SIZE]) -> f64,
    take: Take<'_, E>,
) -> Result<(), Stop<E>> {
    let (numbers, rest) = bytes.as_chunks();
    numbers.iter().try_for_each(|bytes| take_number(number(*bytes), take))?;
    if rest.is_empty() { Ok(()) } else { Err(Malformed.into()) }
}

fn take_number<E>(number: f64, take: Take<'_, E>) -> Result<(), Stop<E>> {
    take(if number.is_nan() { Found::Null } else { Found::Number(number) }).map_err(Stop::NotTaken)
}
