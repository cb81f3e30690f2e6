//! From a request's input tensors to a batch, by the rules of `/predict`.
//!
//! The inputs are the manifest's features, a tensor [N, 1] or [N] each, or the packed graph's own: `categorical` [N, C]
//! and `numeric` [N, M].

use std::borrow::Cow;

use crate::dates::{FIRST_DAY, LAST_DAY};
use crate::errors::RequestError;
use crate::faults::Fault;
use crate::fields::{Column, Field, Fields, Numbers};
use crate::inference_datatypes::{BOOL, BYTES, FLOATS, INTEGERS};
use crate::inference_object::Scalar;
use crate::inference_request::{InferRequest, Input, invalid, invalid_input, quoted};
use crate::inference_values::read_values;
use crate::json_value::Found;
use crate::manifest::{FeatureKind, Manifest};
use crate::predictor::Batch;
use crate::request_schema::{DecodedRequest, RequestSchema};

const NO_DAY: &str = "a date in whole days since 1970-01-01 is required";

/// Makes batches from the inputs of one model's requests.
pub struct InputSchema {
    /// An input for each feature.
    own: Vec<Group>,
    /// The inputs of the packed graph.
    packed: Vec<Group>,
}

/// An input, and the indices of the fields that it has as its columns.
struct Group {
    name: String,
    fields: Vec<usize>,
    datatypes: Vec<&'static str>,
    packed: bool,
}

impl InputSchema {
    /// The inputs that the manifest describes.
    pub fn new(manifest: &Manifest) -> Self {
        let own = manifest.features.iter().enumerate().map(|(index, feature)| {
            let datatypes = match feature.kind {
                FeatureKind::Numeric => [FLOATS.as_slice(), &INTEGERS].concat(),
                FeatureKind::Boolean => [&[BOOL], FLOATS.as_slice()].concat(),
                FeatureKind::Date | FeatureKind::Ordinal | FeatureKind::Nominal => vec![BYTES],
            };
            Group { name: feature.name.clone(), fields: vec![index], datatypes, packed: false }
        });
        let packed = [("categorical", true, vec![BYTES]), ("numeric", false, FLOATS.to_vec())].map(
            |(name, categorical, datatypes)| {
                let fields = manifest.features.iter().enumerate();
                let fields = fields.filter(|(_, feature)| feature.is_categorical() == categorical);
                let fields = fields.map(|(index, _)| index).collect();
                Group { name: name.to_owned(), fields, datatypes, packed: true }
            },
        );
        Self { own: own.collect(), packed: packed.into_iter().filter(|group| !group.fields.is_empty()).collect() }
    }

    /// The most inputs that a request can need.
    pub fn most(&self) -> usize {
        self.own.len().max(self.packed.len())
    }

    /// The rows that a request's inputs hold.
    pub fn decode<'s>(
        &self,
        schema: &'s RequestSchema,
        request: &InferRequest<'_>,
    ) -> Result<DecodedRequest<'s>, RequestError> {
        let groups = if self.are_packed(&request.inputs) { &self.packed } else { &self.own };
        let inputs = match_inputs(&request.inputs, groups)?;
        let rows = count_rows(&inputs)?;
        if rows > schema.max_rows() {
            return Err(RequestError::TooLarge { unit: "rows", limit: schema.max_rows() });
        }
        let null_string = request.parameters.as_ref().and_then(|parameters| parameters.null_string.as_ref());
        let null_string = match null_string {
            None => None,
            Some(Scalar::Text(text)) => Some(text.as_str()),
            Some(_) => return Err(invalid("the parameter null_string must be a string")),
        };
        let mut filler = Filler::new(schema.fields(), rows, null_string);
        for (input, group) in inputs {
            filler.fill(input, group)?;
        }
        Ok(DecodedRequest { batch: filler.batch, unseen: filler.unseen })
    }

    /// Whether the names are the packed graph's. A feature with such a name takes precedence.
    fn are_packed(&self, inputs: &[Input<'_>]) -> bool {
        let known = |groups: &[Group], input: &Input<'_>| groups.iter().any(|group| group.name == input.name);
        !inputs.is_empty() && inputs.iter().all(|input| known(&self.packed, input) && !known(&self.own, input))
    }
}

