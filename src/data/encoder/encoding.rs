//! How a column becomes features: fitted once, and then the same for every table.

use std::collections::HashMap;

use super::date::{CYCLES, Date};
use super::options::{ColumnType, MissingValues, UnknownCategories};
use super::profile::{Profile, Words};
use super::report::ColumnReport;
use crate::data::error::{DataError, TableError};
use crate::data::number::odd_number;
use crate::data::origin::excerpt;
use crate::data::table::Table;

/// A column of features, as an encoder was fitted to it.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct ColumnEncoding {
    /// Its name.
    pub name: String,
    /// What becomes of its fields.
    pub encoding: Encoding,
    /// What is done about missing values.
    pub missing: MissingValues,
}

/// What becomes of a column's fields.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum Encoding {
    /// One feature, `(number - mean) / deviation`; and perhaps one that is 1 where the number is missing.
    Number(Scaling),
    /// A feature for each category.
    Category {
        /// The categories, in the order of their features: numbers by their size, words by the alphabet.
        categories: Vec<String>,
        /// Whether a feature follows for all other categories.
        other: bool,
        /// Whether a feature follows for missing values.
        missing: bool,
    },
    /// `(days since 1970 - mean) / deviation`, then the sine and the cosine of the place in the year and
    /// in the week, and where there are times in the day; and perhaps one that is 1 where the date is
    /// missing.
    Date {
        /// How days are scaled.
        scaling: Scaling,
        /// Whether there are times of day.
        timed: bool,
    },
}

/// How numbers are shifted and scaled.
#[derive(Debug, Clone, Copy, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct Scaling {
    /// What is subtracted: the mean, or 0.
    pub mean: f64,
    /// What is divided by: the standard deviation (the root of the mean squared distance from the mean),
    /// or 1.
    pub deviation: f64,
    /// What stands in for a missing value.
    pub median: f64,
    /// Whether a feature says that the value was missing.
    pub indicator: bool,
    /// The least and the largest number that the encoder was fitted on, if others are to be taken as the
    /// nearer of the two.
    pub range: Option<[f64; 2]>,
}

impl Scaling {
    /// That of these numbers, which are finite; of none, any.
    pub(super) fn fit(mut numbers: Vec<f64>, standardize: bool, indicator: bool) -> Self {
        // From the first number, since those of a column far from 0 would cancel.
        let first = numbers.first().copied().unwrap_or(0.0);
        let count = numbers.len().max(1) as f64;
        let mean = first + numbers.iter().map(|number| (number - first) / count).sum::<f64>();
        // In units of the largest distance, so that no square leaves the range of f64.
        let largest = numbers.iter().map(|number| (number - mean).abs()).fold(0.0, f64::max);
        let square = |number: &f64| ((number - mean) / largest).powi(2) / count;
        let deviation = largest * numbers.iter().map(square).sum::<f64>().sqrt();
        numbers.sort_unstable_by(f64::total_cmp);
        let at = |index: usize| numbers.get(index).copied().unwrap_or(first);
        let middle = numbers.len() / 2;
        let median = match numbers.len() % 2 {
            0 => at(middle.saturating_sub(1)) / 2.0 + at(middle) / 2.0,
            _ => at(middle),
        };
        // Where all are equal, rounding may leave a tiny deviation, which would make noise of them.
        let varies = at(0) < at(numbers.len().saturating_sub(1));
        let scale = varies && deviation.is_normal() && deviation.is_finite();
        let (mean, deviation) = match (standardize, scale) {
            (true, true) => (mean, deviation),
            (true, false) => (if mean.is_finite() { mean } else { 0.0 }, 1.0),
            (false, _) => (0.0, 1.0),
        };
        Self { mean, deviation, median, indicator, range: None }
    }

    pub(super) fn apply(&self, number: f64) -> f32 {
        ((number - self.mean) / self.deviation) as f32
    }

    fn clamp(&self, number: f64) -> f64 {
        self.range.map_or(number, |[low, high]| number.max(low).min(high))
    }

    pub(super) fn invert(&self, number: f32) -> f32 {
        (f64::from(number) * self.deviation + self.mean) as f32
    }
}

/// A table's column that is being fitted or encoded.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) table: &'a Table,
    pub(super) column: usize,
    pub(super) name: &'a str,
    pub(super) words: &'a Words,
}

