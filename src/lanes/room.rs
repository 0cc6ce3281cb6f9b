//! The sizes of what a lane holds.
#![deny(clippy::arithmetic_side_effects)]

use super::ParallelOptions;
use super::tree::{self, Block, Tree};
use crate::lanes::schedule;
use crate::train::Residency;

/// The sizes that a lane's buffers are made for.
#[derive(Debug)]
pub(super) struct Room {
    /// Rows of a full batch.
    pub(super) batch: usize,
    pub(super) residency: Residency,
    /// The sizes of micro-batches that occur, each with the rows of its batch.
    pub(super) sizes: Vec<(usize, usize)>,
    /// Blocks that the sums of one step need, and most of them that one share needs.
    pub(super) blocks: usize,
    pub(super) own_blocks: usize,
    /// The height of the stack that merges them.
    pub(super) stack: usize,
}

impl Room {
    pub(super) fn new(rows: usize, options: &ParallelOptions, weights: &[usize]) -> Self {
        let (mut sizes, mut blocks, mut stack, mut own_blocks) = (Vec::new(), 1, 0, 1);
        let batch = options.batch.min(rows);
        for batch in batch_sizes(rows, batch) {
            let micro_batches = schedule::micro_batches(batch, options.micro_batches);
            for rows in &micro_batches {
                if !sizes.contains(&(rows.len(), batch)) {
                    sizes.push((rows.len(), batch));
                }
            }
            let shares = schedule::shares(micro_batches.len(), weights);
            let all: Vec<Vec<Block>> = shares.iter().map(|s| tree::blocks(s.clone())).collect();
            let mut first = 0_usize;
            for (share, own) in shares.iter().zip(&all) {
                let mut tree = Tree::default();
                for micro_batch in share.clone() {
                    let store = tree.push(Block::leaf(micro_batch)).store;
                    blocks = blocks.max(first.saturating_add(store).saturating_add(1));
                    own_blocks = own_blocks.max(store.saturating_add(1));
                }
                first = first.saturating_add(own.len());
            }
            blocks = blocks.max(first);
            if shares.len() > 1 {
                let mut tree = Tree::default();
                for block in all.into_iter().flatten() {
                    stack = stack.max(tree.push(block).store.saturating_add(1));
                }
            }
        }
        Self { batch, residency: options.residency, sizes, blocks, own_blocks, stack }
    }
}

/// Rows of a full batch, and of the last one if it has fewer.
fn batch_sizes(rows: usize, full: usize) -> Vec<usize> {
    match rows.checked_rem(full) {
        None | Some(0) => vec![full],
        Some(rest) => vec![full, rest],
    }
}
