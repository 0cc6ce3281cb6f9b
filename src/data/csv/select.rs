//! Which columns of a file are read, and as what.

use std::collections::HashMap;

use super::options::{CsvColumn, CsvOptions};
use crate::data::column_use::ColumnUse;
use crate::data::error::{CsvError, DataError};
use crate::data::origin::{Origin, excerpt};

/// Positions of the columns that are read, in the order of the options.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) targets: Vec<usize>,
    pub(super) features: Vec<usize>,
}

/// Finds the columns that `options` name among `names`.
pub(super) fn select(
    names: &[String],
    options: &CsvOptions,
    origin: &Origin,
) -> Result<Selection, DataError> {
    let positions: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut used: Vec<Option<ColumnUse>> = vec![None; names.len()];
    let mut find = |columns: &[CsvColumn], what: ColumnUse| -> Result<Vec<usize>, DataError> {
        let mut found = Vec::new();
        for column in columns {
            let position = match column {
                CsvColumn::Name(name) => positions.get(name.as_str()).copied(),
                CsvColumn::Position(position) => Some(*position),
            };
            let slot = position.and_then(|at| Some((at, used.get_mut(at)?)));
            let Some((at, slot)) = slot else {
                return Err(DataError::Csv(CsvError::UnknownColumn {
                    origin: origin.clone(),
                    column: column.to_string(),
                    columns: names.to_vec(),
                }));
            };
            if let Some(other) = slot.replace(what) {
                let (origin, column) = (origin.clone(), column.to_string());
                let (first, second) = (other.name(), what.name());
                return Err(DataError::Csv(CsvError::ColumnTwice {
                    origin,
                    column,
                    first,
                    second,
                }));
            }
            found.push(at);
        }
        Ok(found)
    };
    find(&options.exclude, ColumnUse::Excluded)?;
    let mut targets = find(&options.targets, ColumnUse::Target)?;
    let mut features = find(&options.features, ColumnUse::Feature)?;
    if targets.is_empty() {
        // The last column, unless it was named for something else.
        let last = names.len().saturating_sub(1);
        match used.last_mut() {
            Some(free @ None) => *free = Some(ColumnUse::Target),
            Some(Some(other)) => {
                return Err(DataError::Csv(CsvError::NoTarget {
                    origin: origin.clone(),
                    column: names.last().map(|name| excerpt(name)).unwrap_or_default(),
                    named: other.name(),
                }));
            }
            None => return Err(DataError::Empty { origin: origin.clone() }),
        }
        targets.push(last);
    }
    if options.features.is_empty() {
        features = (0..names.len()).filter(|&at| used.get(at) == Some(&None)).collect();
    }
    if features.is_empty() {
        let column = names.first().map(|name| excerpt(name)).unwrap_or_default();
        return Err(DataError::Csv(CsvError::NoFeatures {
            origin: origin.clone(),
            columns: names.len(),
            column,
        }));
    }
    Ok(Selection { targets, features })
}

/// The names of the columns: those of the header line, or their positions.
pub(super) fn names(
    fields: &[&str],
    line: u64,
    options: &CsvOptions,
    origin: &Origin,
) -> Result<Vec<String>, DataError> {
    if !options.header {
        return Ok((0..fields.len()).map(|position| position.to_string()).collect());
    }
    let numeric = fields.iter().all(|name| name.parse::<f32>().is_ok());
    if let Some(first) = fields.first().filter(|_| numeric) {
        // Taken for a header, a first row of data would be lost without a word.
        let (origin, value) = (origin.clone(), excerpt(first));
        return Err(DataError::Csv(CsvError::Header { origin, line, value }));
    }
    let mut seen = HashMap::new();
    for (second, &name) in fields.iter().enumerate() {
        if let Some(first) = seen.insert(name, second) {
            let (origin, name) = (origin.clone(), excerpt(name));
            return Err(DataError::Csv(CsvError::DuplicateColumn { origin, name, first, second }));
        }
    }
    Ok(fields.iter().map(|&name| name.to_owned()).collect())
}
