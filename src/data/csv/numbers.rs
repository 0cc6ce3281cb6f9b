//! A CSV file of numbers, some rows at a time.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use super::lines::{Marked, Row, Rows};
use super::number;
use super::options::{CsvOptions, Missing};
use super::select::{self, Selection};
use crate::data::bytes::{self, Bounded, Unpacked};
use crate::data::dataset::Names;
use crate::data::error::{CsvError, DataError};
use crate::data::options::DataOptions;
use crate::data::origin::{Origin, excerpt};

/// The rows of a file, each as its features and then its targets.
pub(in crate::data) struct NumberRows {
    rows: Rows<Marked<Bounded<Unpacked<BufReader<File>>>>>,
    columns: Columns,
    /// The first row, where no names stand in its place.
    first: Option<Vec<f32>>,
}

/// What is read of each row.
struct Columns {
    names: Vec<String>,
    selection: Selection,
    options: CsvOptions,
    origin: Origin,
}

impl NumberRows {
    /// Begins with the first row after the names. However long the file is, only what is asked for is held.
    ///
    /// # Errors
    /// As [`read_csv_file`](super::read_csv_file) for what stands before the rows.
    pub(in crate::data) fn open(path: &Path, options: &CsvOptions) -> Result<Self, DataError> {
        options.check_delimiter()?;
        let (file, origin) = bytes::open(path)?;
        let unbounded = DataOptions { max_unpacked_bytes: u64::MAX, ..options.bounds };
        let text = bytes::unpacked(file, &unbounded, &origin)?;
        let mut rows = Rows::new(text, options.delimiter, &options.bounds, &origin)?;
        let Some(first) = rows.next()? else { return Err(DataError::Empty { origin }) };
        let names = select::names(&first.fields, first.line, options, &origin)?;
        let selection = select::select(&names, options, &origin)?;
        let columns = Columns { names, selection, options: options.clone(), origin };
        let first = match options.header {
            true => None,
            false => {
                let mut numbers = Vec::new();
                columns.push(&first, &mut numbers)?.then_some(numbers)
            }
        };
        Ok(Self { rows, columns, first })
    }

    /// Numbers of a row, and how many of them are targets.
    pub(in crate::data) fn width(&self) -> (usize, usize) {
        let Selection { features, targets } = &self.columns.selection;
        (features.len() + targets.len(), targets.len())
    }

    /// What its columns are called.
    pub(in crate::data) fn names(&self) -> Names {
        let Columns { names, selection, .. } = &self.columns;
        let of =
            |columns: &[usize]| columns.iter().filter_map(|&at| names.get(at).cloned()).collect();
        Names {
            features: of(&selection.features),
            targets: of(&selection.targets),
            classes: Vec::new(),
        }
    }

    /// Up to `most` rows more; none at the end.
    ///
    /// # Errors
    /// As [`read_csv_file`](super::read_csv_file), and if a column holds a word.
    pub(in crate::data) fn next(&mut self, most: usize) -> Result<Option<Vec<f32>>, DataError> {
        let mut numbers = self.first.take().unwrap_or_default();
        let enough = most.max(1) * self.width().0;
        while numbers.len() < enough {
            let Some(row) = self.rows.next()? else { break };
            self.columns.push(&row, &mut numbers)?;
        }
        Ok(if numbers.is_empty() { None } else { Some(numbers) })
    }
}

impl Columns {
    /// Adds a row, or says that it is left out.
    fn push(&self, row: &Row<'_>, numbers: &mut Vec<f32>) -> Result<bool, DataError> {
        let Self { names, selection, options, origin } = self;
        let (line, expected, found) = (row.line, names.len(), row.fields.len());
        if found != expected {
            let origin = origin.clone();
            return Err(CsvError::Ragged { origin, line, expected, found }.into());
        }
        let field = |at: usize| row.fields.get(at).copied().unwrap_or_default();
        let name = |at: usize| names.get(at).map(|name| excerpt(name)).unwrap_or_default();
        let used = || selection.features.iter().chain(&selection.targets).copied();
        if let Some(at) = used().find(|&at| options.is_missing(field(at))) {
            if options.missing == Missing::DropRow {
                return Ok(false);
            }
            let (origin, column, value) = (origin.clone(), name(at), field(at).to_owned());
            return Err(CsvError::Missing { origin, line, column, value }.into());
        }
        for at in used() {
            let column = || name(at);
            numbers.push(number(
                field(at),
                origin,
                line,
                column,
                |origin, line, column, value| CsvError::Word { origin, line, column, value },
            )?);
        }
        Ok(true)
    }
}