impl<'a> Source<'a> {
    /// The field of a row, if it has a value.
    pub(super) fn value(&self, row: usize) -> Option<&'a str> {
        let field = self.table.field(row, self.column).unwrap_or_default();
        if self.words.contain(field) { None } else { Some(field) }
    }

    pub(super) fn number(&self, row: usize, field: &str) -> Result<f64, DataError> {
        let (origin, place) = (self.table.origin().clone(), self.table.place(row));
        let (column, value) = (excerpt(self.name), excerpt(field));
        Err(match (field.parse::<f64>(), odd_number(field)) {
            (Ok(number), _) if number.is_finite() => return Ok(number),
            (Ok(_), _) => TableError::NotFinite { origin, place, column, value },
            (Err(_), Some(why)) => TableError::OddNumber { origin, place, column, value, why },
            (Err(_), None) => TableError::NotANumber { origin, place, column, value },
        }
        .into())
    }

    fn date(&self, row: usize, field: &str) -> Result<Date, DataError> {
        Date::parse(field).ok_or_else(|| {
            let (origin, place) = (self.table.origin().clone(), self.table.place(row));
            let (column, value) = (excerpt(self.name), excerpt(field));
            TableError::NotADate { origin, place, column, value }.into()
        })
    }

    pub(super) fn is_missing(&self, row: usize) -> DataError {
        TableError::MissingValue {
            origin: self.table.origin().clone(),
            place: self.table.place(row),
            column: excerpt(self.name),
            value: excerpt(self.table.field(row, self.column).unwrap_or_default()),
        }
        .into()
    }

    /// All values of the column, by their rows.
    fn values(self) -> impl Iterator<Item = (usize, &'a str)> {
        (0..self.table.rows()).filter_map(move |row| Some((row, self.value(row)?)))
    }

    /// A feature that must be finite.
    pub(super) fn finite(&self, row: usize, field: &str, number: f32) -> Result<f32, DataError> {
        if number.is_finite() {
            return Ok(number);
        }
        Err(TableError::NotFinite {
            origin: self.table.origin().clone(),
            place: self.table.place(row),
            column: excerpt(self.name),
            value: excerpt(field),
        }
        .into())
    }
}

/// How a column is to be fitted.
#[derive(Clone, Copy)]
pub(super) struct Wish {
    pub(super) column_type: Option<ColumnType>,
    pub(super) missing: MissingValues,
    pub(super) most_categories: usize,
    pub(super) standardize: bool,
    pub(super) clamp: bool,
}

impl Encoding {
    /// That of a column that is taken for `column_type`.
    pub(super) fn fit(
        source: Source<'_>,
        column_type: ColumnType,
        wish: &Wish,
    ) -> Result<Self, DataError> {
        let missing = wish.missing == MissingValues::Impute
            && (0..source.table.rows()).any(|row| source.value(row).is_none());
        Ok(match column_type {
            ColumnType::Number => {
                let numbers = source.values().map(|(row, field)| source.number(row, field));
                let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
                let range = numbers
                    .iter()
                    .fold(None, |range: Option<[f64; 2]>, &n| {
                        Some(range.map_or([n, n], |[low, high]| [low.min(n), high.max(n)]))
                    })
                    .filter(|_| wish.clamp);
                let scaling = Scaling::fit(numbers, wish.standardize, missing);
                Self::Number(Scaling { range, ..scaling })
            }
            ColumnType::Date => {
                let dates = source.values().map(|(row, field)| source.date(row, field));
                let dates = dates.collect::<Result<Vec<_>, _>>()?;
                let timed = dates.iter().any(|date| date.timed);
                let days = dates.iter().map(|date| date.days).collect();
                Self::Date { scaling: Scaling::fit(days, wish.standardize, missing), timed }
            }
            ColumnType::Category => {
                let profile = Profile::of(source.table, source.column, source.words);
                let most = wish.most_categories;
                let other = profile.values.len() > most;
                let kept = if other { most.saturating_sub(1) } else { most };
                Self::Category { categories: profile.frequent(kept), other, missing }
            }
        })
    }

    /// How many features it makes.
    pub fn width(&self) -> usize {
        match self {
            Self::Number(scaling) => 1 + usize::from(scaling.indicator),
            Self::Category { categories, other, missing } => {
                categories.len() + usize::from(*other) + usize::from(*missing)
            }
            Self::Date { scaling, timed } => {
                1 + 2 * cycles(*timed).len() + usize::from(scaling.indicator)
            }
        }
    }

