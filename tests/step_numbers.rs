//! Whatever numbers steps have, a step that is not finite is found, and none after it moves a parameter;
//! and only steps that say how they train do.

use crate::common::gpu;
use crate::common::training::{
    article, article_data, data_with_a_bad_batch, kinds, weight_bits, weights_after,
};
use proptest::prelude::*;
use wgrad::Error;
use wgrad::exec::{Executor, ExecutorOptions, Results, Step};
use wgrad::graph::{Graph, Tensor, UpdateRule};
use wgrad::nn::{Loss, Optimizer};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::train::{FitOptions, Residency};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };
const ADAM: UpdateRule = UpdateRule::Adam {
    beta1: 0.9,
    beta2: 0.999,
    epsilon: 1e-8,
    weight_decay: 0.0,
    decoupled: false,
};
/// Numbers near the ends of the words they are kept in.
const FAR: [u64; 8] =
    [0, 1, (1 << 31) - 2, (1 << 32) - 2, (1 << 32) - 1, 1 << 32, 1 << 53, u64::MAX];

#[test]
fn what_is_not_finite_is_found_however_far_training_is() {
    let (good, bad) = (article_data(96), data_with_a_bad_batch(96, 32, 1));
    for kernels in kinds() {
        for done in FAR {
            for optimizer in [Optimizer::sgd(0.01), Optimizer::adam(0.01)] {
                let mut model = article(kernels, optimizer);
                model.completed(done);
                let fit = || FitOptions::new(1).batch_size(32).in_order();
                model.fit_blocking(&good, fit()).unwrap();
                assert_eq!(model.steps(), done.saturating_add(3), "{kernels:?}");
                let error = model.fit_blocking(&bad, fit()).expect_err("a square of 1e60");
                let Error::NotFinite { step, epoch: 1, loss: Some(loss), .. } = error else {
                    panic!("{error:?}")
                };
                assert_eq!((step, loss), (done.saturating_add(4), f32::INFINITY), "{kernels:?}");
                assert_eq!(model.steps(), step);
            }
        }
    }
}

/// The number of a batch's step.
type Number = fn(usize) -> u64;

/// Someone who gives every step the same number, or counts down: the batches after the bad one, and later
/// submissions, move nothing until the status is cleared.
#[test]
fn numbers_may_repeat() {
    let data = data_with_a_bad_batch(160, 32, 2);
    for kernels in kinds() {
        for (name, number) in [
            ("0", (|_| 0) as Number),
            ("falling", |batch| 100 - batch as u64),
            ("far", |batch| u64::MAX - 3 + batch as u64 % 2),
        ] {
            let mut model = article(kernels, Optimizer::sgd(0.05));
            let expected = weights_after(article(kernels, Optimizer::sgd(0.05)), &data, 32, 2);
            let mut trainer = model.trainer_blocking(&data, 32, Residency::Auto).unwrap();
            let step = |batch: usize| Step::training(SGD, number(batch), 0, 0.05);
            trainer.submit_blocking(0..5, step).unwrap();
            trainer.submit_blocking(0..1, step).unwrap();
            let error = trainer.results_blocking().expect_err("a square of 1e60");
            let Error::NotFinite { step: at, loss: Some(loss), .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!((at, loss), (number(2), f32::INFINITY), "{kernels:?}, {name}");
            let error = trainer.results_blocking().expect_err("still");
            assert!(matches!(error, Error::NotFinite { step, .. } if step == at), "{error:?}");
            assert_eq!(weight_bits(&model), expected, "{kernels:?}, {name}");
            model.parameters().clear_status().unwrap();
            trainer.submit_blocking(0..1, step).unwrap();
            trainer.results_blocking().unwrap();
            assert_ne!(weight_bits(&model), expected, "{kernels:?}, {name}");
        }
    }
}

/// Least squares in two parameters.
fn descent(rule: UpdateRule) -> (Executor, Tensor) {
    let mut graph = Graph::new();
    let (x, t) = (graph.input("x", [4, 2]).unwrap(), graph.input("t", [4, 1]).unwrap());
    let w = graph.parameter("w", [2, 1]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, t).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(rule, None, loss, &[(w, gradients[0])]).unwrap();
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu().target()).unwrap();
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    executor.write(x, &[1.0, 0.5, -1.0, 2.0, 0.0, 1.0, 0.25, -0.5]).unwrap();
    executor.write(t, &[1.0, 2.0, 3.0, 4.0]).unwrap();
    (executor, w)
}

