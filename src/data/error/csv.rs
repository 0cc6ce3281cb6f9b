//! What can be wrong with a CSV file.

use crate::data::origin::{Origin, list};

/// Everything that can be wrong with a CSV file, besides what can be wrong with any
/// [data](super::DataError). Columns are counted from 0; lines from 1, as in editors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CsvError {
    /// A delimiter that is part of CSV itself.
    #[error(
        "{:?} cannot delimit fields; choose another byte, for example ',', ';' or a tab",
        char::from(*delimiter)
    )]
    Delimiter {
        /// The byte given.
        delimiter: u8,
    },

    /// The first line is a row of numbers.
    #[error(
        "{origin}: line {line} holds only numbers (the first is {value:?}), where the names of the \
         columns should be; put a line of names before it, or set `header` to false"
    )]
    Header {
        /// What was being read.
        origin: Origin,
        /// The line, from 1.
        line: u64,
        /// Its first field.
        value: String,
    },

    /// Two columns have the same name.
    #[error("{origin}: columns {first} and {second} are both named {name:?}; rename one")]
    DuplicateColumn {
        /// What was being read.
        origin: Origin,
        /// The name.
        name: String,
        /// The first column of that name, from 0.
        first: usize,
        /// The second column of that name, from 0.
        second: usize,
    },

    /// A column was named that the table does not have.
    #[error("{origin}: has no column {column}; it has {}", list(columns))]
    UnknownColumn {
        /// What was being read.
        origin: Origin,
        /// The name asked for, or the position.
        column: String,
        /// The names there are.
        columns: Vec<String>,
    },

    /// A column was named twice.
    #[error("{origin}: column {column} is named as {first} and as {second}; name it once")]
    ColumnTwice {
        /// What was being read.
        origin: Origin,
        /// The name or the position.
        column: String,
        /// What it was named for first: `a target`, `a feature` or `excluded`.
        first: &'static str,
        /// What it was named for then.
        second: &'static str,
    },

    /// No target was named, and the last column is something else.
    #[error(
        "{origin}: no target is named, and the last column, {column:?}, is {named}; name the column \
         to predict in `targets`"
    )]
    NoTarget {
        /// What was being read.
        origin: Origin,
        /// The name of the last column.
        column: String,
        /// What it was named for: `a feature` or `excluded`.
        named: &'static str,
    },

    /// The table has no column besides its targets and the excluded ones.
    #[error(
        "{origin}: none of its {columns} columns (the first is {column:?}) is left to predict from; \
         exclude fewer, or set the delimiter that separates them"
    )]
    NoFeatures {
        /// What was being read.
        origin: Origin,
        /// How many columns there are.
        columns: usize,
        /// The name of the first one.
        column: String,
    },

    /// A line with more fields than [`DataOptions`](crate::data::DataOptions) allow.
    #[error(
        "{origin}: the row from line {line} on has more than {most} fields; check the delimiter and the \
         quotes, or raise `DataOptions::max_columns`"
    )]
    TooManyColumns {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1, or a blank one before it.
        line: u64,
        /// How many fields are allowed.
        most: usize,
    },

    /// A table of more numbers than [`DataOptions`](crate::data::DataOptions) allow.
    #[error(
        "{origin}: a table of {rows} rows by {width} columns has more than {most} numbers; exclude \
         columns, or raise `DataOptions::max_fields`"
    )]
    TooLarge {
        /// What was being read.
        origin: Origin,
        /// Rows of the table, at least.
        rows: usize,
        /// Columns of the table, those made from categories included.
        width: usize,
        /// How many numbers are allowed.
        most: usize,
    },

    /// A row with too few or too many fields.
    #[error(
        "{origin}: line {line} has {found} fields, but the first line has {expected}; mend the line"
    )]
    Ragged {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// How many fields the first line has.
        expected: usize,
        /// How many fields the row has.
        found: usize,
    },

    /// A field that is not text.
    #[error(
        "{origin}: line {line}, column {column} (from 0) is not UTF-8: {value:?}; save the file as \
         UTF-8"
    )]
    NotUtf8 {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The column, from 0.
        column: usize,
        /// The field, with what could not be decoded replaced.
        value: String,
    },

    /// A field without a value.
    #[error(
        "{origin}: line {line}, column {column:?} has the missing value {value:?}; fill it in, set \
         `missing` to `Missing::DropRow` to leave such rows out, or take {value:?} out of \
         `missing_words` if it is a value here"
    )]
    Missing {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// How the missing value was written.
        value: String,
    },

    /// Every row had a missing value.
    #[error("{origin}: all {dropped} rows have a missing value and were left out; fill some in")]
    AllDropped {
        /// What was being read.
        origin: Origin,
        /// How many rows there were.
        dropped: usize,
    },

    /// A target that is not a number.
    #[error(
        "{origin}: line {line}, target column {column:?} holds {value:?}, which is no number; \
         correct it, or choose another target"
    )]
    Target {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field.
        value: String,
    },

    /// A word in a table that is read in blocks, whose categories nobody knows yet.
    #[error(
        "{origin}: line {line}, column {column:?} holds {value:?}, which is no number; a table that is read in \
         blocks has numbers only: exclude the column, or make numbers of it first (`TableReader`, `Encoder`)"
    )]
    Word {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field.
        value: String,
    },

    /// A number that is NaN, infinite or too large for 32 bits.
    #[error(
        "{origin}: line {line}, column {column:?} holds {value:?}, which is no finite 32-bit \
         number; correct it or leave the row out"
    )]
    NotFinite {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field.
        value: String,
    },

    /// A number as people write it, in a column of numbers.
    #[error(
        "{origin}: line {line}, column {column:?} holds {value:?}, a number with {why}; write all \
         numbers of the column with digits, and a point before decimals, alone"
    )]
    OddNumber {
        /// What was being read.
        origin: Origin,
        /// The line that the row starts on, from 1.
        line: u64,
        /// The name of the column.
        column: String,
        /// The field.
        value: String,
        /// What makes it no plain number: `a percent sign`.
        why: &'static str,
    },

    /// A column of text with too many different values to be categories.
    #[error(
        "{origin}: column {column:?} is not numeric (line {line} holds {value:?}) and has more than \
         {most} different values, too many for categories; correct that value or remove the column"
    )]
    Categories {
        /// What was being read.
        origin: Origin,
        /// The name of the column.
        column: String,
        /// The line of the first field that is no number, from 1.
        line: u64,
        /// That field.
        value: String,
        /// How many different values a column of categories may have.
        most: usize,
    },
}
