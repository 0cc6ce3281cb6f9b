//! What a classifier says: classes, probabilities and how many are right; and what it says of outputs that
//! are not finite.

use crate::common;
use crate::common::gpu;
use crate::common::training::{compile_on, kinds, weight_bits};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::graph::Unary;
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Model, TrainingConfig};

/// A feature of these rows is a logit times this.
const UNIT: f32 = 1e-30;

/// The features of a row whose outputs are all NaN: 1e60 - 1e60.
const BAD: [f32; 2] = [1e30, 1e30];

/// A layer of `outputs` logits, each the first feature / [`UNIT`] times one of `signs`; what the second
/// feature does shows only where it is large.
fn model(loss: Loss, signs: &[f32]) -> Model {
    let net = Sequential::new(2).dense(signs.len());
    let compile = TrainingConfig::new(loss, Optimizer::sgd(0.1));
    let compile = match loss {
        Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. } => compile,
        _ => compile.metric(Metric::Accuracy),
    };
    let mut model = net.compile_blocking(&gpu(), compile).unwrap();
    let of = |sign: f32| signs.iter().map(move |s| sign * s / UNIT);
    let weights: Vec<f32> = of(1.0).chain(of(-1.0)).collect();
    model.set_weights(&[weights, vec![0.0; signs.len()]]).unwrap();
    model
}

/// Features of rows with these logits.
fn rows(logits: &[f32]) -> Vec<f32> {
    logits.iter().flat_map(|z| [z * UNIT, 0.0]).collect()
}

#[test]
fn one_output_is_yes_or_no() {
    let logits = [2.0, -1.0, 0.5, -0.25, 0.0, -0.0, 1e-3];
    let model = model(Loss::BinaryCrossEntropy, &[1.0]);
    let found = model.predict_classes_blocking(&rows(&logits)).unwrap();
    assert_eq!(found, [1, 0, 1, 0, 0, 0, 1]);
    let probabilities = model.predict_probabilities_blocking(&rows(&logits)).unwrap();
    for (p, class) in probabilities.iter().zip(&found) {
        assert_eq!(*p > 0.5, *class == 1, "{p}");
    }
}

#[test]
fn the_first_of_equals_is_the_class() {
    let model = model(Loss::SoftmaxCrossEntropy, &[1.0, 1.0, -1.0, -1.0]);
    let found = model.predict_classes_blocking(&rows(&[1.0, -1.0, 0.0])).unwrap();
    assert_eq!(found, [0, 2, 0]);
}

fn message<T: std::fmt::Debug>(result: Result<T, Error>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "'{part}' is not in: {error}");
    }
}

/// Values have no classes and no probabilities; several answers are no one class.
#[test]
fn what_has_no_class_is_an_error() {
    let x = rows(&[1.0]);
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber { delta: 1.0 }] {
        for signs in [&[1.0][..], &[1.0, -1.0]] {
            let model = model(loss, signs);
            let remedy = [loss.name(), "use `predict`"];
            message(model.predict_classes_blocking(&x), &[&remedy[..], &["classes"]].concat());
            let parts = [&remedy[..], &["probabilities"]].concat();
            message(model.predict_probabilities_blocking(&x), &parts);
        }
    }
    let model = model(Loss::BinaryCrossEntropy, &[1.0, -1.0, 1.0]);
    message(model.predict_classes_blocking(&x), &["3 outputs", "predict_probabilities"]);
    assert_eq!(model.predict_probabilities_blocking(&x).unwrap().len(), 3);
}

