//! The order in which a pass goes over the rows of a source.
#![deny(clippy::arithmetic_side_effects)]

use crate::data::error::{DataError, SourceError};
use crate::data::shuffle::{epoch_seed, permutation};

use super::Source;

/// The order of the rows of an epoch: drawn from a seed and the epoch's number, or as they lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EpochOrder {
    pub(crate) seed: Option<u64>,
    /// Counted from 0 over a model's life.
    pub(crate) epoch: u64,
}

impl EpochOrder {
    /// As the rows lie.
    pub(crate) const AS_THEY_LIE: Self = Self { seed: None, epoch: 0 };

    /// That of epoch `epoch`.
    pub(crate) fn new(seed: Option<u64>, epoch: u64) -> Self {
        Self { seed, epoch: if seed.is_some() { epoch } else { 0 } }
    }

    /// That of the epoch after.
    fn next(self) -> Self {
        Self::new(self.seed, self.epoch.wrapping_add(1))
    }

    fn seed(self) -> Option<u64> {
        self.seed.map(|seed| epoch_seed(seed, self.epoch))
    }
}

/// A part of a pass whose rows are in memory together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Rows of the pass before it.
    pub(crate) start: usize,
    pub(crate) rows: usize,
    /// Its blocks, as they lie in the source.
    pub(crate) blocks: Vec<usize>,
    /// What its rows are shuffled from, if they are.
    pub(crate) seed: Option<u64>,
}

/// A pass over all rows of a source, window by window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pass {
    pub(crate) order: EpochOrder,
    windows: Vec<Planned>,
}

/// Bytes of a window in which nothing is shuffled, at most, unless a block has more: enough to read ahead.
const UNSHUFFLED: usize = 8 << 20;

/// Spreads the seeds of the windows of an epoch; that of the first is the epoch's own. Odd, so that they all differ.
const OF_WINDOW: u64 = 0xd1b5_4a32_d192_ed03;

/// Makes another seed of an epoch's, for its blocks.
const OF_BLOCKS: u64 = 0x8bb8_4b93_962e_acc9;

impl Pass {
    /// Over the `rows` rows of a source. Its blocks are drawn in an order of their own, where they can be had in any;
    /// as many of them as a window holds are put together, as they lie, and the rows of these are drawn in an order
    /// of their own.
    ///
    /// # Errors
    /// [`SourceError::Window`] if rows of a window, or blocks, are more than 32 bits number.
    pub(crate) fn new(source: &Source, rows: usize, order: EpochOrder) -> Result<Self, DataError> {
        let of_block = source.rows_of_block();
        let seed = order.seed();
        let of_window = match seed {
            Some(_) => source.rows_of_window(),
            None => UNSHUFFLED.checked_div(source.row_bytes()).unwrap_or(0),
        };
        let at_once = of_window.checked_div(of_block).unwrap_or(0).max(1);
        let count = rows.div_ceil(of_block);
        let longest = at_once.min(count).saturating_mul(of_block).min(rows);
        if u32::try_from(longest).is_err() || u32::try_from(count).is_err() {
            let origin = source.origin();
            return Err(SourceError::Window { origin, rows: longest.max(count) }.into());
        }
        let blocks: Vec<usize> = match seed {
            Some(seed) if source.shuffles_blocks() && count > at_once => {
                let drawn = permutation(count, seed ^ OF_BLOCKS);
                drawn.into_iter().map(|block| block as usize).collect()
            }
            _ => (0..count).collect(),
        };
        let mut start = 0_usize;
        let window = |(number, blocks): (usize, &[usize])| {
            let mut blocks = blocks.to_vec();
            blocks.sort_unstable();
            let of =
                |&block: &usize| rows.saturating_sub(block.saturating_mul(of_block)).min(of_block);
            let rows = blocks.iter().map(of).sum();
            let seed = seed.map(|seed| seed ^ (number as u64).wrapping_mul(OF_WINDOW));
            let planned = Planned { start, rows, blocks, seed };
            start = start.saturating_add(rows);
            planned
        };
        Ok(Self { order, windows: blocks.chunks(at_once).enumerate().map(window).collect() })
    }

    /// That of the epoch after, over as many rows.
    pub(crate) fn next(&self, source: &Source) -> Result<Self, DataError> {
        let rows = self.windows.iter().map(|window| window.rows).sum();
        Self::new(source, rows, self.order.next())
    }

