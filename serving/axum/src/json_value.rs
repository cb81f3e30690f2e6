//! What a JSON value is, without building it: the one thing that decoding and diagnosis ask of a value.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A JSON value; of an array or an object, only that it is one.
#[derive(Clone, Copy, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Found<'a> {
    Null,
    Bool(bool),
    Number(f64),
    String(&'a str),
    Array,
    Object,
}

/// Says that a body is refused. The reason is kept elsewhere: an error of serde's holds nothing but text.
///
/// As a seed, it refuses a value without looking at it.
#[derive(Debug)]
pub struct Refused;

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("refused")
    }
}

impl<'de> DeserializeSeed<'de> for Refused {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, _: D) -> Result<(), D::Error> {
        Err(D::Error::custom(self))
    }
}

/// Gives the value found to a function, which says what to make of it, or refuses it.
///
/// An array or an object is read to its end only if the function takes it, so that a refusal comes before any fault
/// further on in the text.
pub struct Inspect<F>(pub F);

impl<'de, F, T> DeserializeSeed<'de> for Inspect<F>
where
    F: FnOnce(Found<'_>) -> Result<T, Refused>,
{
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F, T> Visitor<'de> for Inspect<F>
where
    F: FnOnce(Found<'_>) -> Result<T, Refused>,
{
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<T, E> {
        self.0(Found::Null).map_err(E::custom)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<T, E> {
        self.0(Found::Bool(value)).map_err(E::custom)
    }

    #[allow(clippy::cast_precision_loss)] // rounded to the nearest, as every JSON number is
    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.0(Found::Number(number as f64)).map_err(E::custom)
    }

    #[allow(clippy::cast_precision_loss)]
    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.0(Found::Number(number as f64)).map_err(E::custom)
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<T, E> {
        self.0(Found::Number(number)).map_err(E::custom)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        self.0(Found::String(text)).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<T, A::Error> {
        let taken = self.0(Found::Array).map_err(A::Error::custom)?;
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(taken)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<T, A::Error> {
        let taken = self.0(Found::Object).map_err(A::Error::custom)?;
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Result<String, serde_json::Error> {
        let mut json = serde_json::Deserializer::from_str(text);
        Inspect(|found: Found<'_>| Ok(format!("{found:?}"))).deserialize(&mut json)
    }

    #[test]
    fn names_every_kind_of_value() {
        let cases = [
            ("null", "Null"),
            ("true", "Bool(true)"),
            ("-1", "Number(-1.0)"),
            ("18446744073709551615", "Number(1.8446744073709552e19)"),
            ("1e-400", "Number(0.0)"),
            (r#""a\u0000""#, r#"String("a\0")"#),
            ("[1, [2]]", "Array"),
            (r#"{"a": {}}"#, "Object"),
        ];
        for (text, name) in cases {
            assert_eq!(found(text).unwrap(), name);
        }
    }

    #[test]
    fn a_value_that_is_taken_is_read_to_its_end() {
        assert!(found("[1, 2").unwrap_err().is_eof());
        assert!(found(r#"{"a" 1}"#).unwrap_err().is_syntax());
    }

    #[test]
    fn a_value_that_is_refused_is_not() {
        let mut json = serde_json::Deserializer::from_str("[1, bad");
        let refused = Inspect(|_: Found<'_>| Err::<(), _>(Refused)).deserialize(&mut json).unwrap_err();
        assert!(refused.is_data());
    }

    #[test]
    fn nesting_has_no_limit_and_needs_no_stack() {
        let deep = format!("[{}{}]", "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(found(&deep).unwrap(), "Array");
    }
}
