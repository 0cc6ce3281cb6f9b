//! Layer normalization. Its gradients are checked with those of all other cases, in `gradients.rs`.

use std::sync::Arc;

use crate::common::gpu;
use crate::support::parallel::trains_the_same_everywhere;
use crate::support::{close, f64s};
use wgrad::data::Dataset;
use wgrad::graph::Shape;
use wgrad::nn::layers::LayerNorm;
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

/// Rows of 6 features, and a number to learn of each.
fn data() -> Dataset {
    let features: Vec<f32> =
        (0..100 * 6).map(|i| ((i * 7919) % 1013) as f32 / 50.0 + 3.0).collect();
    let targets = features.chunks(6).map(|row| (row[0] - row[1]) / 20.0).collect();
    Dataset::regression(features, 6, targets, 1).unwrap()
}

/// The formula, with ε = 1e-5, for each `width` numbers.
fn normalized(values: &[f64], width: usize, gain: &[f64], bias: &[f64]) -> Vec<f64> {
    let n = width as f64;
    let of_row = |row: &[f64]| {
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let normal = row.iter().map(|x| (x - mean) / (variance + 1e-5).sqrt());
        normal.zip(gain.iter().zip(bias)).map(|(x, (g, b))| g * x + b).collect::<Vec<_>>()
    };
    values.chunks(width).flat_map(of_row).collect()
}

#[test]
fn outputs_are_those_of_the_formula() {
    let mut features = data().features().to_vec();
    // A row of equal numbers, and one of large ones.
    features[..6].fill(0.1);
    features[6..12].copy_from_slice(&[1e4, 2e4, -1e4, 0.0, 3.0, 5e4]);
    for shape in [Shape::from(6), Shape::from([2, 3]), Shape::from([3, 1, 2])] {
        let width = shape.columns();
        let net = Sequential::new(shape).layer_norm();
        let mut model = net.compile_blocking(&gpu(), adam()).unwrap();
        let plain = normalized(&f64s(&features), width, &[1.0; 6][..width], &[0.0; 6]);
        // What is near zero is the difference of numbers near the mean.
        close("outputs", &model.predict_blocking(&features).unwrap(), &plain, 1e-5, 1e-5);
        let gain: Vec<f32> = (0..width).map(|i| i as f32 - 0.75).collect();
        let bias: Vec<f32> = (0..width).map(|i| 0.5 * i as f32 + 1.0).collect();
        model.set_weights(&[gain.clone(), bias.clone()]).unwrap();
        let expected = normalized(&f64s(&features), width, &f64s(&gain), &f64s(&bias));
        close("with weights", &model.predict_blocking(&features).unwrap(), &expected, 1e-5, 5e-5);
    }
}

#[test]
fn they_train_to_the_same_bits_everywhere() {
    let net = Sequential::new(6).layer_norm().dense(9).layer_norm().tanh().dense(1).seed(5);
    trains_the_same_everywhere(&net, &adam(), &Arc::new(data()), "layer 0 (layer_norm)");
}

#[test]
fn what_does_not_fit_is_named() {
    for epsilon in [0.0, -1.0, f32::NAN, f32::INFINITY] {
        let error = Sequential::new(3).layer(LayerNorm { epsilon }).parameters();
        let error = error.expect_err("no positive number").to_string();
        assert!(error.contains("epsilon of layer 0 (layer_norm) is"), "{error}");
    }
    // Rows of no axis have nothing to take a mean over, and none is taken over the batch.
    let error = Sequential::new([]).layer_norm().parameters().expect_err("no axis").to_string();
    assert!(error.contains("layer 0 (layer_norm): mean: axes 1..2"), "{error}");
    let error = Sequential::new([]).softmax().dense(1).parameters().expect_err("no axis");
    assert!(error.to_string().contains("layer 0 (softmax): softmax: axes 1..2"), "{error}");
}
