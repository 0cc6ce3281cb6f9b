//! Tables in CSV files, as regression datasets.

mod column;
mod lines;

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use column::Column;
use lines::Rows;

use super::dataset::Dataset;
use super::error::DataError;
use super::origin::{Origin, excerpt};
use super::source;

/// How to read a CSV file.
///
/// ```
/// use wgrad::data::{CsvOptions, Missing};
/// let options = CsvOptions { missing: Missing::DropRow, ..CsvOptions::default() };
/// assert_eq!(options.delimiter, b',');
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CsvOptions {
    /// The name of the column to predict; `None` for the last.
    pub target: Option<String>,
    /// The byte between fields, `b','` by default.
    pub delimiter: u8,
    /// What to do with rows that lack a value, by default an error.
    pub missing: Missing,
}

impl Default for CsvOptions {
    fn default() -> Self {
        Self { target: None, delimiter: b',', missing: Missing::default() }
    }
}

/// What to do with a row in which a value is missing, written as nothing, `NA`, `NaN` or `?`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Missing {
    /// Refuse the file.
    #[default]
    Error,
    /// Leave the row out, and count it in [`CsvTable::dropped_rows`].
    DropRow,
}

/// A table read from a CSV file.
#[derive(Debug, Clone, PartialEq)]
pub struct CsvTable {
    /// The rows, `[rows, feature_names.len()]`, with the target as the one value to predict.
    pub dataset: Dataset,
    /// The name of each feature: a column's own, or `column=category` for a category.
    pub feature_names: Vec<String>,
    /// The name of the target's column.
    pub target_name: String,
    /// How many rows were left out because a value was missing.
    pub dropped_rows: usize,
}

/// Reads a CSV text with a header line, gzipped or not, up to the end of `reader`.
///
/// The target column must hold numbers. Any other column whose fields are all numbers becomes one
/// feature; one with text in it becomes a feature per category (1 where the row is of the category,
/// else 0), in alphabetical order, and may have at most 64 of them. White space around fields and
/// blank lines do not count, and neither does a byte-order mark.
///
/// # Errors
/// If reading fails; the data is gzipped and the feature `gzip` is off; the delimiter is a quote, a
/// line ending or not ASCII; the first line holds numbers only or names a column twice; the target
/// is no column, or the only one; a line has another number of fields than the header; a field is
/// not UTF-8; a value is missing ([`Missing`]); a target is no number; a number is NaN, infinite or
/// too large for `f32`; a column has too many categories; or no row is left.
pub fn read_csv(reader: impl Read, options: &CsvOptions) -> Result<CsvTable, DataError> {
    read_from(reader, options, &Origin::Memory)
}

/// Reads a CSV file, gzipped or not; see [`read_csv`].
///
/// # Errors
/// As [`read_csv`], and if the file cannot be opened.
pub fn read_csv_file(path: impl AsRef<Path>, options: &CsvOptions) -> Result<CsvTable, DataError> {
    let (file, origin) = source::open(path.as_ref())?;
    read_from(file, options, &origin)
}

fn read_from(
    reader: impl Read,
    options: &CsvOptions,
    origin: &Origin,
) -> Result<CsvTable, DataError> {
    let delimiter = options.delimiter;
    if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
        return Err(DataError::CsvDelimiter { delimiter });
    }
    let mut rows = Rows::new(source::unpacked(reader, origin)?, delimiter, origin)?;
    let mut names = header(&mut rows, origin)?;
    let target = target_column(&names, options.target.as_deref(), origin)?;
    let target_name = names.remove(target);
    let mut columns: Vec<Column> = names.iter().map(|name| Column::new(name)).collect();
    let mut targets = Vec::new();
    let mut dropped_rows = 0;

    while let Some(row) = rows.next()? {
        let (line, mut fields) = (row.line, row.fields);
        let (expected, found) = (columns.len() + 1, fields.len());
        if found != expected {
            return Err(DataError::CsvRagged { origin: origin.clone(), line, expected, found });
        }
        let target_text = fields.remove(target);
        let with_names = || names.iter().zip(&fields).chain([(&target_name, &target_text)]);
        if let Some((name, value)) = with_names().find(|(_, text)| is_missing(text)) {
            match options.missing {
                Missing::DropRow => dropped_rows += 1,
                Missing::Error => {
                    return Err(DataError::CsvMissing {
                        origin: origin.clone(),
                        line,
                        column: excerpt(name),
                        value: (*value).to_owned(),
                    });
                }
            }
            continue;
        }
        targets.push(target_value(target_text, line, &target_name, origin)?);
        for (column, text) in columns.iter_mut().zip(fields) {
            column.push(text, line);
        }
    }

    let count = targets.len();
    if count == 0 {
        let origin = origin.clone();
        return Err(match dropped_rows {
            0 => DataError::Empty { origin },
            dropped => DataError::CsvAllDropped { origin, dropped },
        });
    }
    let (features, feature_names) = assemble(columns, count, origin)?;
    let dataset = Dataset::regression(features, feature_names.len(), targets, 1)?;
    Ok(CsvTable { dataset, feature_names, target_name, dropped_rows })
}

