//! What encoding met besides plain values.

use std::fmt;

use crate::data::origin::excerpt;
use crate::data::table::Place;

/// What encoding some rows met besides plain values: nothing of it is an error, and all of it is worth
/// saying.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct EncodingReport {
    /// Rows that were encoded.
    pub rows: usize,
    /// Rows that were left out since they lack a value.
    pub dropped: usize,
    /// Columns with values that are missing or unknown.
    pub columns: Vec<ColumnReport>,
    /// Columns of the table that the encoder has no use for and was not told of when it was fitted.
    pub unused: Vec<String>,
}

/// What encoding met in one column.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ColumnReport {
    /// Its name.
    pub column: String,
    /// Missing values that were imputed, or encoded as a category.
    pub missing: usize,
    /// Fields whose category the encoder has no feature for.
    pub unknown: usize,
    /// The first of those, and where it stands.
    pub first_unknown: Option<(Place, String)>,
    /// Numbers beyond those that the encoder was fitted on, which were taken as the nearest of them.
    pub clamped: usize,
    /// The first of those, and where it stands.
    pub first_clamped: Option<(Place, String)>,
}

impl ColumnReport {
    pub(super) fn unknown(&mut self, place: Place, field: &str) {
        self.unknown = self.unknown.saturating_add(1);
        self.first_unknown.get_or_insert_with(|| (place, excerpt(field)));
    }

    pub(super) fn clamped(&mut self, place: Place, field: &str) {
        self.clamped = self.clamped.saturating_add(1);
        self.first_clamped.get_or_insert_with(|| (place, excerpt(field)));
    }
}

impl EncodingReport {
    /// Adds what the next block of the same table met.
    pub fn add(&mut self, next: EncodingReport) {
        self.rows = self.rows.saturating_add(next.rows);
        self.dropped = self.dropped.saturating_add(next.dropped);
        self.unused = next.unused;
        for column in next.columns {
            match self.columns.iter_mut().find(|known| known.column == column.column) {
                Some(known) => {
                    known.missing = known.missing.saturating_add(column.missing);
                    known.unknown = known.unknown.saturating_add(column.unknown);
                    known.first_unknown = known.first_unknown.take().or(column.first_unknown);
                    known.clamped = known.clamped.saturating_add(column.clamped);
                    known.first_clamped = known.first_clamped.take().or(column.first_clamped);
                }
                None => self.columns.push(column),
            }
        }
    }
}

/// A line for each thing that was met; nothing if all values were plain.
impl fmt::Display for EncodingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = Vec::new();
        if self.dropped > 0 {
            lines.push(format!("{} left out: a value is missing", rows(self.dropped)));
        }
        for column in &self.columns {
            let name = excerpt(&column.column);
            if column.missing > 0 {
                lines.push(format!("{name:?} is missing in {}", rows(column.missing)));
            }
            if let Some((place, value)) = &column.first_unknown {
                let rows = rows(column.unknown);
                lines.push(format!(
                    "{name:?} has a category that is not encoded in {rows} (first {value:?}, {place})"
                ));
            }
            if let Some((place, value)) = &column.first_clamped {
                let rows = rows(column.clamped);
                lines.push(format!(
                    "{name:?} is beyond all that was learned from in {rows} (first {value:?}, {place}), and \
                     taken as the nearest of it"
                ));
            }
        }
        if !self.unused.is_empty() {
            lines.push(format!("not used: {}", crate::data::origin::list(&self.unused)));
        }
        f.write_str(&lines.join("\n"))
    }
}

fn rows(count: usize) -> String {
    format!("{count} row{}", if count == 1 { "" } else { "s" })
}