/// Each input with its group, if all are there, once.
fn match_inputs<'r, 'g>(
    inputs: &'r [Input<'r>],
    groups: &'g [Group],
) -> Result<Vec<(&'r Input<'r>, &'g Group)>, RequestError> {
    let mut matched: Vec<(&Input<'_>, &Group)> = Vec::with_capacity(inputs.len());
    for input in inputs {
        let Some(group) = groups.iter().find(|group| group.name == input.name) else {
            let known: Vec<String> = groups.iter().map(|group| quoted(&group.name)).collect();
            let (name, known) = (quoted(&input.name), known.join(", "));
            return Err(invalid(format!("unknown input {name}: the model's inputs are {known}")));
        };
        if matched.iter().any(|(earlier, _)| earlier.name == input.name) {
            return Err(invalid_input(&input.name, &[], "given twice"));
        }
        matched.push((input, group));
    }
    match groups.iter().find(|group| inputs.iter().all(|input| input.name != group.name)) {
        Some(missing) => Err(invalid(format!("input {} is missing", quoted(&missing.name)))),
        None => Ok(matched),
    }
}

/// The number of rows, if all inputs have the datatype and the shape that they should.
fn count_rows(inputs: &[(&Input<'_>, &Group)]) -> Result<usize, RequestError> {
    let mut first: Option<(&str, usize)> = None;
    for (input, group) in inputs {
        let (shape, width) = (input.shape.as_slice(), group.fields.len());
        let refuse = |message: String| Err(invalid_input(&input.name, &[], &message));
        if !group.datatypes.contains(&&*input.datatype) {
            return refuse(format!("datatype {}, but {} is needed", input.datatype, group.datatypes.join(" or ")));
        }
        if shape.get(1..) != Some(&[width]) && (group.packed || shape.len() != 1) {
            let needed = if group.packed { format!("[N, {width}]") } else { "[N, 1] or [N]".to_owned() };
            return refuse(format!("shape {shape:?}, but {needed} is needed"));
        }
        let (name, rows) = *first.get_or_insert((&input.name, shape[0]));
        if shape[0] != rows {
            return refuse(format!("{} rows, but {} has {rows}", shape[0], quoted(name)));
        }
    }
    match first {
        Some((_, rows)) if rows > 0 => Ok(rows),
        _ => Err(invalid("at least one row is required")),
    }
}

/// Fills the columns of a batch.
struct Filler<'s, 'n> {
    fields: &'s Fields,
    /// Stands for a missing value in BYTES: binary data has no null.
    null_string: Option<&'n str>,
    batch: Batch<'s>,
    unseen: Vec<usize>,
}

impl<'s, 'n> Filler<'s, 'n> {
    fn new(fields: &'s Fields, rows: usize, null_string: Option<&'n str>) -> Self {
        let categorical = vec![Cow::Borrowed(fields.unseen.as_str()); rows * fields.categorical];
        let batch = Batch { rows, categorical, numeric: vec![f32::NAN; rows * fields.numeric] };
        Self { fields, null_string, batch, unseen: Vec::new() }
    }

    fn fill(&mut self, input: &Input<'_>, group: &Group) -> Result<(), RequestError> {
        let width = group.fields.len();
        let is_text = input.datatype == BYTES;
        read_values(input, width, &mut |index, value| {
            let value = match value {
                Found::String(text) if is_text && self.null_string == Some(text) => Found::Null,
                value => value,
            };
            let field = &self.fields.all()[group.fields[index % width]];
            self.set(index / width, field, value)
        })
    }

    fn set(&mut self, row: usize, field: &'s Field, value: Found<'_>) -> Result<(), String> {
        let message = |fault: Fault| fault.message().to_owned();
        match &field.column {
            Column::Numeric(column, numbers) => {
                let number = number(field, *numbers, value)?;
                self.batch.numeric[row * self.fields.numeric + column] = number;
            }
            Column::Categorical(column, categories) => match field.category(categories, value).map_err(message)? {
                Some(known) => self.batch.categorical[row * self.fields.categorical + column] = known,
                None => self.unseen.push(*column),
            },
        }
        Ok(())
    }
}

/// The number that the model gets: booleans may come as numbers, dates as days.
#[allow(clippy::cast_possible_truncation)] // of whole days within the range
fn number(field: &Field, numbers: Numbers, value: Found<'_>) -> Result<f32, String> {
    let value = match (numbers, value) {
        (Numbers::Boolean, Found::Number(number)) if [0.0, 1.0].contains(&number) => Found::Bool(number > 0.5),
        (Numbers::Date, Found::Number(day)) => {
            let is_day = day.fract() == 0.0 && (FIRST_DAY..=LAST_DAY).contains(&day);
            return if is_day { Ok(day as f32) } else { Err(NO_DAY.to_owned()) };
        }
        (_, value) => value,
    };
    field.number(numbers, value).map_err(|fault| fault.message().to_owned())
}
