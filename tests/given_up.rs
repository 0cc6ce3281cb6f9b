//! Any await may be the last: a future that is dropped anywhere, or a callback that panics, leaves the
//! executor, the trainer or the model whole, and what was submitted counts.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::common::gpu;
use crate::common::training::{
    article, article_data, article_net, data_with_a_bad_batch, kinds, weight_bits, weights_after,
};
use proptest::prelude::*;
use wgrad::data::{Dataset, Targets};
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Tensor, UpdateRule};
use wgrad::nn::{LearningRateSchedule, Loss, Optimizer};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::train::{
    BatchLog, Callback, FitOptions, Kernels, Model, Residency, Signal, epoch_order,
};

/// Polls `future` so often at most, and drops it.
fn poll<F: Future>(future: F, times: usize) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
    }
    None
}

const RULE: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// Least squares that take the device a moment.
fn descent() -> (Executor, Tensor) {
    let mut graph = Graph::new();
    let (x, t) = (graph.input("x", [512, 64]).unwrap(), graph.input("t", [512, 64]).unwrap());
    let w = graph.parameter("w", [64, 64]).unwrap();
    let y = graph.matmul(x, w).unwrap();
    let loss = graph.loss(Loss::MeanSquaredError, y, t).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(RULE, None, loss, &[(w, gradients[0])]).unwrap();
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu().target()).unwrap();
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    let values = |seed: usize| -> Vec<f32> {
        (0..512 * 64).map(|i| ((i * 7919 + seed) % 1013) as f32 / 506.5 - 1.0).collect()
    };
    executor.write(x, &values(0)).unwrap();
    executor.write(t, &values(5)).unwrap();
    (executor, w)
}

/// A call of an executor.
#[derive(Clone, Copy, Debug)]
enum Call {
    Submit(usize),
    Run(usize),
    Results,
    ResultsReady,
    Read,
}

fn calls() -> impl Strategy<Value = Vec<(Call, usize)>> {
    let call = prop_oneof![
        4 => (1..9usize).prop_map(Call::Submit),
        2 => (1..9usize).prop_map(Call::Run),
        4 => Just(Call::Results),
        1 => Just(Call::ResultsReady),
        1 => Just(Call::Read),
    ];
    // Few polls: most calls are given up.
    let polls = prop_oneof![3 => 0..4usize, 1 => Just(10_000)];
    prop::collection::vec((call, polls), 1..24)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(12) })]

    /// Results come in their order, each once, with the numbers of an undisturbed run.
    #[test]
    fn an_executor_goes_on(calls in calls()) {
        let (mut executor, w) = descent();
        let mut steps: Vec<Step> = Vec::new();
        // Places among `steps` whose results are to come, a submission each.
        let mut awaited: VecDeque<std::ops::Range<usize>> = VecDeque::new();
        let mut found: Vec<(usize, f32)> = Vec::new();
        for (call, polls) in calls {
            let before = gpu().counters().submissions;
            let new = |count: usize| -> Vec<Step> {
                let number = |ahead| (steps.len() + ahead) as u64;
                let rate = |ahead| 0.01 + 0.001 * (number(ahead) % 7) as f32;
                (0..count).map(|i| Step::training(RULE, number(i), 0, rate(i))).collect()
            };
            let mut note = |range: std::ops::Range<usize>, rows: &[Vec<f32>]| {
                assert_eq!(range.len(), rows.len());
                found.extend(range.zip(rows.iter().map(|row| row[0])));
            };
            match call {
                Call::Submit(count) | Call::Run(count) => {
                    let these = new(count);
                    let rows = match call {
                        Call::Run(_) => poll(executor.run(&these), polls).map(|rows| Some(rows.unwrap())),
                        _ => poll(executor.submit(&these), polls).map(|done| { done.unwrap(); None }),
                    };
                    if gpu().counters().submissions > before {
                        awaited.push_back(steps.len()..steps.len() + count);
                        steps.extend(these);
                    }
                    if let Some(Some(rows)) = rows {
                        note(awaited.pop_back().expect("its own"), &rows);
                    }
                }
                Call::Results | Call::ResultsReady => {
                    let results = match call {
                        Call::Results => poll(executor.results(), polls),
                        _ => poll(executor.results_ready(), polls),
                    };
                    if let Some(results) = results {
                        match results.unwrap() {
                            Some(results) => note(awaited.pop_front().expect("some"), &results.rows),
                            None => assert!(awaited.is_empty() || matches!(call, Call::ResultsReady)),
                        }
                    }
                }
                Call::Read => drop(poll(executor.read(w), polls)),
            }
        }
        while let Some(results) = executor.results_blocking().unwrap() {
            let range = awaited.pop_front().expect("some");
            assert_eq!(range.len(), results.rows.len());
            found.extend(range.zip(results.rows.iter().map(|row| row[0])));
        }
        prop_assert!(awaited.is_empty(), "{:?}", awaited);
        let (mut undisturbed, same) = descent();
        let rows = if steps.is_empty() { vec![] } else { undisturbed.run_blocking(&steps).unwrap() };
        found.sort_by_key(|(step, _)| *step);
        let expected: Vec<(usize, f32)> = rows.iter().map(|row| row[0]).enumerate().collect();
        prop_assert_eq!(found, expected);
        let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
        let (left, right) = (executor.read_blocking(w), undisturbed.read_blocking(same));
        prop_assert_eq!(bits(left.unwrap()), bits(right.unwrap()));
    }
}

