//! Several trainers of one model at once: their steps run one after another, in the order in which they
//! were submitted, on the same parameters; a halt is everybody's.

use crate::common::training::{article, article_data, data_with_a_bad_batch, kinds, weight_bits};
use proptest::prelude::*;
use wgrad::Error;
use wgrad::data::Dataset;
use wgrad::nn::Optimizer;
use wgrad::train::{FitOptions, Kernels, Model, Residency, StepResult, Trainer};

/// Two trainings of one model that differ in data, batches, order and where the data lies.
fn trainers<'a>(model: &mut Model, data: &'a [Dataset; 2]) -> [Trainer<&'a Dataset>; 2] {
    let [a, b] = data;
    let mut first = model.trainer_blocking(a, 16, Residency::Resident).unwrap();
    let second = model.trainer_blocking(b, 12, Residency::Streamed).unwrap();
    first.set_order((0..a.rows() as u32).rev().collect()).unwrap();
    [first, second]
}

fn results(trainer: &mut Trainer<&Dataset>) -> Vec<StepResult> {
    let mut all = Vec::new();
    while let Some(some) = trainer.results_blocking().unwrap() {
        all.extend(some);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    /// Whoever waits for the results and when: the weights and losses are those of one step at a time.
    #[test]
    fn steps_run_in_the_order_of_their_submission(
        turns in prop::collection::vec((any::<bool>(), 0..3usize, any::<bool>()), 1..24),
        kernels in prop::sample::select(kinds().collect::<Vec<_>>()),
    ) {
        let data = [article_data(64), article_data(40)];
        let rule = || Optimizer::adam(0.01);
        let (mut model, mut same) = (article(kernels, rule()), article(kernels, rule()));
        let mut at_once = trainers(&mut model, &data);
        let mut in_turn = trainers(&mut same, &data);
        let (mut found, mut expected) = ([vec![], vec![]], [vec![], vec![]]);
        for (step, (who, batch, waits)) in turns.into_iter().enumerate() {
            let who = usize::from(who);
            let record = |_| model.next_step(step as u64);
            at_once[who].submit_blocking(batch..batch + 1, record).unwrap();
            if waits {
                found[who].extend(results(&mut at_once[who]));
            }
            in_turn[who].submit_blocking(batch..batch + 1, record).unwrap();
            expected[who].extend(results(&mut in_turn[who]));
        }
        for who in [0, 1] {
            found[who].extend(results(&mut at_once[who]));
        }
        prop_assert_eq!(found, expected);
        prop_assert_eq!(weight_bits(&model), weight_bits(&same));
    }
}

/// A bad step of one halts the other, which says which step it was; a new trainer lets both go on.
#[test]
fn a_halt_is_everybodys() {
    let (bad, good) = (data_with_a_bad_batch(64, 16, 1), article_data(64));
    for kernels in kinds() {
        let mut model = article(kernels, Optimizer::sgd(0.01));
        let mut one = model.trainer_blocking(&bad, 16, Residency::Resident).unwrap();
        let mut other = model.trainer_blocking(&good, 16, Residency::Resident).unwrap();
        let submit = |trainer: &mut Trainer<&Dataset>, model: &Model, batch: usize, ahead: u64| {
            trainer.submit_blocking(batch..batch + 1, |_| model.next_step(ahead)).unwrap();
        };
        submit(&mut one, &model, 0, 0);
        one.results_blocking().unwrap();
        model.completed(1);
        let kept = weight_bits(&model);
        submit(&mut one, &model, 1, 0);
        submit(&mut other, &model, 0, 1);
        let error = other.results_blocking().expect_err("the other's halt");
        // Its loss is the other's to tell.
        assert!(matches!(error, Error::NotFinite { step: 1, loss: None, .. }), "{error:?}");
        let text = error.to_string();
        assert!(text.contains("at step 1") && text.contains("NaN or infinite"), "{text}");
        let error = one.results_blocking().expect_err("a square of 1e60");
        let is_it = matches!(error, Error::NotFinite { step: 1, loss: Some(f32::INFINITY), .. });
        assert!(is_it, "{error:?}");
        assert_eq!(weight_bits(&model), kept, "{kernels:?}");
        let mut third = model.trainer_blocking(&good, 16, Residency::Resident).unwrap();
        for trainer in [&mut third, &mut other, &mut one] {
            submit(trainer, &model, 0, 0);
            trainer.results_blocking().unwrap();
            model.completed(1);
        }
        assert_ne!(weight_bits(&model), kept, "{kernels:?}");
    }
}

/// A `fit` beside a trainer is a trainer, too.
#[test]
fn a_fit_beside_a_trainer() {
    let data = article_data(64);
    for kernels in [Kernels::General, Kernels::WholeStep] {
        let run = |waits: bool| {
            let mut model = article(kernels, Optimizer::adam(0.01));
            let mut own = model.trainer_blocking(&data, 16, Residency::Resident).unwrap();
            own.submit_blocking(0..2, |batch| model.next_step(batch as u64)).unwrap();
            model.completed(2);
            if waits {
                assert_eq!(results(&mut own).len(), 2);
            }
            let history = model.fit_blocking(&data, FitOptions::new(2).batch_size(16)).unwrap();
            own.submit_blocking(2..4, |batch| model.next_step(batch as u64 - 2)).unwrap();
            assert_eq!(results(&mut own).len(), if waits { 2 } else { 4 });
            (weight_bits(&model), history.batch_losses, model.steps())
        };
        assert_eq!(run(true), run(false), "{kernels:?}");
    }
}
