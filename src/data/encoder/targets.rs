//! How target columns become what a model learns, and its outputs what a person reads.

use std::collections::HashMap;

use super::encoding::{Scaling, Source};
use super::options::TargetType;
use super::profile::Profile;
use crate::data::dataset::Targets;
use crate::data::error::{DataError, TableError};
use crate::data::origin::excerpt;

/// The target columns, as an encoder was fitted to them.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "files", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum TargetEncoding {
    /// One class per row.
    Classes {
        /// The column.
        column: String,
        /// The classes' names, in the order of their labels: numbers by their size, words by the
        /// alphabet.
        classes: Vec<String>,
    },
    /// Numbers, each `(number - mean) / deviation`.
    Values {
        /// The columns.
        columns: Vec<String>,
        /// How each is scaled.
        scalings: Vec<Scaling>,
    },
}

impl TargetEncoding {
    pub(super) fn fit(
        sources: &[Source<'_>],
        wish: Option<TargetType>,
        standardize: bool,
    ) -> Result<Self, DataError> {
        let mut scalings = Vec::new();
        for source in sources {
            let profile = Profile::of(source.table, source.column, source.words);
            let (origin, column) = (source.table.origin().clone(), source.name.to_owned());
            let value = excerpt(profile.first);
            if profile.values.len() < 2 {
                return Err(TableError::ConstantTarget { origin, column, value }.into());
            }
            let classes = match wish {
                Some(wish) => wish == TargetType::Classes,
                // Several targets are numbers, unless one cannot be.
                None if sources.len() > 1 => profile.holds_classes() && !profile.is_numeric(),
                None => profile.holds_classes(),
            };
            if classes && sources.len() > 1 {
                let targets = sources.len();
                return Err(TableError::SeveralClasses { column, targets }.into());
            }
            if classes {
                if profile.is_text_target() {
                    let (different, rows) = (profile.values.len(), profile.present);
                    return Err(
                        TableError::TextTarget { origin, column, different, rows, value }.into()
                    );
                }
                let mut classes = profile.frequent(usize::MAX);
                if profile.is_numeric() {
                    // `1` and `1.0` are one class, under the name that comes first.
                    classes.dedup_by_key(|class| number(class).unwrap_or_default().to_bits());
                }
                if classes.len() < 2 {
                    return Err(TableError::ConstantTarget { origin, column, value }.into());
                }
                return Ok(Self::Classes { column, classes });
            }
            let numbers = (0..source.table.rows())
                .filter_map(|row| Some((row, source.value(row)?)))
                .map(|(row, field)| source.number(row, field));
            let numbers = numbers.collect::<Result<Vec<_>, _>>()?;
            scalings.push(Scaling::fit(numbers, standardize, false));
        }
        let columns = sources.iter().map(|source| source.name.to_owned()).collect();
        Ok(Self::Values { columns, scalings })
    }

    /// The names of the columns.
    pub fn columns(&self) -> &[String] {
        match self {
            Self::Classes { column, .. } => std::slice::from_ref(column),
            Self::Values { columns, .. } => columns,
        }
    }

    /// The outputs that a model of this data needs: a logit per class, or a number per column.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes { classes, .. } => classes.len(),
            Self::Values { columns, .. } => columns.len(),
        }
    }

    /// The targets of `rows`, none of which lacks one.
    pub(super) fn encode(
        &self,
        sources: &[Source<'_>],
        rows: &[usize],
    ) -> Result<Targets, DataError> {
        match self {
            Self::Classes { column, classes } => {
                let Some(source) = sources.first() else {
                    return Ok(Targets::Classes { labels: Vec::new(), classes: classes.len() });
                };
                let lookup = Lookup::new(classes);
                let mut labels = Vec::with_capacity(rows.len());
                for &row in rows {
                    let field = source.value(row).unwrap_or_default();
                    let label = lookup.label(field).ok_or_else(|| {
                        DataError::from(TableError::UnknownClass {
                            origin: source.table.origin().clone(),
                            place: source.table.place(row),
                            column: excerpt(column),
                            value: excerpt(field),
                            classes: classes.clone(),
                        })
                    })?;
                    labels.push(label);
                }
                Ok(Targets::Classes { labels, classes: classes.len() })
            }
            Self::Values { scalings, .. } => {
                let mut data = Vec::with_capacity(rows.len().saturating_mul(scalings.len()));
                for &row in rows {
                    for (source, scaling) in sources.iter().zip(scalings) {
                        let field = source.value(row).unwrap_or_default();
                        let number = source.number(row, field)?;
                        // Predictions in the unit of the table have to be f32, too.
                        source.finite(row, field, number as f32)?;
                        data.push(source.finite(row, field, scaling.apply(number))?);
                    }
                }
                Ok(Targets::Values { data, width: scalings.len() })
            }
        }
    }
}

/// Labels by the names of their classes. Those that are numbers are found however they are written.
struct Lookup<'a> {
    by_name: HashMap<&'a str, u32>,
    by_number: HashMap<u64, u32>,
}

impl<'a> Lookup<'a> {
    fn new(classes: &'a [String]) -> Self {
        let named = || (0u32..).zip(classes.iter().map(String::as_str));
        let numbers: Option<HashMap<u64, u32>> =
            named().map(|(label, name)| Some((number(name)?.to_bits(), label))).collect();
        Self {
            by_name: named().map(|(label, name)| (name, label)).collect(),
            by_number: numbers.unwrap_or_default(),
        }
    }

    fn label(&self, field: &str) -> Option<u32> {
        self.by_name.get(field).or_else(|| self.by_number.get(&number(field)?.to_bits())).copied()
    }
}

/// A number, of which 0 has one sign.
fn number(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().map(|number| number + 0.0)
}
