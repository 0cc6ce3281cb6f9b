//! Whether an encoder out of a file can be one.

use std::collections::HashSet;

use super::encoding::{Encoding, Scaling};
use super::{Encoder, TargetEncoding};
use crate::data::error::{DataError, TableError};

/// An encoder as it stands in a file, before it is checked.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Unchecked {
    columns: Vec<super::ColumnEncoding>,
    targets: TargetEncoding,
    left_out: Vec<super::LeftOut>,
    missing_words: Vec<String>,
    unknown: super::UnknownCategories,
}

impl TryFrom<Unchecked> for Encoder {
    type Error = DataError;

    fn try_from(unchecked: Unchecked) -> Result<Self, DataError> {
        let Unchecked { columns, targets, left_out, missing_words, unknown } = unchecked;
        let encoder = Self { columns, targets, left_out, missing_words, unknown };
        encoder.check()?;
        Ok(encoder)
    }
}

impl Encoder {
    /// What fitting sees to, of an encoder that may come from anywhere.
    fn check(&self) -> Result<(), DataError> {
        let targets = self.targets.columns();
        let names = self.columns.iter().map(|column| &column.name).chain(targets);
        unique(names, "column")?;
        if self.columns.is_empty() {
            return damaged("it has no columns of features");
        }
        for column in &self.columns {
            match &column.encoding {
                Encoding::Number(scaling) | Encoding::Date { scaling, .. } => {
                    check_scaling(scaling, &column.name)?;
                }
                Encoding::Category { categories, .. } => {
                    unique(categories, "category")?;
                    if column.encoding.width() == 0 {
                        return damaged(format!("column {:?} has no categories", column.name));
                    }
                }
            }
        }
        match &self.targets {
            TargetEncoding::Classes { classes, .. } => {
                unique(classes, "class")?;
                if classes.len() < 2 {
                    return damaged("its target has fewer than 2 classes");
                }
                match u32::try_from(classes.len()) {
                    Ok(_) => Ok(()),
                    Err(_) => damaged("its target has more classes than labels have bits for"),
                }
            }
            TargetEncoding::Values { columns, scalings } => {
                if columns.is_empty() || columns.len() != scalings.len() {
                    let (targets, scalings) = (columns.len(), scalings.len());
                    return damaged(format!("it has {targets} targets and {scalings} scalings"));
                }
                columns.iter().zip(scalings).try_for_each(|(name, s)| check_scaling(s, name))
            }
        }
    }
}

fn check_scaling(scaling: &Scaling, column: &str) -> Result<(), DataError> {
    let &Scaling { mean, deviation, median, range, .. } = scaling;
    if let Some([low, high]) =
        range.filter(|[low, high]| !(low.is_finite() && low <= high && high.is_finite()))
    {
        return damaged(format!("column {column:?} has numbers from {low} to {high}"));
    }
    if mean.is_finite() && median.is_finite() && deviation.is_finite() && deviation > 0.0 {
        return Ok(());
    }
    damaged(format!(
        "column {column:?} has mean {mean}, median {median} and deviation {deviation}, which must be \
         finite, the deviation above 0"
    ))
}

fn unique<'a>(names: impl IntoIterator<Item = &'a String>, what: &str) -> Result<(), DataError> {
    let mut seen = HashSet::new();
    match names.into_iter().find(|name| !seen.insert(name.as_str())) {
        Some(name) => damaged(format!("it has {what} {name:?} twice")),
        None => Ok(()),
    }
}

fn damaged<T>(reason: impl Into<String>) -> Result<T, DataError> {
    Err(TableError::DamagedEncoder { reason: reason.into() }.into())
}
