//! Tables of numbers to learn from: reading them, checking them, splitting and scaling them.
//!
//! Everything comes down to a [`Dataset`]: rows of features, each with its [`Targets`]. It is made
//! from slices, from IDX files such as MNIST's ([`load_idx_folder`]), from CSV files (`read_csv`,
//! with the feature `csv`), or comes with the crate (`digits`, with the feature `digits`). What has
//! become a dataset has been checked, so training need not check it again. Data that does not fit in memory is
//! a [`Source`], read in blocks. A [`Table`] of text, with
//! words, dates and missing values in it, an [`Encoder`] makes a dataset of.
//!
//! ```
//! use wgrad::data::{Dataset, Standardizer};
//! # fn main() -> Result<(), wgrad::data::DataError> {
//! let celsius: Vec<f32> = (0..50).map(|degrees| degrees as f32).collect();
//! let fahrenheit = celsius.iter().map(|degrees| degrees * 1.8 + 32.0).collect();
//! let (train, held_out) = Dataset::regression(celsius, 1, fahrenheit, 1)?.split(0.2, 7)?;
//! assert_eq!((train.rows(), held_out.rows()), (40, 10));
//!
//! let standardizer = Standardizer::fit(train.features(), train.width())?;
//! let train = train.standardized(&standardizer)?;
//! let held_out = held_out.standardized(&standardizer)?;
//! # assert_eq!((train.rows(), held_out.rows()), (40, 10));
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! - `csv`: reading CSV files.
//! - `files`: encoders are serialised by `serde`.
//! - `gzip`: unpacking gzipped files; they are known by their first bytes, not by name.
//! - `digits`: 1797 handwritten digits built into the crate (115 KiB).

mod bytes;
mod column_use;
#[cfg(feature = "csv")]
mod csv;
mod dataset;
#[cfg(feature = "digits")]
mod digits;
mod encoder;
mod error;
mod form;
#[cfg(feature = "gzip")]
mod gzip;
mod idx;
mod idx_element;
mod idx_set;
mod moments;
mod number;
mod options;
mod origin;
mod part;
mod rows;
mod shuffle;
mod source;
mod standardize;
mod table;

#[cfg(feature = "csv")]
pub use self::csv::{
    ColumnKind, CsvColumn, CsvOptions, CsvTable, FeatureColumn, Missing, read_csv, read_csv_file,
};
#[cfg(feature = "digits")]
pub use self::digits::digits;
pub use dataset::{Dataset, Names, Targets};
#[cfg(feature = "onnx")]
pub(crate) use encoder::cycles_of_dates;
pub use encoder::{
    ColumnEncoding, ColumnReport, ColumnType, Encoded, Encoder, EncoderOptions, Encoding,
    EncodingReport, LeftOut, LeftOutReason, MissingValues, Scaling, TargetEncoding, TargetType,
    UnknownCategories, missing_words,
};
pub use error::{CsvError, DataError, SourceError, TableError};
pub(crate) use form::{Form, TargetForm};
pub use idx::{IdxArray, read_idx, read_idx_file, read_idx_file_with, read_idx_with, write_idx};
pub use idx_element::IdxElement;
pub use idx_set::{IdxSet, load_idx_folder, load_idx_pair};
pub(crate) use moments::Moments;
pub use options::DataOptions;
pub use origin::Origin;
pub use part::Part;
pub(crate) use rows::checked_rows;
pub use shuffle::{epoch_order, permutation};
pub use source::{
    ArrayFile, AsData, Data, FeatureBatches, NpyWriter, OwnedData, ReadRows, RowReader, Source,
};
pub(crate) use source::{EpochOrder, Pass, Wanted, Window, Windows};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use source::{Reading, Share, Tally};
pub use standardize::Standardizer;
pub use table::{Place, Table};
#[cfg(feature = "csv")]
pub use table::{TableOptions, TableReader, read_table, read_table_file};
