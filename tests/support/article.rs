//! The article's network, and rows for it.

use wgrad::Gpu;
use wgrad::data::Dataset;
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{Compile, Kernels, Model};

pub fn article_data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 10).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Dataset::regression(features, 10, targets, 1).unwrap()
}

pub fn article_net() -> Sequential {
    Sequential::new(10).dense(64).relu().dense(1).seed(42)
}

pub fn article(gpu: &Gpu, optimizer: Optimizer, kernels: Kernels) -> Model {
    let compile = Compile::new(Loss::MeanSquaredError, optimizer).kernels(kernels);
    article_net().compile_blocking(gpu, compile).unwrap()
}
