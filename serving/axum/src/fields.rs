//! The fields of a row as the manifest has them: which values each of them takes, and what the model gets for each.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use crate::dates;
use crate::fast_hash::FastHash;
use crate::faults::Fault;
use crate::json_value::Found;
use crate::manifest::{Feature, FeatureKind, Manifest, Tokens};

/// All fields, in the manifest's order.
pub(crate) struct Fields {
    all: Vec<Field>,
    by_name: HashMap<String, usize, FastHash>,
    /// What an unseen category is passed on as. Encoders treat all unseen ones alike; one spelling keeps a string that
    /// a runtime might read differently (ONNX Runtime stops at a NUL) from being taken for a seen one.
    pub(crate) unseen: String,
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
    Numeric(usize, Numbers),
}

/// Which strings a field knows.
pub(crate) enum Categories {
    /// These; a missing one is passed on as `missing`.
    Known { all: HashSet<String, FastHash>, missing: String },
    /// Every string, unchanged.
    Open,
}

/// Which JSON values a field takes as numbers.
#[derive(Clone, Copy)]
pub(crate) enum Numbers {
    Any,
    Whole,
    Boolean,
    Date,
}

impl Fields {
    pub(crate) fn new(manifest: &Manifest) -> Self {
        let mut widths = [0, 0];
        let mut field = |feature: &Feature| {
            let width = &mut widths[usize::from(!feature.is_categorical())];
            let index = *width;
            *width += 1;
            let column = match feature.kind {
                FeatureKind::Ordinal | FeatureKind::Nominal => {
                    Column::Categorical(index, Categories::new(feature, &manifest.tokens))
                }
                FeatureKind::Numeric if feature.integer => Column::Numeric(index, Numbers::Whole),
                FeatureKind::Numeric => Column::Numeric(index, Numbers::Any),
                FeatureKind::Boolean => Column::Numeric(index, Numbers::Boolean),
                FeatureKind::Date => Column::Numeric(index, Numbers::Date),
            };
            Field { name: feature.name.clone(), nullable: feature.nullable, column }
        };
        let all: Vec<Field> = manifest.features.iter().map(&mut field).collect();
        let [categorical, numeric] = widths;
        let by_name = all.iter().enumerate().map(|(index, field)| (field.name.clone(), index)).collect();
        Self { all, by_name, unseen: manifest.tokens.unseen.clone(), categorical, numeric }
    }

    pub(crate) fn all(&self) -> &[Field] {
        &self.all
    }

    pub(crate) fn index_of(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl Categories {
    fn new(feature: &Feature, tokens: &Tokens) -> Self {
        if feature.open {
            return Self::Open;
        }
        let all = feature.categories.iter().chain(&feature.rare).cloned().collect();
        Self::Known { all, missing: tokens.missing.clone() }
    }
}

impl Field {
    /// What is wrong with a value.
    pub(crate) fn fault_of(&self, value: Found<'_>) -> Option<Fault> {
        match &self.column {
            Column::Categorical(_, categories) => self.category(categories, value).err(),
            Column::Numeric(_, numbers) => self.number(*numbers, value).err(),
        }
    }

    /// The number that the model gets.
    pub(crate) fn number(&self, numbers: Numbers, value: Found<'_>) -> Result<f32, Fault> {
        match (numbers, value) {
            (_, Found::Null) => self.null().map(|()| f32::NAN),
            (Numbers::Any, Found::Number(number)) => float32(number).ok_or(Fault::OutOfRange),
            (Numbers::Whole, Found::Number(number)) => match float32(number) {
                None => Err(Fault::OutOfRange),
                Some(_) if number.fract() != 0.0 => Err(Fault::NotWhole),
                Some(rounded) => Ok(rounded),
            },
            (Numbers::Any | Numbers::Whole, _) => Err(Fault::NoNumber),
            (Numbers::Boolean, Found::Bool(value)) => Ok(if value { 1.0 } else { 0.0 }),
            (Numbers::Boolean, _) => Err(Fault::NoBoolean),
            (Numbers::Date, Found::String(text)) => date(text).ok_or(Fault::NoDate),
            (Numbers::Date, _) => Err(Fault::NoDateText),
        }
    }

    /// The string that the model gets; None for one that training never saw.
    pub(crate) fn category<'s>(
        &self,
        categories: &'s Categories,
        value: Found<'_>,
    ) -> Result<Option<Cow<'s, str>>, Fault> {
        match (categories, value) {
            (Categories::Known { all, .. }, Found::String(text)) => {
                Ok(all.get(text).map(|known| Cow::Borrowed(known.as_str())))
            }
            (Categories::Known { missing, .. }, Found::Null) => self.null().map(|()| Some(missing.into())),
            (Categories::Open, Found::String(text)) => Ok(Some(Cow::Owned(text.to_owned()))),
            (Categories::Open, Found::Null) => Err(Fault::NotNullable),
            _ => Err(Fault::NoString),
        }
    }

    fn null(&self) -> Result<(), Fault> {
        if self.nullable { Ok(()) } else { Err(Fault::NotNullable) }
    }
}

/// The number as a 32-bit float; None beyond the largest one, even where rounding would lead back to it.
#[allow(clippy::cast_possible_truncation)]
fn float32(number: f64) -> Option<f32> {
    (number.abs() <= f64::from(f32::MAX)).then_some(number as f32)
}

/// The date in days since 1970-01-01, of which a 32-bit float holds each.
#[allow(clippy::cast_precision_loss)]
fn date(text: &str) -> Option<f32> {
    dates::days(text).map(|days| days as f32)
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

    #[test]
    fn each_kind_of_number_takes_its_own_json_values() {
        use Found::{Array, Bool, Null, Number, String as Text};
        let field = Field { name: String::new(), nullable: false, column: Column::Numeric(0, Numbers::Any) };
        let kind = |numbers, value| field.number(numbers, value).map_err(|fault| fault.at(vec![]).kind.into_owned());
        let error = |kind: &str| Err(kind.to_owned());
        let cases = [
            (Numbers::Any, Number(24.5), Ok(24.5)),
            (Numbers::Any, Bool(true), error("float_type")),
            (Numbers::Any, Null, error("not_nullable")),
            (Numbers::Whole, Number(24.0), Ok(24.0)),
            (Numbers::Whole, Number(-0.0), Ok(0.0)),
            (Numbers::Whole, Number(24.5), error("int_type")),
            (Numbers::Whole, Number(1e39), error("float_range")),
            (Numbers::Whole, Text("24"), error("float_type")),
            (Numbers::Boolean, Bool(true), Ok(1.0)),
            (Numbers::Boolean, Bool(false), Ok(0.0)),
            (Numbers::Boolean, Number(1.0), error("bool_type")),
            (Numbers::Boolean, Text("true"), error("bool_type")),
            (Numbers::Date, Text("1970-01-02"), Ok(1.0)),
            (Numbers::Date, Text("1970-01-32"), error("date_invalid")),
            (Numbers::Date, Number(1.0), error("date_type")),
            (Numbers::Date, Array, error("date_type")),
        ];
        for (numbers, value, result) in cases {
            assert_eq!(kind(numbers, value), result, "{value:?}");
        }
    }
}
