//! What makes numbers of a table's columns: fitted once, saved, and used again for every other table.

#[cfg(feature = "files")]
mod check;
mod date;
mod encode;
mod encoding;
mod fit;
mod options;
mod profile;
mod report;
mod targets;

use std::ops::Range;

pub use encode::Encoded;
#[cfg(feature = "onnx")]
pub(crate) use encoding::cycles as cycles_of_dates;
pub use encoding::{ColumnEncoding, Encoding, Scaling};
pub use options::{
    ColumnType, EncoderOptions, MissingValues, TargetType, UnknownCategories, missing_words,
};
pub use report::{ColumnReport, EncodingReport};
pub use targets::TargetEncoding;

use super::dataset::Names;
use super::error::{DataError, TableError};

/// Turns the columns of a [`Table`](super::Table) into features and targets, always in the same way:
/// what [`Encoder::fit`] sees in one table (means, categories, names of classes) is what
/// [`Encoder::encode`] does with every other. Fit it on the rows to train on alone, and encode those
/// that are held out with it.
///
/// Columns are found by their names, in whatever order they come. A table that lacks one is refused, so
/// that rows never have another width than those that a model was trained on.
///
/// ```
/// use wgrad::data::{Encoder, EncoderOptions, Table};
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let rows = [["3800", "female", "Gentoo"], ["", "male", "Adelie"], ["4200", "male", "Gentoo"]];
/// let table = Table::new(["mass", "sex", "species"], rows)?;
/// let encoder = Encoder::fit(&table, &EncoderOptions::default())?;
/// assert_eq!(encoder.feature_names(), ["mass", "mass (missing)", "sex=female", "sex=male"]);
/// let (data, _) = encoder.dataset(&table)?;
/// assert_eq!(data.row(1), Some([0.0, 1.0, 0.0, 1.0].as_slice()));
///
/// // Tomorrow's rows: other columns, in another order, without a target.
/// let rows = Table::new(["sex", "mass"], [["female", "4000"]])?;
/// let encoded = encoder.encode(&rows)?;
/// assert_eq!(encoded.features, [0.0, 0.0, 1.0, 0.0]);
/// assert_eq!(encoder.class_name(1), Some("Gentoo"));
/// # Ok(())
/// # }
/// ```
///
/// With the feature `files` it is serialised by `serde`; what comes back has been checked.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(try_from = "check::Unchecked"))]
pub struct Encoder {
    columns: Vec<ColumnEncoding>,
    targets: TargetEncoding,
    left_out: Vec<LeftOut>,
    missing_words: Vec<String>,
    unknown: UnknownCategories,
}

/// A column that the encoder was shown and does not use.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct LeftOut {
    /// Its name.
    pub name: String,
    /// Why.
    pub reason: LeftOutReason,
}

/// Why a column is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum LeftOutReason {
    /// The options say so.
    Excluded,
    /// It holds this value in all rows (an empty one where all are missing), which tells no two apart.
    Constant(String),
}

impl Encoder {
    /// The columns of features, in the order of the features.
    pub fn columns(&self) -> &[ColumnEncoding] {
        &self.columns
    }

    /// The target columns.
    pub fn targets(&self) -> &TargetEncoding {
        &self.targets
    }

    /// Columns that were there when it was fitted and are not used.
    pub fn left_out(&self) -> &[LeftOut] {
        &self.left_out
    }

    /// Words that stand for missing values, in upper or lower case.
    pub fn missing_words(&self) -> &[String] {
        &self.missing_words
    }

    /// Whether a row with a category that it was not fitted on is an error.
    #[cfg(feature = "onnx")]
    pub(crate) fn refuses_unknown_categories(&self) -> bool {
        self.unknown == UnknownCategories::Refuse
    }

    /// How many features a row has, at least 1.
    pub fn width(&self) -> usize {
        self.columns.iter().map(|column| column.encoding.width()).sum()
    }

    /// The names of the features: a column's own for its numbers, `column=category` for a category,
    /// `column (missing)`, `column (other)`, and `column (days)` and others for a date.
    pub fn feature_names(&self) -> Vec<String> {
        self.columns.iter().flat_map(|column| column.encoding.names(&column.name)).collect()
    }

    /// The columns with the features that each became, in order and without gaps.
    pub fn column_features(&self) -> impl Iterator<Item = (&ColumnEncoding, Range<usize>)> {
        self.columns.iter().scan(0usize, |first, column| {
            let features = *first..first.saturating_add(column.encoding.width());
            *first = features.end;
            Some((column, features))
        })
    }

    /// The name of the class of a label; `None` if the targets are numbers or there is no such class.
    pub fn class_name(&self, label: u32) -> Option<&str> {
        match &self.targets {
            TargetEncoding::Classes { classes, .. } => {
                classes.get(usize::try_from(label).ok()?).map(String::as_str)
            }
            TargetEncoding::Values { .. } => None,
        }
    }

    /// The names of the classes, in the order of their labels; none if the targets are numbers.
    pub fn class_names(&self) -> &[String] {
        match &self.targets {
            TargetEncoding::Classes { classes, .. } => classes,
            TargetEncoding::Values { .. } => &[],
        }
    }

    /// Takes a model's predictions of numbers, `[rows, targets]`, back to the unit of the table, in
    /// place. Of classes there is nothing to take back.
    ///
    /// # Errors
    /// If they do not fill whole rows.
    pub fn decode_values(&self, predictions: &mut [f32]) -> Result<(), DataError> {
        let TargetEncoding::Values { scalings, .. } = &self.targets else { return Ok(()) };
        let (length, width) = (predictions.len(), scalings.len());
        if !length.is_multiple_of(width.max(1)) {
            return Err(TableError::PredictionLength { length, width }.into());
        }
        for row in predictions.chunks_exact_mut(width.max(1)) {
            for (number, scaling) in row.iter_mut().zip(scalings) {
                *number = scaling.invert(*number);
            }
        }
        Ok(())
    }

    /// The names that a data set of this encoder has.
    fn names(&self) -> Names {
        Names {
            features: self.feature_names(),
            targets: self.targets.columns().to_vec(),
            classes: self.class_names().to_vec(),
        }
    }
}