#[test]
fn a_row_of_nan_has_no_class_and_is_never_right() {
    for (loss, signs) in [
        (Loss::BinaryCrossEntropy, &[1.0][..]),
        (Loss::SoftmaxCrossEntropy, &[1.0, -1.0]),
        (Loss::SoftmaxCrossEntropyProbabilities, &[1.0, -1.0, 1.0]),
    ] {
        let model = model(loss, signs);
        let x = [rows(&[1.0, 2.0]), BAD.to_vec(), rows(&[1.0])].concat();
        let outputs = model.predict_blocking(&x).unwrap();
        let width = signs.len();
        assert!(outputs[2 * width..3 * width].iter().all(|z| z.is_nan()), "{outputs:?}");
        let parts = ["output 0 of row 2", "NaN", "features"];
        message(model.predict_classes_blocking(&x), &parts);
        message(model.predict_probabilities_blocking(&x), &parts);
        // Rows whose first class, or none, is meant: that is where NaN was thought to be.
        let x = [BAD.to_vec(), rows(&[1.0, -1.0, 1.0]), BAD.to_vec(), BAD.to_vec()].concat();
        let data = match loss {
            Loss::SoftmaxCrossEntropy => Dataset::classification(x, 2, vec![0; 6], width).unwrap(),
            Loss::BinaryCrossEntropy => Dataset::regression(x, 2, vec![0.0; 6], 1).unwrap(),
            _ => Dataset::regression(x, 2, [1.0, 0.0, 0.0].repeat(6), 3).unwrap(),
        };
        let right = if loss == Loss::BinaryCrossEntropy { 1.0 } else { 2.0 };
        let found = model.evaluate_blocking(&data).unwrap().metric(Metric::Accuracy);
        assert_eq!(found, Some(right / 6.0), "{loss:?}");
    }
}

/// Infinite logits: a sure class, and probabilities as far as they are known.
#[test]
fn infinite_outputs() {
    let classes = model(Loss::SoftmaxCrossEntropy, &[-1e5, 1e5, 0.0]);
    let x = rows(&[1e37]);
    assert_eq!(classes.predict_classes_blocking(&x).unwrap(), [1]);
    message(classes.predict_probabilities_blocking(&x), &["output 1 of row 0", "inf"]);
    let never = model(Loss::SoftmaxCrossEntropy, &[-1e5, 0.0]);
    assert_eq!(never.predict_probabilities_blocking(&x).unwrap(), [0.0, 1.0]);
    let binary = model(Loss::BinaryCrossEntropy, &[1e5]);
    let x = rows(&[1e37, -1e37]);
    assert_eq!(binary.predict_probabilities_blocking(&x).unwrap(), [1.0, 0.0]);
    assert_eq!(binary.predict_classes_blocking(&x).unwrap(), [1, 0]);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 16,
        rng_seed: RngSeed::Fixed(6),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever is predicted agrees with the accuracy that `evaluate` finds.
    #[test]
    fn classes_are_those_that_accuracy_counts(
        logits in prop::collection::vec(-3.0f32..3.0, 1..40),
        signs in prop::collection::vec(-2.0f32..2.0, 1..6),
        label: u32,
    ) {
        let width = signs.len();
        let n = logits.len();
        let (model, data) = if width == 1 {
            let target = (label % 2) as f32;
            let data = Dataset::regression(rows(&logits), 2, vec![target; n], 1).unwrap();
            (model(Loss::BinaryCrossEntropy, &signs), data)
        } else {
            let labels = vec![label % width as u32; n];
            let data = Dataset::classification(rows(&logits), 2, labels, width).unwrap();
            (model(Loss::SoftmaxCrossEntropy, &signs), data)
        };
        let label = label % width.max(2) as u32;
        let found = model.predict_classes_blocking(data.features()).unwrap();
        let hits = found.iter().filter(|&&class| class == label).count();
        let accuracy = model.evaluate_blocking(&data).unwrap().metric(Metric::Accuracy);
        prop_assert_eq!(accuracy, Some(hits as f64 / n as f64));
    }
}

