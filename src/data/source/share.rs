//! The part of a source's rows that a process needs: those of its lanes, in each batch.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The rows of each batch of a pass that are needed, by their places in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Rows of a pass, and of a full batch.
    rows: usize,
    batch: usize,
    /// Places in a full batch, and in the last one, in their order.
    full: Vec<Range<usize>>,
    last: Vec<Range<usize>>,
}

impl Share {
    /// Of passes over `rows` rows in batches of `batch`: those that `needed` names for a batch of so many rows, in
    /// their order. Nothing if that is all of them.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn new(
        rows: usize,
        batch: usize,
        needed: impl Fn(usize) -> Vec<Range<usize>>,
    ) -> Option<Self> {
        let batch = batch.min(rows).max(1);
        let rest = rows.checked_rem(batch).unwrap_or(0);
        let rest = if rest == 0 { batch } else { rest };
        let (full, last) = (needed(batch), needed(rest));
        let count = |ranges: &[Range<usize>]| ranges.iter().map(Range::len).sum::<usize>();
        let is_all = count(&full) == batch && count(&last) == rest;
        (!is_all).then_some(Self { rows, batch, full, last })
    }

    /// The places that are needed among these of a pass.
    pub(super) fn within(&self, places: &Range<usize>) -> Vec<usize> {
        let mut found = Vec::new();
        let first = places.start.checked_div(self.batch).unwrap_or(0);
        let begins = (first..).map(|number| number.saturating_mul(self.batch));
        for begin in begins.take_while(|&begin| begin < places.end) {
            let end = begin.saturating_add(self.batch);
            for range in if end < self.rows { &self.full } else { &self.last } {
                let from = begin.saturating_add(range.start).max(places.start);
                found.extend(from..begin.saturating_add(range.end).min(places.end));
            }
        }
        found
    }
}

/// What was read of a source, and what of it is in memory.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: AtomicU64,
    held: AtomicU64,
    most: AtomicU64,
}

impl Tally {
    /// Rows that were read, each as often as it was.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn rows_read(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    /// Bytes of rows that were in memory at once, at most.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn most_bytes(&self) -> u64 {
        self.most.load(Ordering::Relaxed)
    }

    pub(super) fn add_rows(&self, count: usize) {
        self.rows.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(super) fn hold(self: &Arc<Self>, bytes: u64) -> Holding {
        let before = self.held.fetch_add(bytes, Ordering::Relaxed);
        self.most.fetch_max(before.saturating_add(bytes), Ordering::Relaxed);
        Holding { tally: self.clone(), bytes }
    }
}

/// Bytes that are in memory as long as this is there.
#[derive(Debug)]
pub(crate) struct Holding {
    tally: Arc<Tally>,
    bytes: u64,
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.tally.held.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, clippy::single_range_in_vec_init)]
mod tests {
    use super::*;

    /// The middle half of each batch, and both ends of it.
    #[test]
    fn two_shares_have_every_place_once() {
        for (rows, batch) in [(62, 7), (8, 8), (5, 9), (64, 8), (1, 1)] {
            let middle = |count: usize| vec![count / 4..count * 3 / 4];
            let ends = |count: usize| vec![0..count / 4, count * 3 / 4..count];
            for window in [1, 3, 15, rows] {
                let mut seen = vec![0; rows];
                for start in (0..rows).step_by(window) {
                    let window = start..(start + window).min(rows);
                    for share in [Share::new(rows, batch, middle), Share::new(rows, batch, ends)] {
                        let places = share.map_or(window.clone().collect(), |s| s.within(&window));
                        assert!(places.is_sorted() && places.iter().all(|p| window.contains(p)));
                        places.into_iter().for_each(|place| seen[place] += 1);
                    }
                }
                assert_eq!(
                    seen,
                    vec![1; rows],
                    "{rows} in batches of {batch}, windows of {window}"
                );
            }
        }
        assert_eq!(Share::new(10, 4, |count| vec![0..1, 1..count]), None);
    }
}
