//! Name everything that is wrong with a refused body, field by field. Not on the path of good requests.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::errors::{BODY, Problem, Step};
use crate::faults::Fault;
use crate::fields::Fields;
use crate::json_value::{Found, Inspect};

/// The most problems that an answer names.
pub const MAX_PROBLEMS: usize = 100;

/// A larger body is answered with the decoder's first finding alone.
pub const MAX_DIAGNOSED_BYTES: usize = 1 << 20;

/// What is wrong with a body that the decoder refused with `finding`: at least one problem, at most `MAX_PROBLEMS`.
pub(crate) fn diagnose(fields: &Fields, body: &[u8], finding: Problem, many: bool) -> Vec<Problem> {
    let text = match std::str::from_utf8(body) {
        Ok(text) if body.len() <= MAX_DIAGNOSED_BYTES => text,
        _ => return vec![finding],
    };
    let mut diagnosis = Diagnosis { fields, problems: Vec::new() };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = if many {
        json.deserialize_any(AnyRows(&mut diagnosis))
    } else {
        json.deserialize_any(AnyRow { diagnosis: &mut diagnosis, location: vec![BODY] })
    };
    // For a body that is not JSON after its first fault, or gives a field twice, there may be only the finding.
    if read.and_then(|()| json.end()).is_err() || diagnosis.problems.is_empty() {
        return vec![finding];
    }
    diagnosis.problems
}

struct Diagnosis<'s> {
    fields: &'s Fields,
    problems: Vec<Problem>,
}

impl Diagnosis<'_> {
    fn add(&mut self, location: &[Step], field: Option<&str>, fault: Fault) {
        if self.problems.len() < MAX_PROBLEMS {
            let name = field.map(|name| Step::Name(name.to_owned().into()));
            self.problems.push(fault.at(location.iter().cloned().chain(name).collect()));
        }
    }
}

/// Visitor methods for the values that are neither array nor object, all answered alike.
macro_rules! scalars {
    ($self:ident, $problem:expr) => {
        fn visit_unit<E: Error>($self) -> Result<(), E> {
            $problem;
            Ok(())
        }

        fn visit_bool<E: Error>($self, _: bool) -> Result<(), E> {
            $problem;
            Ok(())
        }

        fn visit_i64<E: Error>($self, _: i64) -> Result<(), E> {
            $problem;
            Ok(())
        }

        fn visit_u64<E: Error>($self, _: u64) -> Result<(), E> {
            $problem;
            Ok(())
        }

        fn visit_f64<E: Error>($self, _: f64) -> Result<(), E> {
            $problem;
            Ok(())
        }

        fn visit_str<E: Error>($self, _: &str) -> Result<(), E> {
            $problem;
            Ok(())
        }
    };
}

/// Reads the body of a batch, whatever it is.
struct AnyRows<'d, 's>(&'d mut Diagnosis<'s>);

impl AnyRows<'_, '_> {
    fn no_array(self) {
        self.0.add(&[BODY], None, Fault::NoArray);
    }
}

impl<'de> Visitor<'de> for AnyRows<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    scalars!(self, self.no_array());

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.no_array();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        for index in 0.. {
            let row = AnyRow { diagnosis: &mut *self.0, location: vec![BODY, Step::Index(index)] };
            if array.next_element_seed(row)?.is_none() {
                break;
            }
        }
        Ok(())
    }
}

/// Reads a row, whatever it is.
struct AnyRow<'d, 's> {
    diagnosis: &'d mut Diagnosis<'s>,
    location: Vec<Step>,
}

impl AnyRow<'_, '_> {
    fn no_object(self) {
        self.diagnosis.add(&self.location, None, Fault::NoObject);
    }
}

impl<'de> DeserializeSeed<'de> for AnyRow<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for AnyRow<'_, '_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    scalars!(self, self.no_object());

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<(), A::Error> {
        while array.next_element::<IgnoredAny>()?.is_some() {}
        self.no_object();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<(), A::Error> {
        let fields = self.diagnosis.fields;
        let mut faults = vec![Some(Fault::Missing); fields.all().len()];
        let mut unknown = Vec::new();
        let mut names = HashSet::new();
        while let Some(name) = object.next_key::<String>()? {
            if let Some(index) = fields.index_of(&name) {
                let field = &fields.all()[index];
                let fault = object.next_value_seed(Inspect(|value: Found<'_>| Ok(field.fault_of(value))))?;
                faults[index] = fault; // of a field that is given twice, the last one holds
            } else {
                object.next_value_seed(Inspect(|_: Found<'_>| Ok(())))?;
                if names.insert(name.clone()) {
                    unknown.push(name);
                }
            }
        }
        for (field, fault) in fields.all().iter().zip(faults) {
            if let Some(fault) = fault {
                self.diagnosis.add(&self.location, Some(&field.name), fault);
            }
        }
        for name in unknown {
            self.diagnosis.add(&self.location, Some(&name), Fault::Unknown);
        }
        Ok(())
    }
}
