//! `evaluate`, `predict`, metrics, and weights going out and in.

use crate::common::gpu;
use crate::common::training::{
    article, article_data, article_net, classes, kinds, passing_by, run, weight_bits,
};
use crate::support;
use crate::support::net::Net;
use crate::support::{bits, close};
use approx::abs_diff_eq;
use wgrad::Error;
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, Residency, StepResult, TrainingConfig};

#[test]
fn validation_is_evaluation_after_the_epoch() {
    let (data, validation) = passing_by();
    let compile = || {
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.02))
            .metric(Metric::RSquared)
            .metric(Metric::MeanAbsoluteError)
    };
    let mut model = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let fit = || FitOptions::new(3).batch_size(32).in_order();
    let history = model.fit_blocking(&data, fit().validation(&validation)).unwrap();
    let last = history.last().unwrap().validation.clone().unwrap();
    assert_eq!(model.evaluate_blocking(&validation).unwrap(), last);
    assert_eq!(last.rows, 100);
    for name in ["val_loss", "val_r_squared", "val_mean_absolute_error"] {
        assert_eq!(history.values(name).unwrap().len(), 3, "{name}");
    }
    // A split holds out the last rows, before any shuffling.
    let mut split = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let history = split.fit_blocking(&data, fit().validation_split(0.25)).unwrap();
    let (first, rest) = data.split_at(150).unwrap();
    let mut by_hand = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let same = by_hand.fit_blocking(&first, fit().validation(&rest)).unwrap();
    assert_eq!(weight_bits(&split), weight_bits(&by_hand));
    assert_eq!(history.values("val_loss").unwrap(), same.values("val_loss").unwrap());
    assert_eq!(history.last().unwrap().validation.as_ref().unwrap().rows, 50);
}

/// Evaluation neither moves a parameter nor a state of the optimizer.
#[test]
fn evaluation_moves_nothing() {
    for kernels in kinds() {
        let data = article_data(100);
        let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
        let mut model = article(kernels, Optimizer::adam(1e-2));
        model.fit_blocking(&data, fit(1)).unwrap();
        let before = weight_bits(&model);
        model.evaluate_blocking(&data).unwrap();
        model.predict_blocking(data.features()).unwrap();
        assert_eq!(weight_bits(&model), before);
        model.fit_blocking(&data, fit(1)).unwrap();
        let (expected, _) = run(kernels, &data, Optimizer::adam(1e-2), fit(2));
        assert_eq!(weight_bits(&model), expected);
    }
}

/// Predictions are the forward pass of the weights, whatever the number of rows.
#[test]
fn predictions_are_the_forward_pass_of_the_weights() {
    let data = article_data(1025);
    let optimizer = Optimizer::sgd(0.05);
    let mut model = article(Kernels::Auto, optimizer.clone());
    model.fit_blocking(&data, FitOptions::new(2)).unwrap();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
    net.set_parameters(&model.weights_blocking().unwrap());
    let all = model.predict_blocking(data.features()).unwrap();
    close("1025 rows", &all, &net.predict(data.features()), 1e-5, 1e-6);
    // One row at a time, and rows in blocks, are the same.
    for rows in [1, 2, 3, 100, 1024] {
        let some = model.predict_blocking(&data.features()[..rows * 10]).unwrap();
        close(&format!("{rows} rows"), &some, &support::f64s(&all[..rows]), 1e-6, 1e-7);
    }
}

#[test]
fn regression_metrics_are_those_of_the_predictions() {
    // More rows than an evaluation's batch, two targets of different means.
    let (features, width, targets) = article_data(1500).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let pairs = values.iter().flat_map(|&t| [t, 3.0 - 2.0 * t * t]).collect();
    let data = Dataset::regression(features, width, pairs, 2).unwrap();
    let net = Sequential::new(10).dense(16).tanh().dense(2);
    for loss in [Loss::MeanSquaredError, Loss::MeanAbsoluteError, Loss::Huber { delta: 0.5 }] {
        let compile = TrainingConfig::new(loss, Optimizer::adam(1e-2))
            .metric(Metric::RSquared)
            .metric(Metric::MeanAbsoluteError);
        let mut model = net.clone().compile_blocking(&gpu(), compile).unwrap();
        model.fit_blocking(&data, FitOptions::new(2)).unwrap();
        let found = model.evaluate_blocking(&data).unwrap();
        let predictions = support::f64s(&model.predict_blocking(data.features()).unwrap());
        let Targets::Values { data: targets, .. } = data.targets() else { panic!("values") };
        let targets = support::f64s(targets);
        let errors: Vec<f64> = predictions.iter().zip(&targets).map(|(p, t)| p - t).collect();
        let n = errors.len() as f64;
        let mean = |f: &dyn Fn(f64) -> f64| errors.iter().map(|&e| f(e)).sum::<f64>() / n;
        let expected_loss = match loss {
            Loss::MeanSquaredError => mean(&|e| e * e),
            Loss::MeanAbsoluteError => mean(&f64::abs),
            _ => mean(&|e| if e.abs() <= 0.5 { e * e / 2.0 } else { 0.5 * (e.abs() - 0.25) }),
        };
        let column_mean = |c: usize| targets.iter().skip(c).step_by(2).sum::<f64>() / 1500.0;
        let means = [column_mean(0), column_mean(1)];
        let total: f64 = targets.iter().enumerate().map(|(i, t)| (t - means[i % 2]).powi(2)).sum();
        let residual: f64 = errors.iter().map(|e| e * e).sum();
        let near = |name: &str, found: f64, expected: f64| {
            assert!(
                abs_diff_eq!(found, expected, epsilon = 1e-5 * expected.abs().max(1.0)),
                "{loss:?}, {name}: {found}, not {expected}"
            );
        };
        near("loss", found.loss, expected_loss);
        near("R²", found.metric(Metric::RSquared).unwrap(), 1.0 - residual / total);
        near("MAE", found.metric(Metric::MeanAbsoluteError).unwrap(), mean(&f64::abs));
        assert_eq!((found.rows, found.metric(Metric::Accuracy)), (1500, None));
    }
}

