//! How to read a CSV file.

use std::fmt;

use crate::data::encoder::missing_words;
use crate::data::error::{CsvError, DataError};
use crate::data::options::DataOptions;

/// How to read a CSV file.
///
/// ```
/// use wgrad::data::{CsvOptions, Missing};
/// let options = CsvOptions {
///     targets: vec!["price".into()],
///     exclude: vec!["id".into()],
///     missing: Missing::DropRow,
///     ..CsvOptions::default()
/// };
/// assert_eq!(options.delimiter, b',');
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// The columns to predict, in the order in which the data set has them; the last one if none is
    /// named.
    pub targets: Vec<CsvColumn>,
    /// The columns to predict from, in the order in which the data set has them; if none is named, all
    /// that are neither targets nor excluded, in the file's order.
    pub features: Vec<CsvColumn>,
    /// Columns to leave out, whatever they hold.
    pub exclude: Vec<CsvColumn>,
    /// Whether the first line names the columns, true by default. Without such a line a column's name
    /// is its position: `0`, `1`, ….
    pub header: bool,
    /// The byte between fields, `b','` by default.
    pub delimiter: u8,
    /// What to do with rows that lack a value, by default an error.
    pub missing: Missing,
    /// How missing values are written, in upper or lower case (of ASCII) alike and whatever white space is
    /// around them: by default [`missing_words`]. Add words to the list, or replace it where one of them
    /// means something in a file.
    pub missing_words: Vec<String>,
    /// How much is taken in.
    pub bounds: DataOptions,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            features: Vec::new(),
            exclude: Vec::new(),
            header: true,
            delimiter: b',',
            missing: Missing::default(),
            missing_words: missing_words(),
            bounds: DataOptions::default(),
        }
    }
}

impl CsvOptions {
    /// # Errors
    /// If the delimiter is part of CSV itself, or not ASCII.
    pub(super) fn check_delimiter(&self) -> Result<(), DataError> {
        let delimiter = self.delimiter;
        match !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
            true => Err(CsvError::Delimiter { delimiter }.into()),
            false => Ok(()),
        }
    }

    /// Whether a field without white space around it says that there is no value.
    pub(super) fn is_missing(&self, text: &str) -> bool {
        self.missing_words.iter().any(|word| word.trim().eq_ignore_ascii_case(text))
    }
}

/// A column of a CSV file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CsvColumn {
    /// By its name in the header line.
    Name(String),
    /// By its position, from 0.
    Position(usize),
}

impl From<&str> for CsvColumn {
    fn from(name: &str) -> Self {
        Self::Name(name.into())
    }
}

impl From<String> for CsvColumn {
    fn from(name: String) -> Self {
        Self::Name(name)
    }
}

impl From<usize> for CsvColumn {
    fn from(position: usize) -> Self {
        Self::Position(position)
    }
}

impl fmt::Display for CsvColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => write!(f, "{:?}", super::excerpt(name)),
            Self::Position(position) => write!(f, "number {position} (from 0)"),
        }
    }
}

/// What to do with a row in which a value is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Refuse the file.
    #[default]
    Error,
    /// Leave the row out, and count it in [`CsvTable::dropped_rows`](super::CsvTable::dropped_rows).
    DropRow,
}
