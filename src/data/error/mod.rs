//! What can be wrong with data, said so that the person who has it can mend it.

mod csv;
mod source;
mod table;

use std::io;
use std::path::PathBuf;

pub use csv::CsvError;
pub use source::SourceError;
pub use table::TableError;

use super::idx_element::IdxElement;
use super::origin::{Origin, list};
use super::part::Part;

/// Everything that can go wrong while reading, checking or splitting data.
///
/// Rows and columns are counted from 0, as in slices; the lines of a text file from 1, as in
/// editors; bytes from 0, in the file as it is after any decompression.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The bytes could not be had: no such file, no permission, or damaged compression.
    #[error("{origin}: cannot be read: {cause}; check that it exists, is whole and may be read")]
    Read {
        /// What was being read.
        origin: Origin,
        /// What the operating system, the reader or the decompressor said.
        cause: io::Error,
    },

    /// The bytes could not be written.
    #[error(
        "{origin}: cannot be written: {cause}; check that its place has room and may be written"
    )]
    Write {
        /// What was being written.
        origin: Origin,
        /// What the writer said.
        cause: io::Error,
    },

    /// There is not a single row.
    #[error("{origin}: holds no rows; give at least one")]
    Empty {
        /// What was empty.
        origin: Origin,
    },

    /// Rows would have no columns.
    #[error("the {part} have a width of 0; give each row at least one column")]
    ZeroWidth {
        /// Which width it was.
        part: Part,
    },

    /// The values do not fill whole rows.
    #[error(
        "{length} values do not divide into rows of {width} {part}; check the width, or whether \
         a value is missing or one too many"
    )]
    UnevenLength {
        /// Which values they were.
        part: Part,
        /// How many values were given.
        length: usize,
        /// How many values a row takes.
        width: usize,
    },

    /// Inputs and outputs do not pair up.
    #[error(
        "there are {features} rows of features but {targets} rows of targets; each row of \
         features needs one of targets"
    )]
    RowCounts {
        /// Rows of features.
        features: usize,
        /// Rows of targets, or labels.
        targets: usize,
    },

    /// A value is NaN or infinite, and would turn every weight that it touches into NaN.
    #[error(
        "row {row}, column {column}{} of the {part} is {value}; replace it by a finite number or \
         leave the row out",
        name.as_ref().map_or_else(String::new, |name| format!(" ({name:?})"))
    )]
    NotFinite {
        /// Which values it was among.
        part: Part,
        /// Its row, from 0.
        row: usize,
        /// Its column, from 0.
        column: usize,
        /// The value, or what it would have become.
        value: f32,
        /// The name of the column, if it has one.
        name: Option<String>,
    },

    /// As many names as there is nothing of.
    #[error("{names} names were given for {expected} {what}; give one for each, or none at all")]
    NameCount {
        /// What was named: `features`, `targets` or `classes`.
        what: &'static str,
        /// How many names were given.
        names: usize,
        /// How many there should be.
        expected: usize,
    },

    /// As many weights as there are no rows.
    #[error("{weights} weights were given for {rows} rows; give one for each")]
    WeightCount {
        /// How many weights were given.
        weights: usize,
        /// How many rows there are.
        rows: usize,
    },

    /// A row cannot count so often.
    #[error(
        "the weight of row {row} is {weight}; it must be 0 or more, and finite: give 0 for a row that \
         should not count"
    )]
    Weight {
        /// Its row, from 0.
        row: usize,
        /// The weight given.
        weight: f32,
    },

    /// No row counts.
    #[error("the weights of all {rows} rows are 0, so that none counts; give at least one another")]
    NoWeight {
        /// How many rows there are.
        rows: usize,
    },

    /// A label names a class that does not exist.
    #[error(
        "{origin}: row {row} has label {label}, but with {classes} classes labels must be below \
         {classes}; count the labels from 0, or raise the number of classes"
    )]
    LabelOutOfRange {
        /// What the labels were read from.
        origin: Origin,
        /// The row of the label, from 0.
        row: usize,
        /// The label.
        label: u32,
        /// How many classes were declared.
        classes: usize,
    },

    /// More rows than row numbers: these are kept in 32 bits, on the GPU too.
    #[error(
        "a dataset of {rows} rows is too long; row numbers have 32 bits, so split it into parts of \
         at most {} rows",
        u32::MAX
    )]
    TooManyRows {
        /// How many rows were given.
        rows: usize,
    },

    /// A row was asked for that is not there.
    #[error(
        "row {row} was asked for, but there are only {rows} rows, counted from 0; ask for a lower one"
    )]
    RowOutOfRange {
        /// The row asked for.
        row: usize,
        /// How many rows there are.
        rows: usize,
    },

    /// The share of rows to hold out is no share.
    #[error("a fraction of {fraction} rows cannot be held out; give a number between 0 and 1")]
    Fraction {
        /// The fraction given.
        fraction: f64,
    },

    /// One side of a split would have no rows.
    #[error(
        "splitting would leave {training} rows to train on and {held_out} held out; both need at \
         least one, so change where to split or bring more rows"
    )]
    EmptySide {
        /// Rows on the first side.
        training: usize,
        /// Rows on the second side.
        held_out: usize,
    },

    /// The table does not fit in this machine's memory.
    #[error(
        "{origin}: a table of {rows} rows by {width} columns does not fit in memory; read fewer rows \
         or columns"
    )]
    TooLarge {
        /// What was being read.
        origin: Origin,
        /// Rows of the table.
        rows: usize,
        /// Columns of the table, those made from categories included.
        width: usize,
    },

    /// A standardizer was fitted on rows of another width.
    #[error(
        "the standardizer was fitted on {standardizer} columns, but the dataset has {dataset}; fit \
         it on rows of the same width"
    )]
    StandardizerWidth {
        /// Columns of the standardizer.
        standardizer: usize,
        /// Columns of the dataset's features.
        dataset: usize,
    },

    /// Means and deviations do not pair up.
    #[error("there are {means} means but {deviations} deviations; each column needs one of both")]
    StandardizerPairs {
        /// How many means were given.
        means: usize,
        /// How many deviations were given.
        deviations: usize,
    },

    /// A column cannot be standardized with these numbers.
    #[error(
        "column {column} has mean {mean} and deviation {deviation}; the mean must be finite, the \
         deviation finite and above 0"
    )]
    StandardizerColumn {
        /// The column, from 0.
        column: usize,
        /// Its mean.
        mean: f64,
        /// Its deviation.
        deviation: f64,
    },

    /// The data is gzipped and this build cannot unpack it.
    #[error(
        "{origin}: is gzipped; build wgrad with its feature `gzip`, or unpack it first (gunzip)"
    )]
    GzipFeature {
        /// What is gzipped.
        origin: Origin,
    },

    /// The first bytes are not those of an IDX file.
    #[error(
        "{origin}: is no IDX file: it starts with the bytes {start:02x?}, where two zeros, an \
         element type and a number of dimensions should be; give an IDX file"
    )]
    NotIdx {
        /// What was being read.
        origin: Origin,
        /// Its first four bytes.
        start: [u8; 4],
    },

    /// An IDX file of elements that are not bytes.
    #[error(
        "{origin}: holds elements of type {element} (0x{:02x} at byte 2), but only unsigned bytes \
         (0x08) can be read; convert the file", element.code()
    )]
    IdxElementType {
        /// What was being read.
        origin: Origin,
        /// The element type that its header names.
        element: IdxElement,
    },

    /// An IDX file that ends too early.
    #[error(
        "{origin}: ends at byte {found}, but its header promises {expected} bytes; it was cut off, \
         or its header is wrong: get it again"
    )]
    IdxTruncated {
        /// What was being read.
        origin: Origin,
        /// How long it should be, as far as its header could be read.
        expected: u64,
        /// How long it is.
        found: u64,
    },

    /// An IDX file that goes on after its last element.
    #[error(
        "{origin}: goes on after byte {expected}, where by its header it should end; it is damaged \
         or several files in one: get it again"
    )]
    IdxTrailing {
        /// What was being read.
        origin: Origin,
        /// How long it should be.
        expected: u64,
    },

    /// An IDX header that no array can have.
    #[error(
        "{origin}: its header names the dimensions {dims:?}, which no array in memory has; it is \
         damaged: get it again"
    )]
    IdxDimensions {
        /// What was being read.
        origin: Origin,
        /// The dimensions named.
        dims: Vec<usize>,
    },

    /// An array that cannot be put in an IDX file.
    #[error(
        "{length} bytes do not make an IDX array of dimensions {dims:?}; give 1 to 255 dimensions, \
         each below 2^32, whose product is the number of bytes"
    )]
    IdxArrayShape {
        /// The dimensions given.
        dims: Vec<usize>,
        /// How many bytes were given.
        length: usize,
    },

    /// An IDX file with another number of dimensions than images or labels have.
    #[error(
        "{origin}: has {} dimensions ({dims:?}) where {expected} are needed: images have 3 (images, \
         rows, columns), labels have 1; perhaps the two files were swapped", dims.len()
    )]
    IdxRank {
        /// What was being read.
        origin: Origin,
        /// Its dimensions.
        dims: Vec<usize>,
        /// How many there should be.
        expected: usize,
    },

    /// Images and labels do not pair up.
    #[error(
        "{images}: holds {image_count} images, but {labels} holds {label_count} labels; take the \
         two from the same set"
    )]
    IdxCounts {
        /// What the images were read from.
        images: Origin,
        /// What the labels were read from.
        labels: Origin,
        /// How many images there are.
        image_count: usize,
        /// How many labels there are.
        label_count: usize,
    },

    /// The two halves of a set have images of different sizes.
    #[error(
        "{}: the images to train on have {} rows by {} columns, those to test on {} by {}; take \
         them from the same set",
        folder.display(), train[0], train[1], test[0], test[1]
    )]
    ImageSizes {
        /// The folder of the set.
        folder: PathBuf,
        /// Rows and columns of the images to train on.
        train: [usize; 2],
        /// Rows and columns of the images to test on.
        test: [usize; 2],
    },

    /// Pixels cannot be scaled by this number.
    #[error(
        "pixels cannot be divided by {max_value}; give the pixel value that should become 1, for \
         example 255 (a number from 1 up)"
    )]
    MaxValue {
        /// The number given.
        max_value: f32,
    },

    /// A folder lacks some of the files of a set.
    #[error("{}: has none of {}; put the missing files there", folder.display(), list(looked_for))]
    MissingFiles {
        /// The folder looked in.
        folder: PathBuf,
        /// Every name under which a missing file was looked for.
        looked_for: Vec<String>,
    },

    /// More bytes than [`DataOptions`](super::DataOptions) allow.
    #[error(
        "{origin}: has more than {most} bytes once it is unpacked; raise \
         `DataOptions::max_unpacked_bytes` if it is meant to be so large"
    )]
    TooManyBytes {
        /// What was being read.
        origin: Origin,
        /// How many bytes are allowed.
        most: u64,
    },

    /// A CSV file is wrong.
    #[error(transparent)]
    Csv(#[from] CsvError),

    /// A table of text does not become what it should.
    #[error(transparent)]
    Table(#[from] TableError),

    /// A source of rows in blocks is wrong.
    #[error(transparent)]
    Source(#[from] SourceError),
}
