//! Columns of features: numbers as they are, text as categories.

use std::collections::BTreeMap;

use crate::data::error::{CsvError, DataError};
use crate::data::number::odd_number;
use crate::data::origin::{Origin, excerpt};

/// The most different values that a column of categories may have. A column with more is one of
/// names or free text, and would make a feature out of nearly every row.
const MOST_CATEGORIES: usize = 64;

/// A column of a CSV file that was read as features.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeatureColumn {
    /// Its name.
    pub name: String,
    /// What it became.
    pub kind: ColumnKind,
}

/// What a column of features became.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ColumnKind {
    /// One feature: its numbers.
    Numbers,
    /// A feature for each of these categories, 1 where the row is of it, else 0. In alphabetical order.
    Categories(Vec<String>),
}

/// A column while it is read. What kind it is shows only at its end, so it is kept as both.
pub(super) struct Column {
    name: String,
    /// The fields as numbers, as long as all are.
    numbers: Option<Vec<f32>>,
    /// The fields as categories, unless there were too many.
    categories: Option<Categories>,
    /// The first field that is a number only to people, and why it is none.
    odd_number: Option<(Field, &'static str)>,
    /// The first field that is no number at all.
    word: Option<Field>,
    /// The first field that is NaN or infinite as a number.
    not_finite: Option<Field>,
}

#[derive(Default)]
struct Field {
    line: u64,
    value: String,
}

/// A column once its kind is known.
pub(super) enum Feature {
    Numbers { name: String, values: Vec<f32> },
    OneHot { name: String, categories: Categories },
}

/// A code for each row, and the text that each code stands for.
#[derive(Default)]
pub(super) struct Categories {
    codes: Vec<u8>,
    code_of: BTreeMap<String, u8>,
}

impl Column {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            numbers: Some(Vec::new()),
            categories: Some(Categories::default()),
            odd_number: None,
            word: None,
            not_finite: None,
        }
    }

    /// Adds a row's field.
    pub(super) fn push(&mut self, text: &str, line: u64) {
        let field = || Field { line, value: excerpt(text) };
        match text.parse::<f32>() {
            Ok(number) => {
                if !number.is_finite() {
                    self.not_finite.get_or_insert_with(field);
                }
                if let Some(numbers) = &mut self.numbers {
                    numbers.push(number);
                }
            }
            Err(_) => {
                self.numbers = None;
                match odd_number(text) {
                    Some(why) => drop(self.odd_number.get_or_insert_with(|| (field(), why))),
                    None => drop(self.word.get_or_insert_with(field)),
                }
            }
        }
        if !self.categories.as_mut().is_some_and(|categories| categories.push(text)) {
            self.categories = None;
        }
    }

    /// Settles the kind: numbers if all fields are, categories if one is a word. What is a number only to
    /// people is no category where there are no words.
    pub(super) fn finish(self, origin: &Origin) -> Result<Feature, DataError> {
        let Self { name, numbers, categories, odd_number, word, not_finite } = self;
        let (origin, column) = (origin.clone(), excerpt(&name));
        match (numbers, word, odd_number) {
            (Some(values), _, _) => match not_finite {
                Some(Field { line, value }) => {
                    Err(DataError::Csv(CsvError::NotFinite { origin, line, column, value }))
                }
                None => Ok(Feature::Numbers { name, values }),
            },
            (None, None, Some((Field { line, value }, why))) => {
                Err(DataError::Csv(CsvError::OddNumber { origin, line, column, value, why }))
            }
            (None, word, _) => match (categories, word) {
                (Some(categories), _) => Ok(Feature::OneHot { name, categories }),
                (None, word) => {
                    let Field { line, value } = word.unwrap_or_default();
                    let most = MOST_CATEGORIES;
                    Err(DataError::Csv(CsvError::Categories { origin, column, line, value, most }))
                }
            },
        }
    }
}

impl Categories {
    /// Adds a row, or says `false` if that would make one category too many.
    fn push(&mut self, text: &str) -> bool {
        let code = match self.code_of.get(text) {
            Some(&code) => code,
            None if self.code_of.len() == MOST_CATEGORIES => return false,
            None => {
                let code = self.code_of.len() as u8;
                self.code_of.insert(text.to_owned(), code);
                code
            }
        };
        self.codes.push(code);
        true
    }
}

impl Feature {
    /// How many features it makes.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::Numbers { .. } => 1,
            Self::OneHot { categories, .. } => categories.code_of.len(),
        }
    }

    /// The name of each of its features; categories in alphabetical order.
    pub(super) fn names(&self) -> Vec<String> {
        match self {
            Self::Numbers { name, .. } => vec![name.clone()],
            Self::OneHot { name, categories } => {
                categories.code_of.keys().map(|category| format!("{name}={category}")).collect()
            }
        }
    }

    /// What the column became.
    pub(super) fn describe(self) -> FeatureColumn {
        match self {
            Self::Numbers { name, .. } => FeatureColumn { name, kind: ColumnKind::Numbers },
            Self::OneHot { name, categories } => {
                let categories = categories.code_of.into_keys().collect();
                FeatureColumn { name, kind: ColumnKind::Categories(categories) }
            }
        }
    }

    /// Writes its features into those of all columns, `[rows, width]` and 0 so far, from column
    /// `first` on.
    pub(super) fn fill(&self, features: &mut [f32], width: usize, first: usize) {
        let rows = features.chunks_exact_mut(width);
        match self {
            Self::Numbers { values, .. } => {
                for (row, &value) in rows.zip(values) {
                    if let Some(feature) = row.get_mut(first) {
                        *feature = value;
                    }
                }
            }
            Self::OneHot { categories, .. } => {
                // Codes were given in order of appearance, places go by the alphabet.
                let mut place = [0; MOST_CATEGORIES];
                for (index, &code) in categories.code_of.values().enumerate() {
                    if let Some(place) = place.get_mut(usize::from(code)) {
                        *place = index;
                    }
                }
                for (row, &code) in rows.zip(&categories.codes) {
                    let place = place.get(usize::from(code));
                    if let Some(feature) = place.and_then(|place| row.get_mut(first + place)) {
                        *feature = 1.0;
                    }
                }
            }
        }
    }
}
