//! Fitting an encoder to a table.

use std::borrow::Cow;
use std::collections::HashMap;

use super::encoding::{ColumnEncoding, Encoding, Source, Wish};
use super::options::{EncoderOptions, MissingValues, TargetType};
use super::profile::{Guess, Profile, Words};
use super::targets::TargetEncoding;
use super::{Encoder, LeftOut, LeftOutReason};
use crate::data::column_use::ColumnUse;
use crate::data::error::{DataError, TableError};
use crate::data::origin::excerpt;
use crate::data::table::Table;

impl Encoder {
    /// Looks at every column of `table`: what it holds, its mean and deviation or its categories, and
    /// whether values are missing.
    ///
    /// Numbers are what Rust reads as such; a column with a word in it becomes categories, one of dates
    /// what [`ColumnType::Date`](super::ColumnType::Date) says. A column that holds one value in all rows is left out
    /// ([`Encoder::left_out`] has it).
    ///
    /// # Errors
    /// If a column that `options` name is not there, or is named for two uses; there are no rows, or all
    /// lack a value that they need; no column is left; a column holds text, nearly every row its own; one of
    /// numbers holds one that is NaN, infinite, or a number to people only (`1,234`, `12 %`); a field is not
    /// of the type that the options give its column; a value is missing where that is refused; the target
    /// has one value only, or so many that they are no classes; or several targets are no numbers.
    pub fn fit(table: &Table, options: &EncoderOptions) -> Result<Self, DataError> {
        if options.most_categories < 2 {
            return Err(TableError::CategoryLimit { most: options.most_categories }.into());
        }
        let words = Words::new(&options.missing_words);
        let mut selection = Selection::of(table, options)?;
        let excluded = options.exclude.iter();
        let mut left_out: Vec<LeftOut> = excluded
            .map(|name| LeftOut { name: name.clone(), reason: LeftOutReason::Excluded })
            .collect();
        // What a column is taken for all rows decide, those too that are dropped from fitting: a row without
        // a target is encoded all the same.
        let mut features = Vec::new();
        let mut texts = Vec::new();
        for (column, wish) in selection.features {
            let name = table.names().get(column).map_or("", String::as_str);
            let guess = Profile::of(table, column, &words).guess(wish.column_type, name);
            let name = name.to_owned();
            match guess {
                Guess::Type(column_type) => {
                    features.push((column, Wish { column_type: Some(column_type), ..wish }));
                }
                Guess::Constant(value) => {
                    left_out.push(LeftOut { name, reason: LeftOutReason::Constant(value) });
                }
                // All of them are named at once.
                Guess::Text(detail) => texts.push((name, detail)),
            }
        }
        if let Some((_, detail)) = texts.first().cloned() {
            let (origin, columns) = (table.origin().clone(), texts);
            let columns = columns.into_iter().map(|(name, _)| name).collect();
            return Err(TableError::TextColumns { origin, columns, detail }.into());
        }
        selection.features = features;
        let table = selection.rows_with_values(table, options, &words)?;
        let source = |column: usize| Source {
            table: &table,
            column,
            name: table.names().get(column).map_or("", String::as_str),
            words: &words,
        };
        let targets: Vec<Source<'_>> = selection.targets.iter().copied().map(source).collect();
        let targets =
            TargetEncoding::fit(&targets, options.target_type, options.standardize_targets)?;
        let mut columns = Vec::new();
        for &(column, wish) in &selection.features {
            let source = source(column);
            if let Some(column_type) = wish.column_type {
                let encoding = Encoding::fit(source, column_type, &wish)?;
                let (name, missing) = (source.name.to_owned(), wish.missing);
                columns.push(ColumnEncoding { name, encoding, missing });
            }
        }
        if columns.is_empty() {
            let (origin, targets) = (table.origin().clone(), targets.columns().to_vec());
            return Err(TableError::NoFeatures { origin, targets }.into());
        }
        let missing_words = options.missing_words.clone();
        Ok(Self { columns, targets, left_out, missing_words, unknown: options.unknown })
    }
}

/// The columns that are used, by their positions.
struct Selection {
    targets: Vec<usize>,
    features: Vec<(usize, Wish)>,
}

