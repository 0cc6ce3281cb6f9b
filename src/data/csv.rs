//! Tables in CSV files, as regression datasets.

mod column;
pub(super) mod lines;
pub(super) mod numbers;
mod options;
mod select;

use std::io::Read;
use std::path::Path;

pub use column::{ColumnKind, FeatureColumn};
pub use options::{CsvColumn, CsvOptions, Missing};

use column::{Column, Feature};
use lines::{Row, Rows};
use select::Selection;

use super::bytes;
use super::dataset::{Dataset, Names};
use super::error::{CsvError, DataError};
use super::number::odd_number;
use super::origin::{Origin, excerpt};

/// A table read from a CSV file.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvTable {
    /// The rows, `[rows, feature_names.len()]`, with `[rows, target_names.len()]` values to predict.
    pub dataset: Dataset,
    /// The name of each feature: a column's own, or `column=category` for a category.
    pub feature_names: Vec<String>,
    /// What each column of features became, in the order of the features: look here whether one that
    /// should hold numbers was taken for categories.
    pub feature_columns: Vec<FeatureColumn>,
    /// The name of each target's column.
    pub target_names: Vec<String>,
    /// How many rows were left out because a value was missing.
    pub dropped_rows: usize,
}

/// Reads a CSV text, gzipped or not, up to the end of `reader`.
///
/// Target columns must hold numbers. Any other column whose fields are all numbers becomes one
/// feature; one with words in it becomes a feature per category (1 where the row is of the category,
/// else 0), in alphabetical order, and may have at most 64 of them;
/// [`CsvTable::feature_columns`] says which became what. White space around fields and blank lines do
/// not count, and neither does a byte-order mark. What columns that are not read hold does not matter.
///
/// # Errors
/// If reading fails; there is more than [`CsvOptions::bounds`] allow; the data is gzipped and the
/// feature `gzip` is off; the delimiter is a quote, a line ending or not ASCII; the first line holds
/// numbers only although it should name the columns, or names one twice; a column that `options` name
/// is not there, or is named for two uses; no column is left for features or targets; a line has
/// another number of fields than the first; a field is not UTF-8; a value is missing ([`Missing`]); a
/// target is no number; a number is NaN, infinite or too large for `f32`; a column of numbers holds one
/// that is a number to people only (`1,234`, `12 %`); a column has too many categories; or no row is
/// left.
pub fn read_csv(reader: impl Read, options: &CsvOptions) -> Result<CsvTable, DataError> {
    read_from(reader, options, &Origin::Memory)
}

/// Reads a CSV file, gzipped or not; see [`read_csv`].
///
/// # Errors
/// As [`read_csv`], and if the file cannot be opened.
pub fn read_csv_file(path: impl AsRef<Path>, options: &CsvOptions) -> Result<CsvTable, DataError> {
    let (file, origin) = bytes::open(path.as_ref())?;
    read_from(file, options, &origin)
}

fn read_from(
    reader: impl Read,
    options: &CsvOptions,
    origin: &Origin,
) -> Result<CsvTable, DataError> {
    options.check_delimiter()?;
    let bounds = &options.bounds;
    let text = bytes::unpacked(reader, bounds, origin)?;
    let mut rows = Rows::new(text, options.delimiter, bounds, origin)?;
    let Some(first) = rows.next()? else {
        return Err(DataError::Empty { origin: origin.clone() });
    };
    let names = select::names(&first.fields, first.line, options, origin)?;
    let selection = select::select(&names, options, origin)?;
    let mut table = Table::new(&names, &selection, options, origin);
    if !options.header {
        table.push(&first)?;
    }
    while let Some(row) = rows.next()? {
        table.push(&row)?;
    }
    table.finish()
}

/// A table while it is read.
struct Table<'a> {
    names: &'a [String],
    selection: &'a Selection,
    options: &'a CsvOptions,
    origin: &'a Origin,
    /// One per column of features.
    columns: Vec<Column>,
    /// `[rows, targets]`.
    targets: Vec<f32>,
    rows: usize,
    dropped_rows: usize,
}

impl<'a> Table<'a> {
    fn new(
        names: &'a [String],
        selection: &'a Selection,
        options: &'a CsvOptions,
        origin: &'a Origin,
    ) -> Self {
        let column = |&at: &usize| Column::new(names.get(at).map_or("", String::as_str));
        let columns = selection.features.iter().map(column).collect();
        let (targets, rows, dropped_rows) = (Vec::new(), 0, 0);
        Self { names, selection, options, origin, columns, targets, rows, dropped_rows }
    }

    fn name(&self, at: usize) -> String {
        self.names.get(at).map(|name| excerpt(name)).unwrap_or_default()
    }

