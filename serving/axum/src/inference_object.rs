//! The JSON object of an inference request, read without using more memory than a request for the model can need.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::json_value::{Found, Inspect, Refused};

pub(crate) const MAX_DIMENSIONS: usize = 8;

/// A parameter's value.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar {
    Bool(bool),
    Number(f64),
    Text(String),
}

impl Scalar {
    /// The number, if it is one that counts something.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // it is whole, and small enough
    pub(crate) fn as_usize(&self) -> Option<usize> {
        match self {
            Self::Number(number) if number.fract() == 0.0 && (0.0..1e15).contains(number) => Some(*number as usize),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Scalar {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let read = Inspect(|value: Found<'_>| match value {
            Found::Bool(value) => Ok(Self::Bool(value)),
            Found::Number(number) => Ok(Self::Number(number)),
            Found::String(text) => Ok(Self::Text(text.to_owned())),
            _ => Err(Refused),
        });
        read.deserialize(deserializer)
            .map_err(|_| D::Error::custom("a parameter must be a string, a number or a boolean"))
    }
}

/// The parameters of requests and tensors that mean something here. Others are skipped, and take no memory.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(crate) struct Parameters {
    pub(crate) binary_data: Option<Scalar>,
    pub(crate) binary_data_output: Option<Scalar>,
    pub(crate) binary_data_size: Option<Scalar>,
    pub(crate) classification: Option<Scalar>,
    pub(crate) null_string: Option<Scalar>,
    pub(crate) shared_memory_region: Option<Scalar>,
}

impl Parameters {
    /// The place of the parameter of this name.
    pub(crate) fn by_name(&mut self, name: &str) -> Option<&mut Option<Scalar>> {
        match name {
            "binary_data" => Some(&mut self.binary_data),
            "binary_data_output" => Some(&mut self.binary_data_output),
            "classification" => Some(&mut self.classification),
            "null_string" => Some(&mut self.null_string),
            "shared_memory_region" => Some(&mut self.shared_memory_region),
            _ => None,
        }
    }
}

/// An output that the client asks for.
#[derive(Deserialize)]
pub(crate) struct RequestOutput<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    pub(crate) parameters: Option<Parameters>,
}

/// An input tensor's description, and its data unless it is in binary form.
#[derive(Deserialize)]
pub(crate) struct RequestInput<'a> {
    #[serde(borrow)]
    pub(crate) name: Cow<'a, str>,
    #[serde(deserialize_with = "read_shape")]
    pub(crate) shape: Vec<usize>,
    pub(crate) datatype: Cow<'a, str>,
    pub(crate) parameters: Option<Parameters>,
    pub(crate) data: Option<&'a RawValue>,
}

fn read_shape<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<usize>, D::Error> {
    Few::new(MAX_DIMENSIONS).deserialize(deserializer)
}

/// What the object holds: inputs, id, parameters, outputs.
type Members<'a> = (Vec<RequestInput<'a>>, Option<Cow<'a, str>>, Option<Parameters>, Vec<RequestOutput<'a>>);

/// Reads the object, with at most this many inputs and outputs. Its other members are ignored, as the protocol says.
pub(crate) struct Object {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
}

impl<'de> DeserializeSeed<'de> for Object {
    type Value = Members<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Object {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Self::Value, A::Error> {
        let mut inputs = None;
        let (mut id, mut parameters, mut outputs) = (None, None, Vec::new());
        while let Some(key) = object.next_key::<Cow<'de, str>>()? {
            match &*key {
                "inputs" => inputs = Some(object.next_value_seed(Few::new(self.inputs))?),
                "id" => id = object.next_value()?,
                "parameters" => parameters = object.next_value()?,
                "outputs" => outputs = object.next_value_seed(Few::new(self.outputs))?,
                _ => _ = object.next_value::<IgnoredAny>()?,
            }
        }
        let inputs = inputs.ok_or_else(|| A::Error::missing_field("inputs"))?;
        Ok((inputs, id, parameters, outputs))
    }
}

/// Reads an array of at most this many elements; null is an empty one.
struct Few<T>(usize, PhantomData<T>);

impl<T> Few<T> {
    fn new(most: usize) -> Self {
        Self(most, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Few<T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Few<T> {
    type Value = Vec<T>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Vec<T>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = array.next_element()? {
            if elements.len() == self.0 {
                return Err(A::Error::custom(format!("an array has more than {} elements", self.0)));
            }
            elements.push(element);
        }
        Ok(elements)
    }
}
