//! The features of a source, some rows at a time.

use std::sync::Arc;

use super::rows::reserved;
use super::{EpochOrder, Pass, Source, Wanted, Window, Windows};
use crate::data::error::DataError;
use crate::data::origin::Origin;

/// The features of a source in the order in which they lie, so many rows at a time, the last time those that are
/// left: from [`Source::feature_batches`]. After an error it ends.
#[derive(Debug)]
pub struct FeatureBatches {
    origin: Origin,
    windows: Windows,
    pass: Arc<Pass>,
    current: Option<(usize, Arc<Window>)>,
    width: usize,
    /// All rows, and those of a batch.
    all: usize,
    rows: usize,
    /// The row that comes next.
    next: usize,
}

impl FeatureBatches {
    pub(super) fn new(source: &Source, rows: usize) -> Result<Self, DataError> {
        let all = source.count()?;
        Ok(Self {
            origin: source.origin(),
            windows: Windows::new(source, Wanted::Features),
            pass: Arc::new(Pass::new(source, all, EpochOrder::AS_THEY_LIE)?),
            current: None,
            width: source.width(),
            all,
            rows,
            next: 0,
        })
    }

    fn read(&mut self, first: usize, end: usize) -> Result<Vec<f32>, DataError> {
        let width = self.width;
        let too_large = || {
            let (origin, rows) = (self.origin.clone(), end - first);
            DataError::TooLarge { origin, rows, width }
        };
        let mut rows = reserved(end - first, width).ok_or_else(too_large)?;
        let mut at = first;
        while at < end {
            let number = self.pass.window_at(at);
            let window = match self.current.take() {
                Some((of, window)) if of == number => window,
                // The one before is given up first.
                _ => self.windows.get(&self.pass, number)?,
            };
            let until = end.min(window.start + window.count());
            let numbers = (at - window.start) * width..(until - window.start) * width;
            rows.extend_from_slice(window.rows.features.get(numbers).unwrap_or_default());
            self.current = Some((number, window));
            at = until;
        }
        Ok(rows)
    }
}

impl Iterator for FeatureBatches {
    type Item = Result<Vec<f32>, DataError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.next;
        let end = first.saturating_add(self.rows).min(self.all);
        if first >= end {
            return None;
        }
        let read = self.read(first, end);
        self.next = if read.is_ok() { end } else { self.all };
        Some(read)
    }
}
