//! What can be wrong with a table of text, and with what should be made of it.

use crate::data::origin::{Origin, list};
use crate::data::table::Place;

/// Everything that can be wrong with a [`Table`](crate::data::Table), or between a table and an
/// [`Encoder`](crate::data::Encoder).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A table without a single column.
    #[error("{origin}: has no columns; give each row at least one field")]
    NoColumns {
        /// Where the table comes from.
        origin: Origin,
    },

    /// Two columns have the same name.
    #[error("{origin}: columns {first} and {second} are both named {name:?}; rename one")]
    DuplicateColumn {
        /// Where the table comes from.
        origin: Origin,
        /// The name.
        name: String,
        /// The first column of that name, from 0.
        first: usize,
        /// The second column of that name, from 0.
        second: usize,
    },

    /// A row with too few or too many fields.
    #[error(
        "{origin}: {place} has {found} fields, but the table has {expected} columns; mend the row"
    )]
    Ragged {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// How many columns there are.
        expected: usize,
        /// How many fields the row has.
        found: usize,
    },

    /// More or fewer rows than the first line says.
    #[error(
        "{origin}: its first line says that {promised} rows follow, but {found} do; the file was cut \
         off or added to: get it again, or correct the first line"
    )]
    RowCount {
        /// Where the table comes from.
        origin: Origin,
        /// What the first line says.
        promised: usize,
        /// How many there are.
        found: usize,
    },

    /// A class number of a file whose first line names the classes.
    #[error(
        "{origin}: {place} ends with {value:?}, which is none of the class numbers 0 to {} that the \
         first line names; correct it",
        classes.saturating_sub(1)
    )]
    ClassNumber {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The field.
        value: String,
        /// How many classes the first line names.
        classes: usize,
    },

    /// Two tables do not lie side by side.
    #[error(
        "{left} has {left_rows} rows, but {right} has {right_rows}; two tables that are joined row by \
         row need as many"
    )]
    JoinRows {
        /// Where the first table comes from.
        left: Origin,
        /// Where the second table comes from.
        right: Origin,
        /// Rows of the first.
        left_rows: usize,
        /// Rows of the second.
        right_rows: usize,
    },

    /// A column was named that the table does not have.
    #[error("{origin}: has no column {column:?}; it has {}", list(columns))]
    UnknownColumn {
        /// Where the table comes from.
        origin: Origin,
        /// The name asked for.
        column: String,
        /// The names there are.
        columns: Vec<String>,
    },

    /// A column was named for two uses.
    #[error("column {column:?} is named as {first} and as {second}; name it once")]
    ColumnTwice {
        /// The name.
        column: String,
        /// What it was named for first: `a target`, `a feature` or `excluded`.
        first: &'static str,
        /// What it was named for then.
        second: &'static str,
    },

    /// Targets were named where there are to be none.
    #[error(
        "the target type is none, and {} named as {}; leave the names out, or the type",
        list(targets),
        if targets.len() == 1 { "a target" } else { "targets" }
    )]
    TargetsOfNone {
        /// The names.
        targets: Vec<String>,
    },

    /// A data set to train on, of an encoder without targets.
    #[error(
        "the encoder was fitted without targets, so there is nothing to train for; encode rows with it, \
         or fit one with targets"
    )]
    NoTargets,

    /// No column is left to predict from.
    #[error(
        "{origin}: none of its columns is left to {}; exclude fewer, or bring a column that holds more \
         than one value",
        if targets.is_empty() {
            "tell rows apart by".into()
        } else {
            format!("predict from, beside the target {}", list(targets))
        }
    )]
    NoFeatures {
        /// Where the table comes from.
        origin: Origin,
        /// The columns to predict.
        targets: Vec<String>,
    },

    /// Columns of free text, names or codes, which encode no two rows alike.
    #[error(
        "{origin}: {} hold{} text ({detail}), from which a net learns nothing; exclude {}, or set the \
         type to category where values come again",
        list(columns),
        if columns.len() == 1 { "s" } else { "" },
        if columns.len() == 1 { "it" } else { "them" }
    )]
    TextColumns {
        /// Where the table comes from.
        origin: Origin,
        /// All such columns.
        columns: Vec<String>,
        /// What the first of them holds, and what else that might be.
        detail: String,
    },

    /// A field that is no number, in a column of numbers.
    #[error(
        "{origin}: {place}, column {column:?} holds {value:?}, where a number should be; correct it, \
         or add it to the missing words"
    )]
    NotANumber {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
    },

    /// A number as people write it.
    #[error(
        "{origin}: {place}, column {column:?} holds {value:?}, a number with {why}; write all numbers \
         of the column with digits, and a point before decimals, alone"
    )]
    OddNumber {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
        /// What makes it no plain number: `a percent sign`.
        why: &'static str,
    },

    /// A number that is NaN or infinite, or becomes so when it is standardized.
    #[error(
        "{origin}: {place}, column {column:?} holds {value:?}, which is no finite number, or too far \
         from those that the encoder was fitted on; correct it or leave the row out"
    )]
    NotFinite {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
    },

    /// A field that is no date, in a column of dates.
    #[error(
        "{origin}: {place}, column {column:?} holds {value:?}, where a date should be; write it as \
         2024-12-31, 2024-12-31T23:59:59 or 31.12.2024"
    )]
    NotADate {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
    },

    /// A missing value, where none may be.
    #[error(
        "{origin}: {place}, column {column:?} has the missing value {value:?}; fill it in, or choose \
         another way to treat missing values: impute them, or drop the row"
    )]
    MissingValue {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// How the missing value was written.
        value: String,
    },

    /// A category that the encoder was not fitted on.
    #[error(
        "{origin}: {place}, column {column:?} holds the unknown category {value:?}; known are {}; \
         correct it, or have unknown categories encoded as other",
        list(known)
    )]
    UnknownCategory {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
        /// The categories that the encoder knows.
        known: Vec<String>,
    },

    /// A class that the encoder was not fitted on.
    #[error(
        "{origin}: {place}, target column {column:?} holds {value:?}, which is none of the classes \
         {}; correct it, or fit on rows that have this class",
        list(classes)
    )]
    UnknownClass {
        /// Where the table comes from.
        origin: Origin,
        /// The row.
        place: Place,
        /// The column.
        column: String,
        /// The field.
        value: String,
        /// The classes that the encoder knows.
        classes: Vec<String>,
    },

    /// The table lacks columns that the encoder needs.
    #[error("{origin}: lacks {} ({}); it has {}", noun(missing), list(missing), list(columns))]
    LacksColumns {
        /// Where the table comes from.
        origin: Origin,
        /// The columns it lacks.
        missing: Vec<String>,
        /// The columns it has.
        columns: Vec<String>,
    },

    /// Every row was left out.
    #[error(
        "{origin}: all {dropped} rows lack a value and were left out; fill some in, or have missing \
         values imputed"
    )]
    AllDropped {
        /// Where the table comes from.
        origin: Origin,
        /// How many rows there were.
        dropped: usize,
    },

    /// A target with one value only.
    #[error(
        "{origin}: target column {column:?} holds {value:?} in every row, so there is nothing to \
         learn; choose another target, or bring rows with other values"
    )]
    ConstantTarget {
        /// Where the table comes from.
        origin: Origin,
        /// The column.
        column: String,
        /// Its value.
        value: String,
    },

    /// A target of words that nearly all differ.
    #[error(
        "{origin}: target column {column:?} has {different} different values in {rows} rows (such as \
         {value:?}), too many to be classes; choose another target"
    )]
    TextTarget {
        /// Where the table comes from.
        origin: Origin,
        /// The column.
        column: String,
        /// How many different values it has.
        different: usize,
        /// Rows that have a value in it.
        rows: usize,
        /// One of its values.
        value: String,
    },

    /// Several targets, of which one is of classes.
    #[error(
        "target column {column:?} holds classes, and there are {targets} targets; a net predicts \
         several numbers, or one column of classes: name one target"
    )]
    SeveralClasses {
        /// The column of classes.
        column: String,
        /// How many targets there are.
        targets: usize,
    },

    /// Too small a limit on categories.
    #[error("at most {most} categories per column were asked for; allow at least 2")]
    CategoryLimit {
        /// The limit given.
        most: usize,
    },

    /// Predictions that do not fill whole rows of targets.
    #[error(
        "{length} predictions do not divide into rows of {width} target{}; give the outputs of a \
         model for this encoder's data",
        if *width == 1 { "" } else { "s" }
    )]
    PredictionLength {
        /// How many predictions were given.
        length: usize,
        /// How many a row has.
        width: usize,
    },

    /// An encoder out of a file that cannot be one.
    #[error("the encoder is damaged: {reason}; use the file as it was saved, or fit a new one")]
    DamagedEncoder {
        /// What is wrong with it.
        reason: String,
    },
}

fn noun(columns: &[String]) -> &'static str {
    match columns.len() {
        1 => "a column that the encoder was fitted on",
        _ => "columns that the encoder was fitted on",
    }
}