    pub(crate) fn windows(&self) -> &[Planned] {
        &self.windows
    }

    /// The window that has the row at this place of the pass.
    pub(crate) fn window_at(&self, place: usize) -> usize {
        self.windows.partition_point(|window| window.start <= place).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Dataset;

    fn source(rows: usize, block: usize, window: usize) -> Source {
        let numbers: Vec<f32> = (0..rows).map(|row| row as f32).collect();
        let data = Dataset::regression(numbers.clone(), 1, numbers, 1).unwrap();
        let source = Source::dataset(data).unwrap();
        source.block_rows(block).unwrap().window_rows(window).unwrap()
    }

    fn seeded(seed: u64, epoch: u64) -> EpochOrder {
        EpochOrder::new(Some(seed), epoch)
    }

    #[test]
    fn every_block_comes_once_and_windows_are_bounded() {
        for (rows, block, window) in [
            (1, 1, 1),
            (13, 5, 10),
            (13, 5, 3),
            (12, 3, 100),
            (100, 7, 20),
            (64, 8, 16),
            (9, 10, 4),
        ] {
            let source = source(rows, block, window);
            for order in [EpochOrder::AS_THEY_LIE, seeded(3, 0), seeded(3, 1)] {
                let pass = Pass::new(&source, rows, order).unwrap();
                let mut blocks: Vec<usize> =
                    pass.windows().iter().flat_map(|window| window.blocks.clone()).collect();
                let mut start = 0;
                for (number, planned) in pass.windows().iter().enumerate() {
                    assert_eq!(planned.start, start);
                    assert!(planned.rows > 0 && planned.blocks.is_sorted());
                    let most = if order.seed.is_some() { window.max(block) } else { rows };
                    assert!(planned.rows <= most, "{rows} {block} {window}: {planned:?}");
                    for place in start..start + planned.rows {
                        assert_eq!(pass.window_at(place), number);
                    }
                    start += planned.rows;
                }
                assert_eq!(start, rows);
                blocks.sort_unstable();
                assert_eq!(blocks, (0..rows.div_ceil(block)).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn orders_differ_by_seed_and_epoch_and_stay_where_they_must() {
        let blocks = |source: &Source, order| -> Vec<usize> {
            let pass = Pass::new(source, 100, order).unwrap();
            pass.windows().iter().flat_map(|window| window.blocks.clone()).collect()
        };
        let shuffled = source(100, 2, 2);
        let first = blocks(&shuffled, seeded(1, 0));
        assert_eq!(first, blocks(&shuffled, seeded(1, 0)));
        let others = [seeded(2, 0), seeded(1, 1), EpochOrder::AS_THEY_LIE];
        others.iter().for_each(|&order| assert_ne!(first, blocks(&shuffled, order)));
        let pass = Pass::new(&shuffled, 100, seeded(1, 0)).unwrap();
        assert_eq!(pass.next(&shuffled).unwrap(), Pass::new(&shuffled, 100, seeded(1, 1)).unwrap());
        // No two windows of an epoch are shuffled alike.
        let mut seeds: Vec<_> = pass.windows().iter().map(|window| window.seed).collect();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), 50);
        let kept = shuffled.clone().blocks_in_order();
        assert_eq!(blocks(&kept, seeded(1, 0)), (0..50).collect::<Vec<_>>());
        // All rows in one window are drawn as those of a data set are.
        let whole = Pass::new(&source(100, 2, 100), 100, seeded(9, 4)).unwrap();
        assert_eq!(whole.windows().len(), 1);
        assert_eq!(whole.windows()[0].seed, Some(epoch_seed(9, 4)));
    }

    #[test]
    fn rows_of_a_window_are_numbered_in_32_bits() {
        let rows = 1 << 33;
        let error = Pass::new(&source(4, 1 << 32, 1 << 32), rows, seeded(0, 0)).unwrap_err();
        assert!(error.to_string().contains("4294967296 rows"), "{error}");
        let pass = Pass::new(&source(4, 1 << 31, 1 << 31), rows, seeded(0, 0)).unwrap();
        assert_eq!(pass.windows().iter().map(|window| window.rows).sum::<usize>(), rows);
    }
}
