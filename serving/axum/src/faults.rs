//! What can be wrong with a value, a row or a body, and where.

use std::borrow::Cow;

use crate::errors::{BODY, Problem, Step};

const DATE_REQUIRED: &str = "an ISO 8601 date (YYYY-MM-DD) is required";

/// What can be wrong with a body, a row or a field.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Missing,
    Unknown,
    NotNullable,
    NoNumber,
    NoString,
    NoBoolean,
    NoDateText,
    NoDate,
    NotWhole,
    OutOfRange,
    NoObject,
    NoArray,
}

impl Fault {
    /// The problem that this fault is at a location.
    pub(crate) fn at(self, location: Vec<Step>) -> Problem {
        let (msg, kind) = self.verdict();
        Problem::new(location, msg, kind)
    }

    /// What it is, in words.
    pub(crate) fn message(self) -> &'static str {
        self.verdict().0
    }

    fn verdict(self) -> (&'static str, &'static str) {
        match self {
            Self::Missing => ("field required", "missing"),
            Self::Unknown => ("unknown field", "extra_forbidden"),
            Self::NotNullable => ("null is not allowed here", "not_nullable"),
            Self::NoNumber => ("a number is required", "float_type"),
            Self::NoString => ("a string is required", "string_type"),
            Self::NoBoolean => ("true or false is required", "bool_type"),
            Self::NoDateText => (DATE_REQUIRED, "date_type"),
            Self::NoDate => (DATE_REQUIRED, "date_invalid"),
            Self::NotWhole => ("a whole number is required", "int_type"),
            Self::OutOfRange => ("outside the range of a 32-bit float", "float_range"),
            Self::NoObject => ("an object is required", "object_type"),
            Self::NoArray => ("an array of objects is required", "list_type"),
        }
    }
}

/// Where in a body the decoder is, and what is wrong if it gets no further.
#[derive(Debug)]
pub(crate) struct Finding<'s> {
    pub(crate) row: Option<usize>,
    pub(crate) field: Option<Cow<'s, str>>,
    pub(crate) fault: Fault,
}

impl Finding<'_> {
    pub(crate) fn problem(&self) -> Problem {
        let name = self.field.as_deref().map(|name| Step::Name(name.to_owned().into()));
        self.fault.at([BODY].into_iter().chain(self.row.map(Step::Index)).chain(name).collect())
    }
}
