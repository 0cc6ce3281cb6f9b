//! The order in which rows are visited.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};

/// The rows `0..rows` in an order drawn from `seed`: the same on every machine, in every version
/// of this crate.
///
/// No order is favoured by the drawing (of more than 20 rows, 64 bits of seed reach only some
/// orders). Rows are numbered in 32 bits, as they are on the GPU: a
/// [`Dataset`](super::Dataset) never has more, and rows from 2³² up would be left out.
pub fn permutation(rows: usize, seed: u64) -> Vec<u32> {
    // The generator and the sampling are both spelled out, since rand promises to keep neither its
    // default generator nor the algorithms of its `shuffle` and `random_range`.
    let mut generator = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<u32> = (0..=u32::MAX).take(rows).collect();
    for last in (1..order.len()).rev() {
        let other = below(&mut generator, last as u64 + 1);
        order.swap(last, other as usize);
    }
    order
}

/// The order in which [`Model::fit`](crate::train::Model::fit) draws `rows` rows in epoch `epoch` of a model's life, counted from 0 over
/// all calls of `fit`.
pub fn epoch_order(rows: usize, seed: u64, epoch: u64) -> Vec<u32> {
    permutation(rows, epoch_seed(seed, epoch))
}

/// The seed of the order of epoch `epoch`, counted from 0.
pub(super) fn epoch_seed(seed: u64, epoch: u64) -> u64 {
    // The constant spreads neighbouring seeds (Steele et al., 2014).
    seed.wrapping_add(epoch.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// A number below `bound`, which has at most 32 bits: the share of `bound` that a 64-bit draw is of
/// 2⁶⁴. No result is likelier than another by more than one part in 2³².
fn below(generator: &mut impl Rng, bound: u64) -> u64 {
    ((u128::from(generator.next_u64()) * u128::from(bound)) >> 64) as u64
}
