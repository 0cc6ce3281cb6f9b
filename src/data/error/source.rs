//! What can be wrong with a source of rows in blocks.

use std::io;

use crate::data::origin::Origin;
use crate::data::part::Part;

/// Everything that can be wrong with a [`Source`](crate::data::Source), besides what can be wrong with any
/// [data](super::DataError). Rows are counted from 0, in the whole file or stream.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// A `.npy` file that cannot be read.
    #[error(
        "{origin}: {what}; save rows of numbers with `numpy.save`, in C order (`numpy.ascontiguousarray`)"
    )]
    Npy {
        /// What was being read.
        origin: Origin,
        /// What is wrong with it.
        what: String,
    },

    /// A data set whose rows have weights.
    #[error(
        "rows of a source have no weights of their own, and those of the data set would be lost; train on the data \
         set itself, or give weights of classes"
    )]
    Weights,

    /// A file that is shorter than its header says, or that was cut while it was read.
    #[error(
        "{origin}: has {found} bytes, where by its header it should have {expected}; it was cut off: \
         get it again"
    )]
    Truncated {
        /// What was being read.
        origin: Origin,
        /// How long it should be.
        expected: u64,
        /// How long it is.
        found: u64,
    },

    /// A file that goes on after its last element.
    #[error(
        "{origin}: has {found} bytes, where by its header it should have {expected}; it is damaged or \
         several files in one: get it again"
    )]
    Trailing {
        /// What was being read.
        origin: Origin,
        /// How long it should be.
        expected: u64,
        /// How long it is.
        found: u64,
    },

    /// A gzipped file in which rows should be read by their place.
    #[error(
        "{origin}: is gzipped, and rows of it cannot be read by their place; unpack it first (gunzip)"
    )]
    Gzipped {
        /// What was being read.
        origin: Origin,
    },

    /// Rows of another width midway.
    #[error(
        "{origin}: what comes after row {row} has {length} numbers, which are no whole rows of {width}; \
         give every row {width} numbers"
    )]
    Uneven {
        /// What was being read.
        origin: Origin,
        /// The rows before.
        row: usize,
        /// Numbers that came.
        length: usize,
        /// Numbers of a row.
        width: usize,
    },

    /// Fewer rows than there were to be.
    #[error(
        "{origin}: ended after {found} rows, where {said} were said or counted; say as many as come, and \
         give the same rows in every pass"
    )]
    EndedEarly {
        /// What was being read.
        origin: Origin,
        /// Rows that there should be.
        said: usize,
        /// Rows that came.
        found: usize,
    },

    /// More rows than there were to be.
    #[error(
        "{origin}: goes on after {said} rows, as many as were said or counted; say as many as come, and \
         give the same rows in every pass"
    )]
    GoesOn {
        /// What was being read.
        origin: Origin,
        /// Rows that there should be.
        said: usize,
    },

    /// Features and targets do not pair up.
    #[error(
        "{features}: has {feature_rows} rows of features, but {targets}: {target_rows} of targets; take the \
         two from the same set"
    )]
    Pairs {
        /// What the features are read from.
        features: Origin,
        /// What the targets are read from.
        targets: Origin,
        /// Rows of features.
        feature_rows: usize,
        /// Rows of targets.
        target_rows: usize,
    },

    /// Rows with nothing to learn where there must be something.
    #[error(
        "{origin}: has rows without targets, from which nothing can be learned; give them by \
         `Source::with_targets`, `with_labels`, `last_columns_as_targets` or `last_column_as_labels`"
    )]
    NoTargets {
        /// What the rows are read from.
        origin: Origin,
    },

    /// Targets that cannot be.
    #[error("{origin}: {what} is {value}; it must be {rule}")]
    Targets {
        /// What the rows are read from.
        origin: Origin,
        /// What was given.
        what: &'static str,
        /// Its value.
        value: usize,
        /// What it must be.
        rule: String,
    },

    /// A label that is no class.
    #[error(
        "{origin}: row {row} has label {value}, where labels must be whole numbers from 0 and below {classes}; \
         count the labels from 0, or raise the number of classes"
    )]
    Label {
        /// What the labels are read from.
        origin: Origin,
        /// Its row, from 0.
        row: usize,
        /// What stands there.
        value: f32,
        /// How many classes were declared.
        classes: usize,
    },

    /// A value is NaN or infinite, and would turn every weight that it touches into NaN.
    #[error(
        "{origin}: row {row}, column {column} of the {part} is {value}; replace it by a finite number or leave \
         the row out"
    )]
    NotFinite {
        /// What was being read.
        origin: Origin,
        /// Which values it was among.
        part: Part,
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value, or what it became.
        value: f32,
    },

    /// A number that must be at least one is not.
    #[error("{what} is 0; it must be at least 1")]
    Zero {
        /// What it was.
        what: &'static str,
    },

    /// No part can be held out, or none is left.
    #[error(
        "{origin}: of its {blocks} blocks of {block_rows} rows, a fraction of {fraction} leaves one part without \
         any; hold out another fraction, or take smaller blocks (`Source::block_rows`)"
    )]
    Split {
        /// What the rows are read from.
        origin: Origin,
        /// Blocks there are.
        blocks: usize,
        /// Rows of a block.
        block_rows: usize,
        /// The fraction to be held out.
        fraction: f64,
    },

    /// The rows of a window cannot be numbered.
    #[error(
        "{origin}: a window of {rows} rows is too long; rows of a window are numbered in 32 bits, so take a \
         smaller one (`Source::window_rows`, `Source::block_rows`)"
    )]
    Window {
        /// What the rows are read from.
        origin: Origin,
        /// Rows of the window.
        rows: usize,
    },

    /// The reading ended in a panic.
    #[error("{origin}: the thread that reads it died: {reason}; mend what it reads with")]
    ReaderDied {
        /// What was being read.
        origin: Origin,
        /// What it said at the end.
        reason: String,
    },

    /// The system gave no thread.
    #[error(
        "{origin}: the system gave no thread that reads it: {cause}; end other programs, or raise the most threads that it allows (`ulimit -u`)"
    )]
    Thread {
        /// What was to be read.
        origin: Origin,
        /// What the system said.
        cause: io::Error,
    },
}