/// Five times as many waits given up as there is room for: the executor still works.
#[test]
fn waits_given_up_take_no_room() {
    let (mut executor, _) = descent();
    for number in 0..20 {
        let step = Step::training(RULE, number, 0, 0.01);
        pollster::block_on(executor.submit(&[step; 8])).unwrap();
        poll(executor.results(), 1);
    }
    assert_eq!(executor.run_blocking(&[Step::training(RULE, 20, 0, 0.01)]).unwrap().len(), 1);
}

const BATCH: usize = 32;
const SEED: u64 = 3;

fn adam() -> Optimizer {
    Optimizer::adam(0.01).schedule(LearningRateSchedule::cosine(60, 0.1).warm_up(5))
}

fn shuffled<'a>(epochs: usize) -> FitOptions<'a> {
    FitOptions::new(epochs).batch_size(BATCH).shuffle(SEED)
}

/// The weights of a fresh model after `steps` steps of shuffled epochs, and then at the end of
/// the epoch that they broke off, or of the next if they broke off none.
fn undisturbed(kernels: Kernels, data: &Dataset, steps: u64) -> [Vec<u32>; 2] {
    let mut model = article(kernels, adam());
    let mut trainer = model.trainer_blocking(data, BATCH, Residency::Auto).unwrap();
    let batches = trainer.batches() as u64;
    let mut train = |model: &mut Model, steps: u64| {
        for step in model.steps()..steps {
            if step % batches == 0 {
                let order = epoch_order(data.rows(), SEED, step / batches);
                trainer.set_order(order).unwrap();
            }
            let batch = (step % batches) as usize;
            trainer.submit_blocking(batch..batch + 1, |_| model.next_step(0)).unwrap();
            trainer.results_blocking().unwrap();
            model.completed(1);
        }
        weight_bits(model)
    };
    let first = train(&mut model, steps);
    [first, train(&mut model, (steps / batches + 1) * batches)]
}

/// The steps that a `fit` had submitted when it was given up count, in weights, number and order of rows.
fn goes_on(kernels: Kernels, data: &Dataset, model: &mut Model, what: &str) {
    let steps = model.steps();
    let [so_far, then] = undisturbed(kernels, data, steps);
    assert_eq!(weight_bits(model), so_far, "{kernels:?}: {what}, {steps} steps");
    model.fit_blocking(data, shuffled(1)).unwrap();
    assert_eq!(
        weight_bits(model),
        then,
        "{kernels:?}: {what}, {steps} steps and the rest of the epoch"
    );
}

