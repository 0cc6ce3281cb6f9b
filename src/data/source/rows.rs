//! Rows of a source while they are in memory, and how they get there.

use super::read::RowReader;
use super::{Source, TargetsFrom, Wanted};
use crate::data::dataset::Targets;
use crate::data::error::{DataError, SourceError};
use crate::data::form::TargetForm;
use crate::data::origin::Origin;
use crate::data::part::Part;
use crate::finite::first_not_finite;

/// Some rows; all of them checked.
#[derive(Debug)]
pub(crate) struct Rows {
    /// `[rows, width]`.
    pub(crate) features: Vec<f32>,
    /// As many, if they were wanted.
    pub(crate) targets: Option<Targets>,
    count: usize,
    /// Where its blocks begin: the row here, and the row of the whole file.
    blocks: Vec<(usize, usize)>,
}

impl Rows {
    /// The number of a row in the whole file.
    pub(crate) fn number(&self, row: usize) -> usize {
        let block = self.blocks.partition_point(|&(here, _)| here <= row).saturating_sub(1);
        self.blocks.get(block).map_or(row, |&(here, there)| there + (row - here))
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.features.clear();
        self.blocks.clear();
        self.count = 0;
    }

    /// Bytes of its numbers.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn bytes(&self) -> u64 {
        let targets = self.targets.as_ref().map_or(0, |targets| targets.bytes().len());
        (4 * self.features.len() + targets) as u64
    }
}

/// A source that is being read.
pub(crate) struct Opened {
    source: Source,
    /// None where targets alone are wanted, and read apart.
    features: Option<Box<dyn RowReader>>,
    keeps_features: bool,
    /// Of targets that are read apart.
    targets: Option<Box<dyn RowReader>>,
    /// What the targets become, if they are wanted.
    form: Option<TargetForm>,
    /// Rows as they were read, before they are taken apart.
    raw: Vec<f32>,
}

impl Opened {
    pub(super) fn new(source: &Source, wanted: Wanted) -> Result<Self, DataError> {
        let form = if wanted == Wanted::Features { None } else { Some(source.target_form()?) };
        let targets = match &source.targets {
            TargetsFrom::Apart { rows, .. } if form.is_some() => Some(rows.open()?),
            _ => None,
        };
        let keeps_features = wanted != Wanted::Targets;
        let features = match (keeps_features, &targets) {
            (false, Some(_)) => None,
            _ => Some(source.features.open()?),
        };
        Ok(Self {
            source: source.clone(),
            features,
            keeps_features,
            targets,
            form,
            raw: Vec::new(),
        })
    }

    /// Nothing yet, with room for so many rows.
    ///
    /// # Errors
    /// If no memory holds as many.
    pub(super) fn room(&self, rows: usize) -> Result<Rows, DataError> {
        let width = self.source.width();
        let too_large = || DataError::TooLarge { origin: self.source.origin(), rows, width };
        let targets = match self.form {
            None => None,
            Some(TargetForm::Values { width }) => {
                Some(Targets::Values { data: reserved(rows, width).ok_or_else(too_large)?, width })
            }
            Some(TargetForm::Classes { classes }) => {
                let labels = reserved(rows, 1).ok_or_else(too_large)?;
                Some(Targets::Classes { labels, classes })
            }
        };
        let kept = if self.keeps_features { rows } else { 0 };
        let features = reserved(kept, width).ok_or_else(too_large)?;
        Ok(Rows { features, targets, count: 0, blocks: Vec::new() })
    }

    /// Adds `count` rows from row `first` of the source on.
    ///
    /// # Errors
    /// If they cannot be read, are fewer, or one has a number that is not finite or a label that is no class.
    pub(super) fn read(
        &mut self,
        first: usize,
        count: usize,
        rows: &mut Rows,
    ) -> Result<(), DataError> {
        let first = self.source.first + first;
        rows.blocks.push((rows.count, first));
        rows.count += count;
        self.read_features((first, count), &mut rows.features)?;
        match &mut rows.targets {
            Some(targets) => self.read_targets((first, count), targets),
            None => Ok(()),
        }
    }

