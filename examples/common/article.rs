//! The network and the data of `data_parallel`, `task_parallel` and `sgd_vs_batch`.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use wgrad::data::Dataset;
use wgrad::nn::Sequential;

use super::Outcome;

/// Features per sample.
pub const FEATURES: usize = 10;
/// Units of the hidden layer.
pub const HIDDEN: usize = 64;
/// Samples.
pub const SAMPLES: usize = 1000;
/// Samples per step.
pub const BATCH: usize = 32;
/// η of plain gradient descent.
pub const LEARNING_RATE: f32 = 0.05;
/// Where the samples and the first weights come from.
pub const SEED: u64 = 42;

/// 10 features → 64 units with ReLU → 1 number.
pub fn network() -> Sequential {
    Sequential::new(FEATURES).dense(HIDDEN).relu().dense(1).seed(SEED)
}

/// `rows` random samples: features uniform in ±1, and a target that bends with some of them, with a
/// little noise on top. They come in random order, so training takes them as they come.
pub fn samples(rows: usize) -> Outcome<Dataset> {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(SEED);
    let mut uniform = move || 2.0 * random.random::<f32>() - 1.0;
    let features: Vec<f32> = (0..rows * FEATURES).map(|_| uniform()).collect();
    let target = |row: &[f32]| match *row {
        [a, b, c, d, ..] => (2.0 * a).sin() + b * c + 0.5 * d,
        _ => 0.0,
    };
    let targets = features.chunks(FEATURES).map(|row| target(row) + 0.1 * uniform()).collect();
    Ok(Dataset::regression(features, FEATURES, targets, 1)?)
}