#[test]
fn accuracy_is_that_of_the_predictions() {
    let data = classes(1100);
    let net = Sequential::new(2).dense(8).tanh().dense(3);
    let compile = TrainingConfig::new(Loss::SoftmaxCrossEntropy, Optimizer::adam(1e-2))
        .metric(Metric::Accuracy);
    let mut model = net.compile_blocking(&gpu(), compile).unwrap();
    model.fit_blocking(&data, FitOptions::new(1)).unwrap();
    let Targets::Classes { labels, .. } = data.targets() else { panic!("classes") };
    let outputs = model.predict_blocking(data.features()).unwrap();
    let found = model.predict_classes_blocking(data.features()).unwrap();
    let probabilities = model.predict_probabilities_blocking(data.features()).unwrap();
    for ((row, &class), p) in outputs.chunks(3).zip(&found).zip(probabilities.chunks(3)) {
        let largest = row.iter().copied().fold(f32::MIN, f32::max);
        assert_eq!(row.iter().position(|&z| z == largest), Some(class as usize));
        let powers: Vec<f64> = row.iter().map(|&z| f64::from(z).exp()).collect();
        let sum: f64 = powers.iter().sum();
        let expected: Vec<f64> = powers.iter().map(|p| p / sum).collect();
        close("probabilities", p, &expected, 1e-5, 1e-7);
    }
    let hits = found.iter().zip(labels).filter(|(a, b)| a == b).count();
    let accuracy = hits as f64 / 1100.0;
    assert!((0.4..1.0).contains(&accuracy), "{accuracy} proves something");
    assert_eq!(model.evaluate_blocking(&data).unwrap().metric(Metric::Accuracy), Some(accuracy));

    // Binary: a logit per row, right where its sign is the label's.
    let binary: Vec<f32> = labels.iter().map(|&c| f32::from(u8::from(c == 1))).collect();
    let data = Dataset::regression(data.features().to_vec(), 2, binary.clone(), 1).unwrap();
    let compile = TrainingConfig::new(Loss::BinaryCrossEntropy, Optimizer::adam(1e-2))
        .metric(Metric::Accuracy);
    let mut model =
        Sequential::new(2).dense(8).tanh().dense(1).compile_blocking(&gpu(), compile).unwrap();
    model.fit_blocking(&data, FitOptions::new(2)).unwrap();
    let outputs = model.predict_blocking(data.features()).unwrap();
    let hits = outputs.iter().zip(&binary).filter(|&(&z, &t)| (z > 0.0) == (t > 0.5)).count();
    let found = model.evaluate_blocking(&data).unwrap();
    assert_eq!(found.metric(Metric::Accuracy), Some(hits as f64 / 1100.0));
    let probabilities = model.predict_probabilities_blocking(data.features()).unwrap();
    let expected: Vec<f64> = outputs.iter().map(|&z| 1.0 / (1.0 + f64::from(-z).exp())).collect();
    close("sigmoids", &probabilities, &expected, 1e-5, 1e-7);
}

