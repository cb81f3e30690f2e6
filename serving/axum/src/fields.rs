//! The fields of a row as the manifest has them: which values each of them takes, and what the model gets for each.

use std::collections::{HashMap, HashSet};

use crate::fast_hash::FastHash;
use crate::faults::Fault;
use crate::json_value::Found;
use crate::manifest::{Feature, Manifest};

/// What an unseen category is handed on as. Encoders treat all unseen ones alike; one spelling keeps a string that a
/// runtime might read differently (ONNX Runtime stops at a NUL) from being taken for a seen one.
pub const UNSEEN: &str = "\u{fffd}unseen";

/// All fields, in the manifest's order.
pub(crate) struct Fields {
    all: Vec<Field>,
    by_name: HashMap<String, usize, FastHash>,
    /// How many columns the string input has.
    pub(crate) categorical: usize,
    /// How many columns the float input has.
    pub(crate) numeric: usize,
}

/// A feature as requests name it.
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) column: Column,
    nullable: bool,
}

/// The column that a field's values go to, in the string or in the float input.
pub(crate) enum Column {
    Categorical(usize, Categories),
    Numeric(usize),
}

/// The strings that the model knows, and what a missing one is handed on as.
pub(crate) struct Categories {
    known: HashSet<String, FastHash>,
    missing: String,
}

impl Fields {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let mut widths = [0, 0];
        let mut field = |feature: &Feature| {
            let width = &mut widths[usize::from(feature.is_numeric())];
            let index = *width;
            *width += 1;
            let column = if feature.is_numeric() {
                Column::Numeric(index)
            } else {
                Column::Categorical(index, Categories::new(feature))
            };
            Field { name: feature.name.clone(), nullable: feature.nullable, column }
        };
        let all: Vec<Field> = manifest.features.iter().map(&mut field).collect();
        let [categorical, numeric] = widths;
        let by_name = all.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        Self { all, by_name, categorical, numeric }
    }

    pub(crate) fn all(&self) -> &[Field] {
        &self.all
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl Categories {
    fn new(feature: &Feature) -> Self {
        Self {
            known: feature.categories.iter().chain(&feature.missing_token).cloned().collect(),
            missing: feature.missing_token.clone().unwrap_or_else(|| UNSEEN.to_owned()),
        }
    }
}

impl Field {
    /// What is wrong with a value.
    pub(crate) fn fault_of(&self, value: Found<'_>) -> Option<Fault> {
        match &self.column {
            Column::Categorical(_, categories) => self.category(categories, value).err(),
            Column::Numeric(_) => self.number(value).err(),
        }
    }

    /// The number that the model gets.
    pub(crate) fn number(&self, value: Found<'_>) -> Result<f32, Fault> {
        match value {
            Found::Number(number) => float32(number).ok_or(Fault::OutOfRange),
            Found::Null if self.nullable => Ok(f32::NAN),
            Found::Null => Err(Fault::NotNullable),
            _ => Err(Fault::NoNumber),
        }
    }

    /// The string that the model gets; None for one that training never saw.
    pub(crate) fn category<'s>(&self, categories: &'s Categories, value: Found<'_>) -> Result<Option<&'s str>, Fault> {
        match value {
            Found::String(text) => Ok(categories.known.get(text).map(String::as_str)),
            Found::Null if self.nullable => Ok(Some(&categories.missing)),
            Found::Null => Err(Fault::NotNullable),
            _ => Err(Fault::NoString),
        }
    }
}

/// The number as a 32-bit float; None beyond the largest one, even where rounding would lead back to it.
#[allow(clippy::cast_possible_truncation)]
fn float32(number: f64) -> Option<f32> {
    (number.abs() <= f64::from(f32::MAX)).then_some(number as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_as_large_as_a_32_bit_float_and_no_larger() {
        let largest = f64::from(f32::MAX);
        assert_eq!(float32(largest), Some(f32::MAX));
        assert_eq!(float32(-largest), Some(f32::MIN));
        assert_eq!(float32(largest.next_up()), None);
        assert_eq!(float32(0.1), Some(0.1));
    }
}
