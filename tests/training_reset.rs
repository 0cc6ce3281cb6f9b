//! A model that is reset trains to the bits of one that was just compiled.

use crate::common::gpu;
use crate::common::training::{article, article_data, article_net, kinds, weight_bits};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use wgrad::Error;
use wgrad::nn::{LearningRateSchedule, Loss, Optimizer};
use wgrad::train::{EarlyStopping, FitOptions, Kernels, Model, Residency, TrainingConfig};

fn compile(kernels: Kernels, optimizer: &Optimizer, seed: u64) -> Model {
    let how = TrainingConfig::new(Loss::MeanSquaredError, optimizer.clone()).kernels(kernels);
    article_net().seed(seed).compile_blocking(&gpu(), how).unwrap()
}

fn optimizers() -> impl Strategy<Value = Optimizer> {
    let rule = prop_oneof![
        Just(Optimizer::sgd(0.05)),
        Just(Optimizer::nesterov(0.01, 0.9)),
        Just(Optimizer::adam(0.01)),
        Just(Optimizer::rmsprop(0.01)),
        Just(Optimizer::adagrad(0.05)),
        Just(Optimizer::adamw(0.01, 0.1).clip_norm(0.5)),
    ];
    let schedule = prop_oneof![
        Just(LearningRateSchedule::Constant),
        Just(LearningRateSchedule::step(3, 0.5)),
        Just(LearningRateSchedule::cosine(9, 0.1).warm_up(4)),
    ];
    (rule, schedule).prop_map(|(optimizer, schedule)| optimizer.schedule(schedule))
}

/// What a training leaves: losses, rates, weights, gradients, steps.
fn trained(model: &mut Model, batch: usize, shuffle: u64) -> (Vec<u32>, Vec<f32>, Vec<u32>, u64) {
    let data = article_data(70);
    let mut stopping = EarlyStopping::new("loss", 2);
    let fit = FitOptions::new(3).batch_size(batch).shuffle(shuffle).callback(&mut stopping);
    let history = model.fit_blocking(&data, fit).unwrap();
    let losses = history.batch_losses.iter().map(|loss| loss.to_bits()).collect();
    let rates = history.epochs.iter().map(|log| log.learning_rate).collect();
    (losses, rates, weight_bits(model), model.steps())
}

/// Whatever was done before: trainings of any optimizer, schedule and batch, with a rate set by hand,
/// that ended well or by a loss that is no number, by `fit` or by a loop of one's own.
#[test]
fn a_reset_model_is_a_new_one() {
    let mut runner = TestRunner::deterministic();
    let all: Vec<Kernels> = kinds().collect();
    for case in 0..12 {
        let values = (optimizers(), any::<u64>(), 1..40usize, any::<u64>(), 0..3u32);
        let tree = values.new_tree(&mut runner).unwrap();
        let (optimizer, seed, batch, shuffle, before) = tree.current();
        let kernels = all[case % all.len()];
        let mut model = compile(kernels, &optimizer, seed ^ 1);
        trained(&mut model, 32, 5);
        match before {
            0 => model.set_learning_rate(0.3).unwrap(),
            1 => {
                model.set_learning_rate(1e30).unwrap();
                let error = model.fit_blocking(&article_data(70), FitOptions::new(9)).unwrap_err();
                assert!(matches!(error, Error::NotFinite { .. }), "{error:?}");
            }
            _ => {
                let data = article_data(70);
                let mut own = model.trainer_blocking(&data, 32, Residency::Auto).unwrap();
                own.submit_blocking(0..1, |_| model.next_step(0)).unwrap();
                own.results_blocking().unwrap();
                model.completed(1);
            }
        }
        model.reset(seed).unwrap();
        let label = format!("{kernels:?}, {optimizer:?}, seed {seed}, batch {batch}, {before}");
        let mut fresh = compile(kernels, &optimizer, seed);
        assert_eq!(model.architecture(), fresh.architecture(), "{label}");
        assert_eq!(model.steps(), 0, "{label}");
        assert_eq!(weight_bits(&model), weight_bits(&fresh), "{label}");
        for number in 0..4 {
            let gradient = model.parameters().read_gradient_blocking(number).unwrap();
            assert!(gradient.iter().all(|g| *g == 0.0), "{label}");
        }
        let expected = trained(&mut fresh, batch, shuffle);
        assert_eq!(trained(&mut model, batch, shuffle), expected, "{label}");
    }
}

/// `Parameters::reset` is only of what lies on the device beside the values.
#[test]
fn parameters_that_are_reset_keep_their_values() {
    let mut model = article(Kernels::General, Optimizer::adam(0.01));
    model.fit_blocking(&article_data(70), FitOptions::new(1)).unwrap();
    let (weights, steps) = (weight_bits(&model), model.steps());
    model.parameters().reset().unwrap();
    assert_eq!((weight_bits(&model), model.steps()), (weights, steps));
}