fn submit(executor: &mut Executor, steps: &[Step]) -> Results {
    executor.submit_blocking(steps).unwrap();
    executor.results_blocking().unwrap().expect("results")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Any numbers, any cut into submissions, a bad step anywhere: its number and row are told, and the
    /// parameters are those before it.
    #[test]
    fn the_step_that_went_wrong_is_told_by_its_row(
        numbers in prop::collection::vec(prop_oneof![Just(0), 0..9u64, any::<u64>(),
            prop::sample::select(&FAR[..])], 2..40),
        bad in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
    ) {
        // A step with this rate makes a parameter of 1e25, and the loss of the next is no f32.
        let (bad, cut) = (1 + bad.index(numbers.len() - 1), 1 + cut.index(numbers.len()));
        let rate = |step| if step + 1 == bad { 1e25 } else { 1e-3 };
        let steps: Vec<Step> = numbers
            .iter()
            .enumerate()
            .map(|(step, &number)| Step::training(SGD, number, 0, rate(step)))
            .collect();
        let (mut executor, w) = descent(SGD);
        let mut first = 0;
        for part in steps.chunks(cut) {
            let results = submit(&mut executor, part);
            let found = (results.halted_at, results.halted_row, results.halted_by_parameter);
            let row = bad.checked_sub(first).filter(|&row| row < part.len());
            let expected = if first + part.len() > bad { Some(numbers[bad]) } else { None };
            prop_assert_eq!(found, (expected, row, false));
            first += part.len();
        }
        let (mut good, same) = descent(SGD);
        good.run_blocking(&steps[..bad]).unwrap();
        let kept = executor.read_blocking(w).unwrap();
        prop_assert_eq!(&kept, &good.read_blocking(same).unwrap());
        // Nor does another step of any number move anything.
        let more = Step::training(SGD, numbers[0], 0, 1e-3);
        let error = executor.run_blocking(&[more]).expect_err("still");
        let is_it = matches!(error, Error::NotFinite { step, .. } if step == numbers[bad]);
        prop_assert!(is_it, "{:?}", error);
        prop_assert_eq!(executor.read_blocking(w).unwrap(), kept);
    }
}

/// Executors that share parameters hear of each other's bad steps, which are no rows of theirs.
#[test]
fn executors_hear_of_each_others_bad_steps() {
    let (mut one, w) = descent(SGD);
    let (other, _) = descent(SGD);
    let parameters = Some(one.parameters().clone());
    let options = ExecutorOptions { parameters, ..Default::default() };
    let plan = other.plan().clone();
    let mut other = Executor::with_options_blocking(&gpu(), plan, options).unwrap();
    one.submit_blocking(&[Step::training(SGD, 7, 0, 1e25), Step::training(SGD, 9, 0, 0.1)])
        .unwrap();
    let kept = one.read_blocking(w).unwrap();
    let heard = submit(&mut other, &[Step::training(SGD, 9, 0, 0.1)]);
    assert_eq!((heard.halted_at, heard.halted_row), (Some(9), None));
    let own = one.results_blocking().unwrap().expect("results");
    assert_eq!((own.halted_at, own.halted_row), (Some(9), Some(1)));
    assert_eq!(one.read_blocking(w).unwrap(), kept);
}

/// A plan that trains takes no step that does not say how: it would train with a learning rate of 0, or
/// without Adam's corrections.
#[test]
fn a_step_that_does_not_train_is_refused() {
    for (rule, step, part) in [
        (SGD, Step::forward(0), "without a learning rate"),
        (ADAM, Step::training(SGD, 0, 0, 0.1), "Sgd"),
        (SGD, Step::training(UpdateRule::Sgd { weight_decay: 0.1 }, 0, 0, 0.1), "0.1"),
    ] {
        let (mut executor, w) = descent(rule);
        let good = Step::training(rule, 0, 0, 0.1);
        let before = executor.read_blocking(w).unwrap();
        for steps in [vec![step], vec![good, step]] {
            let error = executor.run_blocking(&steps).expect_err(part).to_string();
            assert!(error.contains(part) && error.contains("Step::training"), "{error}");
        }
        let mut encoder = gpu().device().create_command_encoder(&Default::default());
        assert!(executor.record(&mut encoder, &[step]).is_err());
        assert_eq!(executor.read_blocking(w).unwrap(), before);
        // Nothing of it is left over: six submissions have more than all places for results.
        for _ in 0..6 {
            assert_eq!(submit(&mut executor, &[good]).rows.len(), 1);
        }
    }
    for kernels in kinds() {
        let (mut model, data) = (article(kernels, Optimizer::adam(0.1)), article_data(80));
        let mut trainer = model.trainer_blocking(&data, 32, Residency::Auto).unwrap();
        let before = weight_bits(&model);
        for _ in 0..6 {
            // The last, shorter batch is another executor's.
            let step = |batch| if batch < 2 { model.next_step(0) } else { Step::forward(0) };
            let error = trainer.submit_blocking(0..3, step).expect_err("no learning rate");
            assert!(error.to_string().contains("without a learning rate"), "{error}");
        }
        assert_eq!(weight_bits(&model), before, "{kernels:?}");
        trainer.submit_blocking(0..3, |batch| model.next_step(batch as u64)).unwrap();
        assert_eq!(trainer.results_blocking().unwrap().expect("results").len(), 3);
        assert_ne!(weight_bits(&model), before, "{kernels:?}");
    }
}

/// A learning rate of 0 is a wish like any other, if it is said.
#[test]
fn a_learning_rate_of_zero_moves_nothing() {
    let (mut executor, w) = descent(SGD);
    let before = executor.read_blocking(w).unwrap();
    executor.run_blocking(&[Step::training(SGD, 0, 0, 0.0)]).unwrap();
    assert_eq!(executor.read_blocking(w).unwrap(), before);
}
