//! The fields of an encoded protobuf message, without a copy and without memory for each.

use prost::encoding::{WireType, decode_key, decode_varint};

/// The bytes are not a protobuf message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A field's value, as it is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A whole number or a boolean.
    Varint(u64),
    /// A float.
    Fixed32([u8; 4]),
    /// A double.
    Fixed64([u8; 8]),
    /// A string, bytes, a message, or numbers one after the other.
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// What a string field, a bytes field or a message field holds.
    pub fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Self::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed) }
    }

    /// What a string field holds.
    pub fn text(self) -> Result<&'a str, Malformed> {
        str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// What a number's field holds.
    pub fn varint(self) -> Result<u64, Malformed> {
        if let Self::Varint(number) = self { Ok(number) } else { Err(Malformed) }
    }
}

/// The fields of a message with their numbers, in the order in which they are encoded. It ends at the first error.
pub struct Fields<'a>(pub &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u32, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field.ok_or(Malformed))
    }
}

fn read_field<'a>(bytes: &mut &'a [u8]) -> Option<(u32, Value<'a>)> {
    let (number, wire_type) = decode_key(bytes).ok()?;
    let value = match wire_type {
        WireType::Varint => Value::Varint(decode_varint(bytes).ok()?),
        WireType::ThirtyTwoBit => Value::Fixed32(*bytes.split_off(..4)?.first_chunk()?),
        WireType::SixtyFourBit => Value::Fixed64(*bytes.split_off(..8)?.first_chunk()?),
        WireType::LengthDelimited => {
            let length = usize::try_from(decode_varint(bytes).ok()?).ok()?;
            Value::Bytes(bytes.split_off(..length)?)
        }
        WireType::StartGroup | WireType::EndGroup => return None, // no message of the protocol has groups
    };
    Some((number, value))
}

/// The numbers of a repeated field's value: one, or several that are packed.
pub fn varints(value: Value<'_>) -> impl Iterator<Item = Result<u64, Malformed>> {
    let (single, mut packed) = match value {
        Value::Varint(number) => (Some(Ok(number)), &[][..]),
        Value::Bytes(bytes) => (None, bytes),
        _ => (Some(Err(Malformed)), &[][..]),
    };
    let packed = std::iter::from_fn(move || {
        if packed.is_empty() {
            return None;
        }
        let number = decode_varint(&mut packed).map_err(|_| Malformed);
        if number.is_err() {
            packed = &[];
        }
        Some(number)
    });
    single.into_iter().chain(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_come_as_they_are() {
        let bytes = b"\x08\x96\x01\x12\x03abc\x1d\x00\x00\x80\x3f\x21\x00\x00\x00\x00\x00\x00\xf0\x3f";
        let fields: Vec<_> = Fields(bytes).map(Result::unwrap).collect();
        let [one, two, three, four] = fields[..] else { panic!("{fields:?}") };
        assert_eq!((one, two), ((1, Value::Varint(150)), (2, Value::Bytes(b"abc"))));
        assert_eq!(three, (3, Value::Fixed32(1f32.to_le_bytes())));
        assert_eq!(four, (4, Value::Fixed64(1f64.to_le_bytes())));
    }

    #[test]
    fn what_is_cut_or_no_field_is_malformed() {
        for bytes in [
            &b"\x08"[..],
            b"\x08\xff",
            b"\x12\x04abc",
            b"\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
            b"\x1d\x00",
            b"\x21\x00\x00",
            b"\x0b\x0c",
            b"\x0f",
            b"\x00\x00",
            &[0xff; 11],
        ] {
            assert_eq!(Fields(bytes).last(), Some(Err(Malformed)), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn repeated_numbers_are_packed_or_not() {
        let read = |value| varints(value).collect::<Result<Vec<_>, _>>();
        assert_eq!(read(Value::Varint(7)), Ok(vec![7]));
        assert_eq!(read(Value::Bytes(b"\x01\x96\x01")), Ok(vec![1, 150]));
        assert_eq!((read(Value::Bytes(b"")), read(Value::Bytes(b"\x01\x96"))), (Ok(vec![]), Err(Malformed)));
        assert_eq!(read(Value::Fixed32([0; 4])), Err(Malformed));
    }
}