#[test]
fn a_fit_that_is_dropped_counts_what_it_submitted() {
    let data = article_data(100);
    for kernels in kinds() {
        let mut counts = Vec::new();
        for polls in [0, 1, 2, 3, 5, 8, 20] {
            let mut model = article(kernels, adam());
            let mut quiet = Quiet;
            let fit = if polls % 2 == 0 { shuffled(12) } else { shuffled(12).validation(&data) };
            let fit = if polls % 3 == 0 { fit.callback(&mut quiet) } else { fit };
            drop(poll(model.fit(&data, fit), polls));
            counts.push(model.steps());
            goes_on(kernels, &data, &mut model, &format!("dropped after {polls} polls"));
        }
        assert!(counts.iter().any(|&steps| steps > 0), "{kernels:?}: {counts:?}");
    }
}

struct Quiet;

impl Callback for Quiet {}

/// Panics after so many batches.
struct Panics(u64);

impl Callback for Panics {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        assert!(log.step < self.0, "as planned");
        Signal::Continue
    }
}

#[test]
fn a_fit_whose_callback_panics_counts_what_it_submitted() {
    let data = article_data(100);
    for kernels in kinds() {
        for after in [1, 4, 6] {
            let mut model = article(kernels, adam());
            let mut panics = Panics(after);
            let fit = shuffled(4).callback(&mut panics);
            catch_unwind(AssertUnwindSafe(|| drop(model.fit_blocking(&data, fit)))).unwrap_err();
            assert!(model.steps() >= after, "{kernels:?}");
            goes_on(kernels, &data, &mut model, &format!("panicked after {after} batches"));
        }
    }
}

/// A step that was not finite among those whose results nobody took: training goes on from before it.
#[test]
fn a_halt_that_nobody_heard_of_is_no_progress() {
    let good = article_data(96);
    let (features, width, targets) = article_data(96).into_parts();
    let Targets::Values { data: mut values, .. } = targets else { panic!("values") };
    values[70] = 1e30;
    let bad = Dataset::regression(features, width, values, 1).unwrap();
    for kernels in kinds() {
        let mut model = article(kernels, Optimizer::sgd(0.01));
        let in_order = || FitOptions::new(1).batch_size(BATCH).in_order();
        for polls in 1..=3 {
            drop(poll(model.fit(&bad, in_order()), polls));
            if model.steps() > 0 {
                break;
            }
        }
        assert!([2, 3].contains(&model.steps()), "{kernels:?}: {}", model.steps());
        let kept = weights_after(article(kernels, Optimizer::sgd(0.01)), &bad, BATCH, 2);
        assert_eq!(weight_bits(&model), kept, "{kernels:?}");
        model.fit_blocking(&good, in_order()).unwrap();
        assert_eq!(model.steps(), 2 + 3, "{kernels:?}");
    }
}

/// The same, and then a loop of one's own: its steps go on from before it, too.
#[test]
fn a_halt_that_nobody_heard_of_is_no_progress_of_a_trainer() {
    let bad = data_with_a_bad_batch(96, BATCH, 2);
    let good = article_data(96);
    for kernels in kinds() {
        let mut model = article(kernels, Optimizer::sgd(0.01));
        for polls in 1..=3 {
            drop(poll(model.fit(&bad, FitOptions::new(1).batch_size(BATCH).in_order()), polls));
            if model.steps() > 0 {
                break;
            }
        }
        let kept = weight_bits(&model);
        let mut trainer = model.trainer_blocking(&good, BATCH, Residency::Auto).unwrap();
        assert_eq!(model.steps(), 2, "{kernels:?}");
        trainer.submit_blocking(0..1, |_| model.next_step(0)).unwrap();
        assert_eq!(trainer.results_blocking().unwrap().expect("results").len(), 1);
        assert_ne!(weight_bits(&model), kept, "{kernels:?}");
    }
}