/// The names of the columns.
fn header(rows: &mut Rows<impl Read>, origin: &Origin) -> Result<Vec<String>, DataError> {
    let Some(row) = rows.next()? else {
        return Err(DataError::Empty { origin: origin.clone() });
    };
    let numeric = row.fields.iter().all(|name| name.parse::<f32>().is_ok());
    if let Some(first) = row.fields.first().filter(|_| numeric) {
        // Taken for a header, a first row of data would be lost without a word.
        let (line, value) = (row.line, excerpt(first));
        return Err(DataError::CsvHeader { origin: origin.clone(), line, value });
    }
    let mut seen = HashMap::new();
    for (second, &name) in row.fields.iter().enumerate() {
        if let Some(first) = seen.insert(name, second) {
            let (origin, name) = (origin.clone(), excerpt(name));
            return Err(DataError::CsvDuplicateColumn { origin, name, first, second });
        }
    }
    Ok(row.fields.into_iter().map(str::to_owned).collect())
}

/// The position of the target among the columns.
fn target_column(
    names: &[String],
    target: Option<&str>,
    origin: &Origin,
) -> Result<usize, DataError> {
    let position = match target {
        Some(target) => names.iter().position(|name| name == target),
        None => names.len().checked_sub(1),
    };
    match (position, names) {
        (None, _) => Err(DataError::CsvUnknownTarget {
            origin: origin.clone(),
            target: target.unwrap_or_default().to_owned(),
            columns: names.to_vec(),
        }),
        (Some(_), [only]) => {
            Err(DataError::CsvNoFeatures { origin: origin.clone(), column: excerpt(only) })
        }
        (Some(position), _) => Ok(position),
    }
}

fn target_value(text: &str, line: u64, name: &str, origin: &Origin) -> Result<f32, DataError> {
    let (column, value) = (|| excerpt(name), || excerpt(text));
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        Ok(_) => Err(DataError::CsvNotFinite {
            origin: origin.clone(),
            line,
            column: column(),
            value: value(),
        }),
        Err(_) => Err(DataError::CsvTarget {
            origin: origin.clone(),
            line,
            column: column(),
            value: value(),
        }),
    }
}

fn is_missing(text: &str) -> bool {
    matches!(text, "" | "NA" | "NaN" | "?")
}

/// The features of all columns, `[rows, names]`, and their names.
fn assemble(
    columns: Vec<Column>,
    rows: usize,
    origin: &Origin,
) -> Result<(Vec<f32>, Vec<String>), DataError> {
    let columns =
        columns.into_iter().map(|column| column.finish(origin)).collect::<Result<Vec<_>, _>>()?;
    let width = columns.iter().map(|column| column.width()).sum();
    // Categories make the table wider than the file was, up to 64 times.
    let too_large = || DataError::TooLarge { origin: origin.clone(), rows, width };
    let length = rows.checked_mul(width).ok_or_else(too_large)?;
    let mut features = Vec::new();
    features.try_reserve_exact(length).map_err(|_| too_large())?;
    features.resize(length, 0.0);

    let mut names = Vec::with_capacity(width);
    for column in &columns {
        column.fill(&mut features, width, names.len());
        names.extend(column.names());
    }
    Ok((features, names))
}
