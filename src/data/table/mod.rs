//! A table of text, as it stands in a file: names of columns, and rows of fields.

#[cfg(feature = "csv")]
mod guess;
#[cfg(feature = "csv")]
mod reader;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

#[cfg(feature = "csv")]
pub use self::reader::{TableOptions, TableReader, read_table, read_table_file};

use super::error::{DataError, TableError};
use super::origin::{Origin, excerpt};
use super::rows::check_count;

/// A table of text: named columns, and rows of fields that nobody has interpreted yet. An
/// [`Encoder`](super::Encoder) makes numbers of it.
///
/// ```
/// use wgrad::data::Table;
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let table = Table::new(["city", "rent"], [["Bonn", "900"], ["Köln", "1100"]])?;
/// assert_eq!((table.rows(), table.column("rent")), (2, Some(1)));
/// assert_eq!(table.field(1, 0), Some("Köln"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    names: Arc<[String]>,
    /// The fields one after another, row by row, and where each of them ends. One allocation for
    /// all of them: a table of a million rows has many millions of fields.
    text: String,
    ends: Vec<usize>,
    /// The line of the file that each row starts on; none for a table that was made in memory.
    lines: Vec<u64>,
    origin: Origin,
}

/// Where a row stands, as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// A line of a file, from 1.
    Line(u64),
    /// A row of a table in memory, from 0.
    Row(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Row(row) => write!(f, "row {row} (from 0)"),
        }
    }
}

impl Table {
    /// A table of these columns and rows. White space around a field does not count.
    ///
    /// # Errors
    /// If there is no column, two have the same name, a row has more or fewer fields than there are
    /// columns, or there are more rows than `u32` numbers. No rows are fine.
    pub fn new<N, R, F>(
        names: impl IntoIterator<Item = N>,
        rows: impl IntoIterator<Item = R>,
    ) -> Result<Self, DataError>
    where
        N: Into<String>,
        R: IntoIterator<Item = F>,
        F: AsRef<str>,
    {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let mut table = Self::empty(names.into(), Origin::Memory)?;
        for (row, fields) in rows.into_iter().enumerate() {
            let before = table.ends.len();
            fields.into_iter().for_each(|field| table.push_field(field.as_ref().trim()));
            table.check_row(table.ends.len().saturating_sub(before), Place::Row(row))?;
        }
        if table.rows() > 0 {
            check_count(table.rows())?;
        }
        Ok(table)
    }

    /// A table without rows.
    pub(super) fn empty(names: Arc<[String]>, origin: Origin) -> Result<Self, DataError> {
        if names.is_empty() {
            return Err(TableError::NoColumns { origin }.into());
        }
        let mut seen = HashMap::new();
        for (second, name) in names.iter().enumerate() {
            if let Some(first) = seen.insert(name, second) {
                let name = excerpt(name);
                return Err(TableError::DuplicateColumn { origin, name, first, second }.into());
            }
        }
        Ok(Self { names, text: String::new(), ends: Vec::new(), lines: Vec::new(), origin })
    }

    fn push_field(&mut self, field: &str) {
        self.text.push_str(field);
        self.ends.push(self.text.len());
    }

    fn check_row(&self, found: usize, place: Place) -> Result<(), DataError> {
        let expected = self.names.len();
        if found == expected {
            return Ok(());
        }
        Err(TableError::Ragged { origin: self.origin.clone(), place, expected, found }.into())
    }

    /// How many rows there are.
    pub fn rows(&self) -> usize {
        self.ends.len() / self.names.len().max(1)
    }

    /// The names of the columns, at least one.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The position of the column of this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    /// A field, if there is such a row and such a column; both are counted from 0.
    pub fn field(&self, row: usize, column: usize) -> Option<&str> {
        let width = self.names.len();
        let at = row.checked_mul(width)?.checked_add(column)?;
        if column >= width {
            return None;
        }
        let start = match at.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        self.text.get(start..*self.ends.get(at)?)
    }

    /// The fields of a column, from the first row to the last; none if there is no such column.
    pub fn fields(&self, column: usize) -> impl Iterator<Item = &str> {
        (0..self.rows()).filter_map(move |row| self.field(row, column))
    }

    /// Where a row stands: its line in the file it was read from.
    pub fn place(&self, row: usize) -> Place {
        self.lines.get(row).map_or(Place::Row(row), |&line| Place::Line(line))
    }

    /// Where the table comes from.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The rows of the given numbers, in the given order; a row may be taken several times.
    ///
    /// # Errors
    /// If one is asked for that does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        let mut table = Self::empty(Arc::clone(&self.names), self.origin.clone())?;
        let width = self.names.len();
        table.ends.reserve(rows.len().saturating_mul(width));
        for &row in rows {
            if row >= self.rows() {
                return Err(DataError::RowOutOfRange { row, rows: self.rows() });
            }
            (0..width)
                .filter_map(|column| self.field(row, column))
                .for_each(|field| table.push_field(field));
            table.lines.extend(self.lines.get(row));
        }
        Ok(table)
    }

    /// This table with the columns of `other` to the right of its own, row by row.
    ///
    /// # Errors
    /// If the two have different numbers of rows, or both have a column of one name.
    pub fn join(&self, other: &Table) -> Result<Self, DataError> {
        if self.rows() != other.rows() {
            return Err(TableError::JoinRows {
                left: self.origin.clone(),
                right: other.origin.clone(),
                left_rows: self.rows(),
                right_rows: other.rows(),
            }
            .into());
        }
        let names: Vec<String> = self.names.iter().chain(other.names.iter()).cloned().collect();
        let mut table = Self::empty(names.into(), self.origin.clone())?;
        for row in 0..self.rows() {
            for part in [self, other] {
                (0..part.names.len())
                    .filter_map(|column| part.field(row, column))
                    .for_each(|field| table.push_field(field));
            }
        }
        table.lines.clone_from(&self.lines);
        Ok(table)
    }

    /// The same rows under other names of columns.
    ///
    /// # Errors
    /// If there are not as many names as columns, or two are the same.
    pub fn renamed<N: Into<String>>(
        self,
        names: impl IntoIterator<Item = N>,
    ) -> Result<Self, DataError> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let (expected, found) = (self.names.len(), names.len());
        if expected != found {
            let (origin, place) = (self.origin, Place::Row(0));
            return Err(TableError::Ragged { origin, place, expected, found }.into());
        }
        let Self { text, ends, lines, origin, .. } = self;
        Ok(Self { text, ends, lines, ..Self::empty(names.into(), origin)? })
    }
}
