//! Residual blocks. Their gradients are checked with those of all other cases, in `gradients.rs`.

use std::sync::Arc;

use crate::common::gpu;
use crate::support::parallel::trains_the_same_everywhere;
use crate::support::{close, f64s};
use wgrad::data::Dataset;
use wgrad::nn::layers::Residual;
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

/// Rows of 4 features, and a number to learn of each.
fn data() -> Dataset {
    let features: Vec<f32> =
        (0..100 * 4).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] * row[1] - row[2]).collect();
    Dataset::regression(features, 4, targets, 1).unwrap()
}

fn net() -> Sequential {
    let block = |layers: Sequential| layers.relu().dense(7).relu().dense(9);
    Sequential::new(4).dense(9).residual(block).residual(block).dense(1).seed(2)
}

#[test]
fn names_and_numbers_follow_the_block() {
    let specs = net().parameters().unwrap();
    let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
    assert_eq!(names[2], "residual_1.dense_1.weight");
    assert_eq!(names[9], "residual_2.dense_3.bias");
    assert_ne!(specs[2].initial, specs[6].initial);
    let line = format!("{:<24}{:<16}{:>12}", "residual_2", "(?, 9)", 9 * 7 + 7 + 7 * 9 + 9);
    assert!(net().summary().to_string().contains(&line), "{}", net().summary());
}

#[test]
fn outputs_are_those_of_the_formula() {
    let net = Sequential::new(4).residual(|layers| layers.dense(4).tanh());
    let model = net.clone().compile_blocking(&gpu(), adam()).unwrap();
    let found = model.predict_blocking(data().features()).unwrap();
    let weight = f64s(&net.parameters().unwrap()[0].initial);
    let features = f64s(data().features());
    let unit = |row: &[f64], j: usize| (0..4).map(|i| row[i] * weight[4 * i + j]).sum::<f64>();
    let of_row = |row: &[f64]| (0..4).map(|j| row[j] + unit(row, j).tanh()).collect::<Vec<_>>();
    let expected: Vec<f64> = features.chunks(4).flat_map(of_row).collect();
    close("outputs", &found, &expected, 1e-6, 1e-6);
}

#[test]
fn they_train_to_the_same_bits_everywhere() {
    trains_the_same_everywhere(&net(), &adam(), &Arc::new(data()), "layer 1 (residual)");
}

#[test]
fn shapes_that_cannot_be_added_are_named() {
    let said = |net: Sequential| net.parameters().expect_err("another shape").to_string();
    let error = said(Sequential::new(4).dense(9).residual(|layers| layers.dense(8)));
    for words in ["layer 1 (residual): sum", "rows of 9 go", "rows of 8 come out", "give 9"] {
        assert!(error.contains(words), "{error}");
    }
    let error = said(Sequential::new(4).residual(|layers| layers.dense(4).dense(0)));
    assert!(error.contains("units of layer 1 (dense) of layer 0 (residual) is 0"), "{error}");
    // The layers count, not the model that they were put together in.
    let block = Residual::new(Sequential::new(1).dense(5));
    assert!(said(Sequential::new(4).layer(block.clone())).contains("rows of 4 go"));
    assert!(Sequential::new(5).layer(block).parameters().is_ok());
    let error = said(Sequential::new(4).dense(0).residual(|layers| layers.dense(4)));
    assert!(error.contains("units of layer 0 (dense) is 0"), "{error}");
}