    /// What the column was taken for.
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Number(_) => ColumnType::Number,
            Self::Category { .. } => ColumnType::Category,
            Self::Date { .. } => ColumnType::Date,
        }
    }

    /// The names of its features.
    pub(super) fn names(&self, column: &str) -> Vec<String> {
        let missing = |yes: bool| yes.then(|| format!("{column} (missing)"));
        match self {
            Self::Number(scaling) => {
                [column.to_owned()].into_iter().chain(missing(scaling.indicator)).collect()
            }
            Self::Category { categories, other, missing: m } => {
                let own = categories.iter().map(|category| format!("{column}={category}"));
                let other = other.then(|| format!("{column} (other)"));
                own.chain(other).chain(missing(*m)).collect()
            }
            Self::Date { scaling, timed } => {
                let days = [format!("{column} (days)")];
                let cycles = cycles(*timed).iter().flat_map(|(cycle, _)| {
                    ["sin", "cos"].map(|function| format!("{column} ({cycle}, {function})"))
                });
                days.into_iter().chain(cycles).chain(missing(scaling.indicator)).collect()
            }
        }
    }

    /// Writes the features of `rows` into those of all columns, `[rows, width]` and 0 so far, from
    /// feature `first` on.
    pub(super) fn fill(
        &self,
        source: Source<'_>,
        unknown: UnknownCategories,
        rows: &[usize],
        (features, width, first): (&mut [f32], usize, usize),
        report: &mut ColumnReport,
    ) -> Result<(), DataError> {
        let out = features.chunks_exact_mut(width.max(1));
        let out = rows
            .iter()
            .zip(out)
            .map(|(&row, features)| (row, features.get_mut(first..).unwrap_or_default()));
        match self {
            Self::Number(scaling) => {
                for (row, out) in out {
                    let field = source.value(row);
                    let number = match field {
                        Some(field) => {
                            let number = source.number(row, field)?;
                            let clamped = scaling.clamp(number);
                            if clamped != number {
                                report.clamped(source.table.place(row), field);
                            }
                            clamped
                        }
                        None => scaling.missing(out.get_mut(1), report),
                    };
                    let number = scaling.apply(number);
                    set(out, 0, source.finite(row, field.unwrap_or_default(), number)?);
                }
            }
            Self::Date { scaling, timed } => {
                let cycles = cycles(*timed);
                for (row, out) in out {
                    let field = source.value(row);
                    let days = match field {
                        Some(field) => source.date(row, field)?.days,
                        None => scaling.missing(out.get_mut(1 + 2 * cycles.len()), report),
                    };
                    let scaled = scaling.apply(days);
                    set(out, 0, source.finite(row, field.unwrap_or_default(), scaled)?);
                    for (number, (_, length)) in cycles.iter().enumerate() {
                        let angle = (days / length).fract() * std::f64::consts::TAU;
                        set(out, 1 + 2 * number, angle.sin() as f32);
                        set(out, 2 + 2 * number, angle.cos() as f32);
                    }
                }
            }
            Self::Category { categories, other, missing } => {
                let known = categories.iter().enumerate();
                let known: HashMap<&str, usize> =
                    known.map(|(at, category)| (category.as_str(), at)).collect();
                let count = categories.len();
                for (row, out) in out {
                    let Some(field) = source.value(row) else {
                        report.missing = report.missing.saturating_add(1);
                        if *missing {
                            set(out, count + usize::from(*other), 1.0);
                        }
                        continue;
                    };
                    match known.get(field) {
                        Some(&at) => set(out, at, 1.0),
                        None if unknown == UnknownCategories::Refuse && !*other => {
                            return Err(TableError::UnknownCategory {
                                origin: source.table.origin().clone(),
                                place: source.table.place(row),
                                column: excerpt(source.name),
                                value: excerpt(field),
                                known: categories.clone(),
                            }
                            .into());
                        }
                        None => {
                            report.unknown(source.table.place(row), field);
                            if *other {
                                set(out, count, 1.0);
                            }
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

impl Scaling {
    /// What stands in for a missing value, which is counted and shown.
    fn missing(&self, indicator: Option<&mut f32>, report: &mut ColumnReport) -> f64 {
        report.missing = report.missing.saturating_add(1);
        if let Some(indicator) = indicator.filter(|_| self.indicator) {
            *indicator = 1.0;
        }
        self.median
    }
}

fn set(features: &mut [f32], at: usize, value: f32) {
    if let Some(feature) = features.get_mut(at) {
        *feature = value;
    }
}

/// The cycles of dates with or without times: without, there is none of the day.
pub(crate) fn cycles(timed: bool) -> &'static [(&'static str, f64)] {
    match CYCLES.split_last() {
        Some((_, rest)) if !timed => rest,
        _ => &CYCLES,
    }
}