#[test]
fn weights_go_out_and_in() {
    let data = article_data(64);
    let mut model = article(Kernels::Auto, Optimizer::sgd(0.05));
    model.fit_blocking(&data, FitOptions::new(1)).unwrap();
    let saved = model.weights_blocking().unwrap();
    let names: Vec<&str> = saved.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["dense_0.weight", "dense_0.bias", "dense_2.weight", "dense_2.bias"]);
    let predictions = model.predict_blocking(data.features()).unwrap();
    let mut other = article(Kernels::Auto, Optimizer::sgd(0.05));
    assert_ne!(weight_bits(&other), weight_bits(&model));
    let values: Vec<Vec<f32>> = saved.into_iter().map(|(_, values)| values).collect();
    other.set_weights(&values).unwrap();
    assert_eq!(weight_bits(&other), weight_bits(&model));
    assert_eq!(bits(&other.predict_blocking(data.features()).unwrap()), bits(&predictions));
    // A set that does not fit changes nothing.
    for wrong in [
        values[..3].to_vec(),
        {
            let mut short = values.clone();
            short[2].pop();
            short
        },
        {
            let mut nan = values.clone();
            nan[3][0] = f32::NAN;
            nan[0][0] = 7.0;
            nan
        },
    ] {
        assert!(matches!(other.set_weights(&wrong), Err(Error::Argument { .. })));
        assert_eq!(weight_bits(&other), weight_bits(&model));
    }
}

/// Targets that never vary have R² 1 for a perfect fit and 0 for any other, of whatever value and
/// however many they are, in `fit`, in `evaluate` and in a loop of one's own.
#[test]
fn constant_targets_have_an_r_squared() {
    let compile = || {
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(1e-3)).metric(Metric::RSquared)
    };
    for (rows, value) in [(1, 0.1), (3, 0.3), (70, -1e-9), (1025, 16_777_217.0 / 3.0), (50, 0.0)] {
        let features = vec![0.5; 2 * rows];
        let data = Dataset::regression(features.clone(), 2, vec![value; rows], 1).unwrap();
        let mut model = Sequential::new(2).dense(1).compile_blocking(&gpu(), compile()).unwrap();
        let values = |weight: f32, bias: f32| vec![vec![weight; 2], vec![bias]];
        // Weights of 0 and the value as the bias fit perfectly; nothing else does.
        for (bias, expected) in [(value, 1.0), (value + value.abs().max(1.0), 0.0)] {
            model.set_weights(&values(0.0, bias)).unwrap();
            let found = model.evaluate_blocking(&data).unwrap();
            assert_eq!(found.metric(Metric::RSquared), Some(expected), "{rows} of {value}, {bias}");
            let mut own = model.trainer_blocking(&data, 16, Residency::Auto).unwrap();
            let mut sums = model.sums(&data);
            for batch in 0..own.batches() {
                own.submit_blocking(batch..batch + 1, |_| model.next_step(0)).unwrap();
                for result in own.results_blocking().unwrap().unwrap() {
                    sums.add(&result).unwrap();
                }
            }
            let last = sums.evaluation();
            let moved = expected == 0.0 || model.evaluate_blocking(&data).unwrap() == found;
            assert!(moved, "a perfect fit stays");
            assert_eq!(last.metric(Metric::RSquared), Some(expected), "{rows} of {value}, {bias}");
            model.set_weights(&values(0.0, bias)).unwrap();
            let history = model.fit_blocking(&data, FitOptions::new(1).validation(&data)).unwrap();
            assert_eq!(history.values("r_squared").unwrap(), [expected]);
        }
    }
}

/// A loop of one's own gets from its sums what `fit` says of the same batches.
#[test]
fn sums_of_ones_own_are_those_of_fit() {
    let compile = || {
        TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.02))
            .metric(Metric::RSquared)
            .metric(Metric::MeanAbsoluteError)
    };
    let data = article_data(100);
    let mut fitted = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let history = fitted.fit_blocking(&data, FitOptions::new(2).batch_size(32).in_order()).unwrap();
    let mut model = article_net().compile_blocking(&gpu(), compile()).unwrap();
    let mut trainer = model.trainer_blocking(&data, 32, Residency::Auto).unwrap();
    trainer.set_order((0..100).collect()).unwrap();
    let mut sums = model.sums(&data);
    for log in &history.epochs {
        sums.clear();
        for batch in 0..trainer.batches() {
            trainer.submit_blocking(batch..batch + 1, |_| model.next_step(0)).unwrap();
            for result in trainer.results_blocking().unwrap().unwrap() {
                sums.add(&result).unwrap();
            }
            model.completed(1);
            let known = sums.evaluation().metric(Metric::RSquared);
            assert_eq!(known.is_some(), batch == 3, "R² needs all rows");
        }
        let found = sums.evaluation();
        assert_eq!((found.loss, &found.metrics, found.rows), (log.loss, &log.metrics, 100));
    }
    // Results of another model.
    let foreign = StepResult { rows: 1, loss: 0.5, sums: vec![1.0] };
    let error = sums.add(&foreign).unwrap_err().to_string();
    assert!(error.contains("sums is 1") && error.contains('2'), "{error}");
}
