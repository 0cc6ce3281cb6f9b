//! The fixed tree in which the gradients of micro-batches are summed.
//!
//! Micro-batches are the leaves of a binary tree over their numbers. Complete subtrees are summed
//! first, pairwise; where the number of micro-batches is no power of two, the subtrees that are left
//! are added from the last to the first. So the order of additions depends on the number of
//! micro-batches alone, whoever computes them: a lane that has a contiguous share of them sums the
//! complete subtrees inside it, and the rest is the same wherever it is done.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

/// A complete subtree: the micro-batches `start..start + 2^level`, `start` a multiple of `2^level`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// First micro-batch.
    pub start: usize,
    /// log₂ of their number.
    pub level: u32,
}

impl Block {
    /// One micro-batch.
    pub fn leaf(micro_batch: usize) -> Self {
        Self { start: micro_batch, level: 0 }
    }

    /// Whether the two are the halves of a subtree.
    fn joins(self, right: Self) -> bool {
        // No subtree is larger than all numbers there are.
        let Some(leaves) = 1_usize.checked_shl(self.level) else { return false };
        self.level == right.level
            && self.start.checked_shr(self.level).is_some_and(|number| number.is_multiple_of(2))
            && self.start.checked_add(leaves) == Some(right.start)
    }
}

/// Sums waiting for their right sibling, with room for one in each position of a stack.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    stack: Vec<Block>,
}

/// What to do with a sum that was just computed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Add these positions of the stack to it, in this order, each from the left.
    pub adds: Vec<usize>,
    /// Then store it here.
    pub store: usize,
}

impl Tree {
    /// Takes in the next block, from left to right.
    pub fn push(&mut self, mut block: Block) -> Push {
        let mut adds = Vec::new();
        while let Some(left) = self.stack.pop_if(|left| left.joins(block)) {
            adds.push(self.stack.len());
            block = Block { start: left.start, level: left.level.saturating_add(1) };
        }
        let store = self.stack.len();
        self.stack.push(block);
        Push { adds, store }
    }

    /// The positions to add to the block pushed last, in this order, for the sum of all.
    pub fn finish(&self) -> impl Iterator<Item = usize> + use<> {
        (0..self.stack.len().saturating_sub(1)).rev()
    }

    /// The blocks in the stack.
    pub fn blocks(&self) -> &[Block] {
        &self.stack
    }
}

/// The complete subtrees that the micro-batches of a lane's share sum to.
pub fn blocks(share: Range<usize>) -> Vec<Block> {
    let mut tree = Tree::default();
    share.for_each(|micro_batch| {
        tree.push(Block::leaf(micro_batch));
    });
    tree.stack
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    /// Numbers whose sum shows the order of additions.
    fn expression(shares: &[Range<usize>]) -> String {
        let sum = |a: &String, b: &String| format!("({a}+{b})");
        let mut leaves = Vec::new();
        for share in shares {
            let mut tree = Tree::default();
            let mut stack: Vec<String> = Vec::new();
            for micro_batch in share.clone() {
                let push = tree.push(Block::leaf(micro_batch));
                let value = push
                    .adds
                    .iter()
                    .fold(micro_batch.to_string(), |value, &at| sum(&stack[at], &value));
                stack.truncate(push.store);
                stack.push(value);
            }
            leaves.extend(tree.blocks().iter().copied().zip(stack));
        }
        let mut tree = Tree::default();
        let mut stack: Vec<String> = Vec::new();
        for (block, value) in leaves {
            let push = tree.push(block);
            let value = push.adds.iter().fold(value, |value, &at| sum(&stack[at], &value));
            stack.truncate(push.store);
            stack.push(value);
        }
        let last = stack.last().cloned().unwrap_or_default();
        tree.finish().fold(last, |value, at| sum(&stack[at], &value))
    }

    #[test]
    fn blocks_at_the_end_of_all_numbers_do_not_wrap() {
        for level in [63, 64, u32::MAX] {
            let mut tree = Tree::default();
            for start in [0, 1, usize::MAX - 1, usize::MAX] {
                let push = tree.push(Block { start, level });
                assert!(push.adds.is_empty(), "{level}, {start}");
            }
        }
        let mut tree = Tree::default();
        tree.push(Block { start: 0, level: 63 });
        assert_eq!(tree.push(Block { start: 1 << 63, level: 63 }).adds, [0]);
    }

    #[test]
    fn a_tree_of_five() {
        assert_eq!(expression(std::slice::from_ref(&(0..5))), "(((0+1)+(2+3))+4)");
    }

    #[test]
    fn shares_do_not_change_the_order() {
        for count in 1..20 {
            let whole = expression(std::slice::from_ref(&(0..count)));
            for a in 0..=count {
                for b in a..=count {
                    assert_eq!(expression(&[0..a, a..b, b..count]), whole, "{count} at {a}, {b}");
                }
            }
        }
    }
}
