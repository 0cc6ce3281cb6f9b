//! Encoding rows with an encoder that was fitted.

use super::encoding::Source;
use super::fit::complete_rows;
use super::options::MissingValues;
use super::profile::Words;
use super::report::{ColumnReport, EncodingReport};
use super::targets::TargetEncoding;
use super::{Encoder, LeftOut};
use crate::data::dataset::{Dataset, Targets};
use crate::data::error::{DataError, TableError};
use crate::data::table::Table;

/// Rows of features, encoded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Encoded {
    /// The features, `[rows, width]`, row by row; all finite.
    pub features: Vec<f32>,
    /// The row of the table that each row of features is of. They are all of them in order, unless rows
    /// were left out that lack a value.
    pub rows: Vec<usize>,
    /// What was met besides plain values.
    pub report: EncodingReport,
}

impl Encoder {
    /// The features of a table's rows, whatever order its columns have, and whether it has targets or
    /// not. For a table that does not fit in memory, encode one block after another.
    ///
    /// # Errors
    /// If the table lacks columns that the encoder was fitted on (one that held a single value may be
    /// missing); a field is no number or no date where the column holds such, or is so far from them that it
    /// leaves the range of `f32`; a value is missing or a category unknown where that is refused; the table
    /// has no rows, or all were left out; or the features do not fit in memory.
    pub fn encode(&self, table: &Table) -> Result<Encoded, DataError> {
        let words = Words::new(&self.missing_words);
        let rows = self.rows(table, &words, false)?;
        self.encode_rows(table, rows, &words)
    }

    /// A data set of a table's rows, with features, targets and all names; rows without a target are left
    /// out, and counted.
    ///
    /// # Errors
    /// As [`Encoder::encode`]; and if the table lacks a target column, or a target is no number, or
    /// no class that the encoder knows; or the encoder was fitted without targets.
    pub fn dataset(&self, table: &Table) -> Result<(Dataset, EncodingReport), DataError> {
        if self.targets.outputs() == 0 {
            return Err(TableError::NoTargets.into());
        }
        let words = Words::new(&self.missing_words);
        let rows = self.rows(table, &words, true)?;
        let Encoded { features, rows, report } = self.encode_rows(table, rows, &words)?;
        let targets = self.sources(table, &words, self.targets.columns())?;
        let width = self.width();
        let data = match self.targets.encode(&targets, &rows)? {
            Targets::Values { data, width: target_width } => {
                Dataset::regression(features, width, data, target_width)?
            }
            Targets::Classes { labels, classes } => {
                Dataset::classification(features, width, labels, classes)?
            }
        };
        Ok((data.named(self.names())?, report))
    }

    /// The rows of a table that [`Encoder::dataset`] keeps: those that have a target, and lack no value whose
    /// row is to be dropped.
    ///
    /// # Errors
    /// If the table lacks columns; a value is missing where that is refused; or no row is left.
    pub fn complete_rows(&self, table: &Table) -> Result<Vec<usize>, DataError> {
        self.rows(table, &Words::new(&self.missing_words), true)
    }

    /// Where columns of these names stand in `table`.
    fn sources<'a>(
        &self,
        table: &'a Table,
        words: &'a Words,
        names: impl IntoIterator<Item = &'a String>,
    ) -> Result<Vec<Source<'a>>, DataError> {
        let mut missing = Vec::new();
        let mut sources = Vec::new();
        for name in names {
            match table.column(name) {
                Some(column) => sources.push(Source { table, column, name, words }),
                None => missing.push(name.clone()),
            }
        }
        if missing.is_empty() {
            return Ok(sources);
        }
        let (origin, columns) = (table.origin().clone(), table.names().to_vec());
        Err(TableError::LacksColumns { origin, missing, columns }.into())
    }

    /// The rows that are encoded, with targets or without.
    fn rows(&self, table: &Table, words: &Words, targets: bool) -> Result<Vec<usize>, DataError> {
        let features = self.columns.iter().map(|column| &column.name);
        let features = self.sources(table, words, features)?.into_iter();
        let mut needed: Vec<_> =
            features.zip(self.columns.iter().map(|column| column.missing)).collect();
        if targets {
            let targets = self.sources(table, words, self.targets.columns())?;
            needed.extend(targets.into_iter().map(|source| (source, MissingValues::DropRow)));
        }
        complete_rows(table, &needed)
    }

    fn encode_rows(
        &self,
        table: &Table,
        rows: Vec<usize>,
        words: &Words,
    ) -> Result<Encoded, DataError> {
        let width = self.width();
        let too_large = || {
            let (origin, rows) = (table.origin().clone(), rows.len());
            DataError::TooLarge { origin, rows, width }
        };
        let length = rows.len().checked_mul(width).ok_or_else(too_large)?;
        let mut features = Vec::new();
        features.try_reserve_exact(length).map_err(|_| too_large())?;
        features.resize(length, 0.0);
        let sources = self.sources(table, words, self.columns.iter().map(|column| &column.name))?;
        let mut columns = Vec::new();
        for (source, (column, range)) in sources.into_iter().zip(self.column_features()) {
            let mut report = ColumnReport { column: column.name.clone(), ..Default::default() };
            let out = (features.as_mut_slice(), width, range.start);
            column.encoding.fill(source, self.unknown, &rows, out, &mut report)?;
            if report.missing > 0 || report.unknown > 0 || report.clamped > 0 {
                columns.push(report);
            }
        }
        let dropped = table.rows().saturating_sub(rows.len());
        let unused = table.names().iter().filter(|name| !self.knows(name)).cloned().collect();
        let report = EncodingReport { rows: rows.len(), dropped, columns, unused };
        Ok(Encoded { features, rows, report })
    }

    /// Whether it was shown a column of this name when it was fitted.
    fn knows(&self, name: &str) -> bool {
        let Self { columns, targets, left_out, .. } = self;
        columns.iter().any(|column| column.name == name)
            || TargetEncoding::columns(targets).iter().any(|target| target == name)
            || left_out.iter().any(|LeftOut { name: other, .. }| other == name)
    }
}