/// Predictions that are given up make nothing twice, but for the buffer that they were waiting for.
#[test]
fn a_prediction_given_up_builds_nothing_anew() {
    let data = article_data(300);
    let rows = |count: usize| &data.features()[..10 * count];
    let gpu = gpu();
    let known = article(Kernels::General, adam());
    let expected = known.predict_blocking(rows(300)).unwrap();
    let before = gpu.counters();
    let undisturbed = article(Kernels::General, adam());
    undisturbed.predict_blocking(rows(300)).unwrap();
    let anew = gpu.counters() - before;
    for polls in 0..6 {
        let before = gpu.counters();
        let model = article(Kernels::General, adam());
        for _ in 0..3 {
            drop(poll(model.predict(rows(300)), polls));
        }
        assert_eq!(model.predict_blocking(rows(300)).unwrap(), expected, "{polls} polls");
        let made = gpu.counters() - before;
        assert_eq!((made.bind_groups, made.pipelines), (anew.bind_groups, anew.pipelines));
        assert!(made.buffers <= anew.buffers + 3, "{polls} polls: {made:?} for {anew:?}");
        // Whatever number of rows is next: the answers are its own.
        for count in [299, 17, 300] {
            drop(poll(model.predict(rows(count)), polls));
            let found = model.predict_blocking(rows(count)).unwrap();
            assert_eq!(found, expected[..count], "{polls} polls, {count} rows");
        }
    }
}

/// What only looks at a model can be given up anywhere.
#[test]
fn questions_can_be_given_up() {
    let data = article_data(300);
    let mut model = article(Kernels::Auto, adam());
    let outputs = model.predict_blocking(data.features()).unwrap();
    let (loss, weights) = (model.evaluate_blocking(&data).unwrap(), weight_bits(&model));
    for polls in 0..6 {
        drop(poll(model.predict(data.features()), polls));
        drop(poll(model.predict(&data.features()[..10]), polls));
        drop(poll(model.evaluate(&data), polls));
        drop(poll(model.weights(), polls));
        drop(poll(model.parameters().read(0), polls));
        drop(poll(model.parameters().snapshot(), polls));
        drop(poll(model.trainer(&data, BATCH, Residency::Auto), polls));
        drop(poll(article_net().compile(&gpu(), compile()), polls));
        assert_eq!(model.predict_blocking(data.features()).unwrap(), outputs, "{polls} polls");
        assert_eq!(model.evaluate_blocking(&data).unwrap(), loss, "{polls} polls");
        assert_eq!(weight_bits(&model), weights, "{polls} polls");
    }
}

fn compile() -> wgrad::train::TrainingConfig {
    wgrad::train::TrainingConfig::new(Loss::MeanSquaredError, adam())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(6) })]

    /// A loop of one's own: every batch that was submitted comes back once, in its order, with the loss of
    /// an undisturbed loop.
    #[test]
    fn a_trainer_goes_on(
        calls in prop::collection::vec((any::<bool>(), prop_oneof![3 => 0..4usize, 1 => Just(10_000)]), 1..40),
        kernels in prop::sample::select(kinds().collect::<Vec<_>>()),
        streamed in any::<bool>(),
    ) {
        let data = article_data(100);
        let residency = if streamed { Residency::Streamed } else { Residency::Resident };
        let (mut model, mut same) = (article(kernels, adam()), article(kernels, adam()));
        let mut trainer = model.trainer_blocking(&data, BATCH, residency).unwrap();
        let mut other = same.trainer_blocking(&data, BATCH, Residency::Resident).unwrap();
        let (mut losses, mut expected) = (Vec::new(), Vec::new());
        let mut done = 0;
        for (submits, polls) in calls {
            if submits {
                let batch = done as usize % 4;
                let step = |model: &Model| model.next_step(done);
                let submitted = poll(trainer.submit(batch..batch + 1, |_| step(&model)), polls);
                // Given up while it waits for room, it has submitted nothing.
                if let Some(submitted) = submitted {
                    submitted.unwrap();
                    other.submit_blocking(batch..batch + 1, |_| step(&same)).unwrap();
                    expected.extend(other.results_blocking().unwrap().unwrap());
                    done += 1;
                }
            } else if let Some(Ok(Some(results))) = poll(trainer.results(), polls) {
                losses.extend(results);
            }
        }
        while let Some(results) = trainer.results_blocking().unwrap() {
            losses.extend(results);
        }
        prop_assert_eq!(losses, expected);
        prop_assert_eq!(weight_bits(&model), weight_bits(&same));
    }
}