    /// Adds the features, and leaves in `raw` whole rows, if they have more.
    fn read_features(
        &mut self,
        (first, count): (usize, usize),
        to: &mut Vec<f32>,
    ) -> Result<(), DataError> {
        let Self { source, features: Some(reader), keeps_features, raw, .. } = self else {
            return Ok(());
        };
        let (width, whole) = (source.width(), source.features.width());
        let (before, origin) = (to.len(), source.origin());
        let found = match whole == width && *keeps_features {
            true => {
                let found = reader.read(first, count, to)?;
                let added = to.len().saturating_sub(before);
                check_added(&origin, added, (found, count), (whole, first))?;
                found
            }
            false => {
                raw.clear();
                let found = reader.read(first, count, raw)?;
                check_added(&origin, raw.len(), (found, count), (whole, first))?;
                if *keeps_features {
                    raw.chunks_exact(whole).for_each(|row| to.extend(row.iter().take(width)));
                }
                found
            }
        };
        check_end(source, &origin, (first, count, found), reader)?;
        let fresh = to.get_mut(before..).unwrap_or_default();
        check_finite(fresh, (width, first), Part::Features, &origin)?;
        if let Some(standardizer) = &source.standardizer {
            standardizer.apply(fresh).map_err(|error| match error {
                DataError::NotFinite { row, column, value, .. } => {
                    let (origin, row) = (origin.clone(), first + row);
                    let part = Part::Features;
                    SourceError::NotFinite { origin, part, row, column, value }.into()
                }
                other => other,
            })?;
        }
        if let Some(moved) = &source.moved {
            let values = moved.values.iter().skip(first - source.first);
            for (row, &value) in fresh.chunks_exact_mut(width).zip(values) {
                row.iter_mut().skip(moved.feature).take(1).for_each(|number| *number = value);
            }
        }
        Ok(())
    }

    fn read_targets(
        &mut self,
        (first, count): (usize, usize),
        to: &mut Targets,
    ) -> Result<(), DataError> {
        let Self { source, targets, form, raw, .. } = self;
        let (width, whole) = (source.width(), source.features.width());
        let of_row = form.map_or(0, TargetForm::width);
        let mut origin = source.origin();
        match (targets, &source.targets) {
            (Some(reader), TargetsFrom::Apart { rows, .. }) => {
                origin = rows.origin();
                raw.clear();
                let found = reader.read(first, count, raw)?;
                check_added(&origin, raw.len(), (found, count), (rows.width(), first))?;
                check_end(source, &origin, (first, count, found), reader)?;
            }
            // The numbers after the features.
            _ => {
                let mut kept = 0;
                for row in 0..count {
                    raw.copy_within(row * whole + width..(row + 1) * whole, kept);
                    kept += of_row;
                }
                raw.truncate(kept);
            }
        }
        check_finite(raw, (of_row, first), Part::Targets, &origin)?;
        match to {
            Targets::Values { data, .. } => data.extend_from_slice(raw),
            Targets::Classes { labels, classes } => {
                let is_class = |value: f32| {
                    value >= 0.0 && value.fract() == 0.0 && (value as u64) < *classes as u64
                };
                if let Some(row) = raw.iter().position(|&value| !is_class(value)) {
                    let value = raw.get(row).copied().unwrap_or_default();
                    let (row, classes) = (first + row, *classes);
                    return Err(SourceError::Label { origin, row, value, classes }.into());
                }
                labels.extend(raw.iter().map(|&value| value as u32));
            }
        }
        Ok(())
    }
}

/// # Errors
/// If a reader that found `found` of `count` rows from row `first` on ended before it was said to, or goes on after that.
fn check_end(
    source: &Source,
    origin: &Origin,
    (first, count, found): (usize, usize, usize),
    reader: &mut Box<dyn RowReader>,
) -> Result<(), DataError> {
    let said = source.whole_rows().unwrap_or(first + count);
    let origin = || origin.clone();
    if found < count {
        let found = first + found;
        return Err(SourceError::EndedEarly { origin: origin(), said, found }.into());
    }
    match first + count == said && reader.read(said, 1, &mut Vec::new())? > 0 {
        true => Err(SourceError::GoesOn { origin: origin(), said }.into()),
        false => Ok(()),
    }
}

/// Room for so many rows, if there is as much.
pub(super) fn reserved<T>(rows: usize, width: usize) -> Option<Vec<T>> {
    let mut room = Vec::new();
    room.try_reserve_exact(rows.checked_mul(width)?).ok()?;
    Some(room)
}

/// # Errors
/// Unless a reader that found `found` of `count` rows of `width` numbers, from row `first` on, added `added` numbers for
/// them.
pub(super) fn check_added(
    origin: &Origin,
    added: usize,
    (found, count): (usize, usize),
    (width, first): (usize, usize),
) -> Result<(), DataError> {
    if found <= count && found.checked_mul(width) == Some(added) {
        return Ok(());
    }
    Err(SourceError::Added { origin: origin.clone(), first, count, found, width, added }.into())
}

fn check_finite(
    values: &[f32],
    (width, first): (usize, usize),
    part: Part,
    origin: &Origin,
) -> Result<(), DataError> {
    match first_not_finite(values) {
        None => Ok(()),
        Some((at, value)) => {
            let (row, column, origin) = (first + at / width, at % width, origin.clone());
            Err(SourceError::NotFinite { origin, part, row, column, value }.into())
        }
    }
}
