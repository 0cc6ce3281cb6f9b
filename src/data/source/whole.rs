//! What is found by going over the rows of a source.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::rows::{Opened, check_added};
use super::windows::said;
use super::{BLOCK, EpochOrder, Pass, Source, Wanted, Window, Windows};
use crate::checksum::Checksum;
use crate::data::dataset::{Dataset, Targets};
use crate::data::error::{DataError, SourceError};
use crate::data::form::TargetForm;
use crate::data::moments::Moments;
use crate::data::rows::check_count;

/// Blocks that a source is known again by.
const SAMPLED: usize = 16;

impl Source {
    /// How many rows there are. If that is not known, they are read to the end, this once.
    ///
    /// # Errors
    /// If they cannot be read, or there are none.
    pub fn count(&self) -> Result<usize, DataError> {
        if self.rows().is_none() {
            let rows = self.guarded(|| self.count_all())?;
            let _ = self.counted.set(rows);
        }
        match self.rows() {
            Some(rows) if rows > 0 => Ok(rows),
            _ => Err(DataError::Empty { origin: self.origin() }),
        }
    }

    fn count_all(&self) -> Result<usize, DataError> {
        let (width, origin) = (self.features.width(), self.origin());
        // As many as fit a few MiB at a time.
        let at_once = (BLOCK / (4 * width).max(1)).max(1);
        let (mut reader, mut some, mut rows) = (self.features.open()?, Vec::new(), 0);
        loop {
            some.clear();
            let found = reader.read(rows, at_once, &mut some)?;
            check_added(&origin, some.len(), (found, at_once), (width, rows))?;
            rows += found;
            if found < at_once {
                return Ok(rows);
            }
        }
    }

    /// What `read` gives; of a panic in a program's own reader an error.
    fn guarded<T>(&self, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
        // What the reader leaves behind is not used again.
        catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|payload| {
            Err(SourceError::ReaderDied { origin: self.origin(), reason: said(payload) }.into())
        })
    }

    /// All rows in memory.
    ///
    /// # Errors
    /// If they cannot be read, have no targets, do not fit in memory, or are more than `u32` numbers.
    pub fn read(&self) -> Result<Dataset, DataError> {
        let rows = self.count()?;
        check_count(rows)?;
        let all = self.guarded(|| {
            let mut opened = Opened::new(self, Wanted::Pairs)?;
            let mut all = opened.room(rows)?;
            let of_block = self.rows_of_block();
            for first in (0..rows).step_by(of_block) {
                opened.read(first, of_block.min(rows - first), &mut all)?;
            }
            Ok(all)
        })?;
        let Some(targets) = all.targets else { return Err(self.no_targets()) };
        Ok(Dataset::of_checked(all.features, self.width(), targets, self.names.clone()))
    }

    /// The features of these rows, counted from 0, one row after another: a background for
    /// [`expected_gradients`](crate::explain::Explainer::expected_gradients), say, of rows that
    /// [`permutation`](crate::data::permutation) draws. They are read from the first to the last; of a text or an
    /// iterator that takes a pass.
    ///
    /// # Errors
    /// If there is no such row, or they cannot be read.
    pub fn rows_at(&self, rows: &[usize]) -> Result<Vec<f32>, DataError> {
        let all = self.count()?;
        if let Some(&row) = rows.iter().find(|&&row| row >= all) {
            return Err(DataError::RowOutOfRange { row, rows: all });
        }
        self.guarded(|| self.read_at(rows))
    }

    fn read_at(&self, rows: &[usize]) -> Result<Vec<f32>, DataError> {
        let mut order: Vec<(usize, usize)> = rows.iter().copied().zip(0..).collect();
        order.sort_unstable();
        let width = self.width();
        let mut opened = Opened::new(self, Wanted::Features)?;
        let mut found = opened.room(rows.len())?;
        let mut last = None;
        let mut all = vec![0.0; rows.len() * width];
        for (row, place) in order {
            if last != Some(row) {
                found.clear();
                opened.read(row, 1, &mut found)?;
                last = Some(row);
            }
            let to = all.get_mut(place * width..(place + 1) * width).unwrap_or_default();
            to.iter_mut().zip(&found.features).for_each(|(to, from)| *to = *from);
        }
        Ok(all)
    }

    /// All rows, some at a time in the order of the file, read ahead.
    pub(crate) fn each(
        &self,
        wanted: Wanted,
        mut take: impl FnMut(&Window) -> Result<(), DataError>,
    ) -> Result<(), DataError> {
        let pass = Arc::new(Pass::new(self, self.count()?, EpochOrder::AS_THEY_LIE)?);
        let windows = Windows::new(self, wanted);
        (0..pass.windows().len()).try_for_each(|number| {
            let window = windows.get(&pass, number)?;
            take(&window)
        })
    }

    /// `Σ(t - mean)²` over all targets that are numbers, the mean taken per column; of classes 0. They are read once, in
    /// a pass of their own: where they lie in a file of their own, that alone is read.
    pub(crate) fn spread_of_targets(&self) -> Result<f64, DataError> {
        let TargetForm::Values { width } = self.target_form()? else { return Ok(0.0) };
        if let Some(&known) = self.known.spread.get() {
            return Ok(known);
        }
        let mut moments = Moments::of_width(width);
        self.each(Wanted::Targets, |window| {
            if let Some(Targets::Values { data, .. }) = &window.rows.targets {
                moments.add(data);
            }
            Ok(())
        })?;
        let spread = moments.squared_distances().into_iter().sum();
        Ok(*self.known.spread.get_or_init(|| spread))
    }

    /// A number by which a training that was broken off knows its rows again: of their number and form, of blocks and
    /// window, and of what is in sixteen blocks, or in the first where they cannot be had in any order.
    pub(crate) fn checksum(&self) -> Result<u64, DataError> {
        if let Some(&known) = self.known.checksum.get() {
            return Ok(known);
        }
        let sum = self.guarded(|| self.sum_of_samples())?;
        Ok(*self.known.checksum.get_or_init(|| sum))
    }

    fn sum_of_samples(&self) -> Result<u64, DataError> {
        let (rows, of_block) = (self.count()?, self.rows_of_block());
        let shuffles = usize::from(self.shuffles_blocks());
        let mut sum = Checksum::new();
        for count in [rows, self.width(), of_block, self.rows_of_window(), shuffles, self.first] {
            sum = sum.count(count);
        }
        let mut opened = Opened::new(self, Wanted::Pairs)?;
        let (blocks, sampled) = (rows.div_ceil(of_block), if shuffles == 1 { SAMPLED } else { 1 });
        let last = blocks - 1;
        let mut places: Vec<usize> = match sampled {
            1 => vec![0],
            _ => (0..SAMPLED).map(|number| last * number / (SAMPLED - 1)).collect(),
        };
        places.dedup();
        for block in places {
            let first = block * of_block;
            let mut some = opened.room(of_block.min(rows - first))?;
            opened.read(first, of_block.min(rows - first), &mut some)?;
            sum = sum.numbers(&some.features);
            sum = match &some.targets {
                Some(targets) => targets.checksum(sum),
                None => sum,
            };
        }
        Ok(sum.value())
    }
}