/// A NaN in the middle of a net reaches the loss, whatever lies between, and training halts.
#[test]
fn nan_within_a_net_stops_training() {
    let losses = [
        Loss::MeanSquaredError,
        Loss::MeanAbsoluteError,
        Loss::Huber { delta: 0.5 },
        Loss::SoftmaxCrossEntropy,
        Loss::SoftmaxCrossEntropyProbabilities,
        Loss::BinaryCrossEntropy,
    ];
    let functions = [
        Unary::Relu,
        Unary::LeakyRelu { slope: 0.1 },
        Unary::Abs,
        Unary::Relu,
        Unary::GeluTanh,
        Unary::Tanh,
    ];
    // The second of three batches of 8 rows has a bad one.
    let mut x = rows(&[0.5, -1.0, 1.0, 2.0].repeat(6));
    x[2 * 11..2 * 12].copy_from_slice(&BAD);
    for (loss, function) in losses.into_iter().zip(functions) {
        let data = match loss {
            Loss::SoftmaxCrossEntropy => {
                Dataset::classification(x.clone(), 2, vec![0; 24], 2).unwrap()
            }
            _ => Dataset::regression(x.clone(), 2, [1.0, 0.0].repeat(24), 2).unwrap(),
        };
        for kernels in kinds() {
            let net = Sequential::new(2).dense(5).activation(function).dense(2).seed(1);
            let net = |rows: &Dataset| {
                let optimizer = Optimizer::sgd(0.01);
                let mut model = compile_on(kernels, &gpu(), net.clone(), loss, optimizer);
                let mut weights: Vec<Vec<f32>> =
                    model.weights_blocking().unwrap().into_iter().map(|w| w.1).collect();
                weights[0] = [[1e30; 5], [-1e30; 5]].concat();
                model.set_weights(&weights).unwrap();
                let fit = FitOptions::new(1).batch_size(8).in_order();
                (model.fit_blocking(rows, fit).map(|_| ()), weight_bits(&model))
            };
            let (result, kept) = net(&data);
            let name = format!("{loss:?}, {function:?}, {kernels:?}");
            let Err(Error::NotFinite { step: 1, loss: Some(loss), .. }) = result else {
                panic!("{name}: {result:?}")
            };
            assert!(loss.is_nan(), "{name}: {loss}");
            let (good, expected) = net(&data.split_at(8).unwrap().0);
            good.unwrap();
            assert_eq!(kept, expected, "{name}");
        }
    }
}

/// Classes of no probability whose logits are as far below as f32 goes cost nothing, whichever kernels
/// train; what is wanted and cannot be costs infinitely much, and training halts.
#[test]
fn training_with_classes_of_no_probability() {
    for kernels in kinds() {
        for wanted in [0, 1] {
            let loss = Loss::SoftmaxCrossEntropyProbabilities;
            let net = Sequential::new(1).dense(3);
            let mut model = compile_on(kernels, &gpu(), net, loss, Optimizer::sgd(0.1));
            let start = [vec![3e38, -3e38, -3e38], vec![0.0; 3]];
            model.set_weights(&start).unwrap();
            let mut targets = vec![0.0; 12];
            targets.iter_mut().skip(wanted).step_by(3).for_each(|t| *t = 1.0);
            let data = Dataset::regression(vec![1.0; 4], 1, targets, 3).unwrap();
            let result = model.fit_blocking(&data, FitOptions::new(1).batch_size(2).in_order());
            if wanted == 0 {
                let losses = result.unwrap().batch_losses;
                assert_eq!(losses, [0.0, 0.0], "{kernels:?}");
            } else {
                let Err(Error::NotFinite { step: 0, loss: Some(loss), .. }) = result else {
                    panic!("{kernels:?}: {result:?}")
                };
                assert_eq!(loss, f32::INFINITY, "{kernels:?}");
            }
            let kept: Vec<f32> = common::training::weights(&model);
            assert_eq!(kept, start.concat(), "{kernels:?}");
        }
    }
}

/// Yes and no, certain and right, cost nothing either.
#[test]
fn training_with_certain_answers() {
    for kernels in kinds() {
        let net = Sequential::new(1).dense(2);
        let loss = Loss::BinaryCrossEntropy;
        let mut model = compile_on(kernels, &gpu(), net, loss, Optimizer::sgd(0.1));
        // Logits of ±∞.
        model.set_weights(&[vec![3e38, -3e38], vec![0.0; 2]]).unwrap();
        let data = Dataset::regression(vec![10.0; 4], 1, [1.0, 0.0].repeat(4), 2).unwrap();
        let history = model
            .fit_blocking(&data, FitOptions::new(1).batch_size(2).in_order())
            .expect("no loss");
        assert_eq!(history.batch_losses, [0.0, 0.0], "{kernels:?}");
    }
}