    /// Adds a row, or leaves it out.
    fn push(&mut self, row: &Row<'_>) -> Result<(), DataError> {
        let Selection { targets, features } = self.selection;
        let (line, expected, found) = (row.line, self.names.len(), row.fields.len());
        if found != expected {
            let origin = self.origin.clone();
            return Err(DataError::Csv(CsvError::Ragged { origin, line, expected, found }));
        }
        // Every selected column is one of the row's: they are as many as names.
        let field = |at: usize| row.fields.get(at).copied().unwrap_or_default();
        let mut used = features.iter().chain(targets).copied();
        if let Some(at) = used.find(|&at| self.options.is_missing(field(at))) {
            return match self.options.missing {
                Missing::DropRow => {
                    self.dropped_rows += 1;
                    Ok(())
                }
                Missing::Error => Err(DataError::Csv(CsvError::Missing {
                    origin: self.origin.clone(),
                    line,
                    column: self.name(at),
                    value: field(at).to_owned(),
                })),
            };
        }
        self.check_size(self.rows + 1, features.len() + targets.len())?;
        for &at in targets {
            self.targets.push(self.target_value(field(at), line, at)?);
        }
        for (column, &at) in self.columns.iter_mut().zip(features) {
            column.push(field(at), line);
        }
        self.rows += 1;
        Ok(())
    }

    fn target_value(&self, text: &str, line: u64, at: usize) -> Result<f32, DataError> {
        number(
            text,
            self.origin,
            line,
            || self.name(at),
            |origin, line, column, value| CsvError::Target { origin, line, column, value },
        )
    }

    fn check_size(&self, rows: usize, width: usize) -> Result<(), DataError> {
        let most = self.options.bounds.max_fields;
        if rows.checked_mul(width).is_some_and(|numbers| numbers <= most) {
            return Ok(());
        }
        Err(DataError::Csv(CsvError::TooLarge { origin: self.origin.clone(), rows, width, most }))
    }

    fn finish(mut self) -> Result<CsvTable, DataError> {
        let (origin, dropped_rows) = (self.origin.clone(), self.dropped_rows);
        if self.rows == 0 {
            return Err(match dropped_rows {
                0 => DataError::Empty { origin },
                dropped => DataError::Csv(CsvError::AllDropped { origin, dropped }),
            });
        }
        let columns = std::mem::take(&mut self.columns).into_iter();
        let columns =
            columns.map(|column| column.finish(&origin)).collect::<Result<Vec<_>, _>>()?;
        let width = columns.iter().map(|column| column.width()).sum();
        // Categories make the table wider than the file was, up to 64 times.
        self.check_size(self.rows, width)?;
        let (features, feature_names) = assemble(&columns, self.rows, width, &origin)?;
        let targets = std::mem::take(&mut self.targets);
        let target_width = self.selection.targets.len();
        let named = self.selection.targets.iter().filter_map(|&at| self.names.get(at));
        let target_names: Vec<String> = named.cloned().collect();
        let names = Names {
            features: feature_names.clone(),
            targets: target_names.clone(),
            classes: Vec::new(),
        };
        let dataset = Dataset::regression(features, width, targets, target_width)?;
        Ok(CsvTable {
            dataset: dataset.named(names)?,
            feature_names,
            feature_columns: columns.into_iter().map(Feature::describe).collect(),
            target_names,
            dropped_rows,
        })
    }
}

/// The finite number that a field holds. `word` is the error of one that holds no number to anybody.
fn number(
    text: &str,
    origin: &Origin,
    line: u64,
    column: impl FnOnce() -> String,
    word: impl FnOnce(Origin, u64, String, String) -> CsvError,
) -> Result<f32, DataError> {
    let error = match text.parse::<f32>() {
        Ok(number) if number.is_finite() => return Ok(number),
        parsed => {
            let (origin, column, value) = (origin.clone(), column(), excerpt(text));
            match (parsed, odd_number(text)) {
                (Ok(_), _) => CsvError::NotFinite { origin, line, column, value },
                (Err(_), Some(why)) => CsvError::OddNumber { origin, line, column, value, why },
                (Err(_), None) => word(origin, line, column, value),
            }
        }
    };
    Err(error.into())
}

/// The features of all columns, `[rows, width]`, and their names.
fn assemble(
    columns: &[Feature],
    rows: usize,
    width: usize,
    origin: &Origin,
) -> Result<(Vec<f32>, Vec<String>), DataError> {
    let too_large = || DataError::TooLarge { origin: origin.clone(), rows, width };
    let length = rows.checked_mul(width).ok_or_else(too_large)?;
    let mut features = Vec::new();
    features.try_reserve_exact(length).map_err(|_| too_large())?;
    features.resize(length, 0.0);

    let mut names = Vec::with_capacity(width);
    for column in columns {
        column.fill(&mut features, width, names.len());
        names.extend(column.names());
    }
    Ok((features, names))
}