impl Selection {
    fn of(table: &Table, options: &EncoderOptions) -> Result<Self, DataError> {
        let names = table.names();
        let find = |name: &String| {
            table.column(name).ok_or_else(|| TableError::UnknownColumn {
                origin: table.origin().clone(),
                column: excerpt(name),
                columns: names.to_vec(),
            })
        };
        let mut uses: HashMap<usize, ColumnUse> = HashMap::new();
        let mut take = |list: &[String], what: ColumnUse| -> Result<Vec<usize>, DataError> {
            let mut found = Vec::new();
            for name in list {
                let at = find(name)?;
                if let Some(other) = uses.insert(at, what) {
                    let (first, second) = (other.name(), what.name());
                    let column = excerpt(name);
                    return Err(TableError::ColumnTwice { column, first, second }.into());
                }
                found.push(at);
            }
            Ok(found)
        };
        take(&options.exclude, ColumnUse::Excluded)?;
        let without = options.target_type == Some(TargetType::None);
        if without && !options.targets.is_empty() {
            return Err(TableError::TargetsOfNone { targets: options.targets.clone() }.into());
        }
        let last = names.last().cloned().filter(|_| !without);
        let targets = match options.targets.is_empty() {
            true => take(&Vec::from_iter(last), ColumnUse::Target)?,
            false => take(&options.targets, ColumnUse::Target)?,
        };
        let mut features = take(&options.features, ColumnUse::Feature)?;
        if options.features.is_empty() {
            features = (0..names.len()).filter(|at| !uses.contains_key(at)).collect();
        }
        let types = by_column(&options.types, &find)?;
        let missing = by_column(&options.missing_in, &find)?;
        let wish = |&at: &usize| Wish {
            column_type: types.get(&at).copied(),
            missing: missing.get(&at).copied().unwrap_or(options.missing),
            most_categories: options.most_categories,
            standardize: options.standardize,
            clamp: options.clamp,
        };
        for (at, what) in types
            .keys()
            .map(|at| (at, "a column with a type"))
            .chain(missing.keys().map(|at| (at, "a column with missing values")))
        {
            if let (false, Some(first)) = (features.contains(at), uses.get(at)) {
                let column = names.get(*at).map(|name| excerpt(name)).unwrap_or_default();
                let first = first.name();
                return Err(TableError::ColumnTwice { column, first, second: what }.into());
            }
        }
        let features = features.iter().map(|at| (*at, wish(at))).collect();
        Ok(Self { targets, features })
    }

    /// The rows to fit on: all, unless values are missing that a row needs.
    fn rows_with_values<'a>(
        &self,
        table: &'a Table,
        options: &EncoderOptions,
        words: &Words,
    ) -> Result<Cow<'a, Table>, DataError> {
        let targets = self.targets.iter().map(|&at| {
            let refuse = options.missing == MissingValues::Refuse;
            (at, if refuse { MissingValues::Refuse } else { MissingValues::DropRow })
        });
        let features = self.features.iter().map(|(at, wish)| (*at, wish.missing));
        let needed: Vec<(Source<'_>, MissingValues)> = targets
            .chain(features)
            .map(|(column, missing)| {
                let name = table.names().get(column).map_or("", String::as_str);
                (Source { table, column, name, words }, missing)
            })
            .collect();
        let rows = complete_rows(table, &needed)?;
        if rows.len() == table.rows() {
            Ok(Cow::Borrowed(table))
        } else {
            Ok(Cow::Owned(table.select(&rows)?))
        }
    }
}

/// The rows that have a value in each of these columns.
///
/// # Errors
/// If one lacks it where that is refused; or there are no rows, or none that has them all.
pub(super) fn complete_rows(
    table: &Table,
    needed: &[(Source<'_>, MissingValues)],
) -> Result<Vec<usize>, DataError> {
    let mut rows = Vec::with_capacity(table.rows());
    for row in 0..table.rows() {
        let mut complete = true;
        for (source, missing) in needed {
            if source.value(row).is_none() {
                match missing {
                    MissingValues::Refuse => return Err(source.is_missing(row)),
                    MissingValues::DropRow => complete = false,
                    MissingValues::Impute => {}
                }
            }
        }
        if complete {
            rows.push(row);
        }
    }
    let origin = table.origin().clone();
    match (rows.is_empty(), table.rows()) {
        (false, _) => Ok(rows),
        (true, 0) => Err(DataError::Empty { origin }),
        (true, dropped) => Err(TableError::AllDropped { origin, dropped }.into()),
    }
}

/// What options say of single columns, by their positions; the last of several counts.
fn by_column<T: Copy>(
    options: &[(String, T)],
    find: &impl Fn(&String) -> Result<usize, TableError>,
) -> Result<HashMap<usize, T>, DataError> {
    options.iter().map(|(name, value)| Ok((find(name)?, *value))).collect()
}
