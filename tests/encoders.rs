//! Steps that an app records into encoders of its own, some of which it drops rather than submits.

use crate::common::gpu;
use proptest::prelude::*;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, Loss, Tensor, UpdateRule};
use wgrad::plan::{Plan, PlanOptions};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// Learns one number, 1.
fn descent() -> (Executor, Tensor) {
    let mut graph = Graph::new();
    let (t, w) = (graph.input("t", [1]).unwrap(), graph.parameter("w", [1]).unwrap());
    let loss = graph.loss(Loss::MeanSquaredError, w, t).unwrap();
    let gradient = graph.gradients(loss, &[w]).unwrap()[0];
    graph.update(SGD, None, loss, &[(w, gradient)]).unwrap();
    let options = PlanOptions { results: vec![loss], ..PlanOptions::default() };
    let plan = Plan::with_options(&graph, &options, &gpu().target()).unwrap();
    let executor = Executor::new_blocking(&gpu(), plan).unwrap();
    executor.write(t, &[1.0]).unwrap();
    (executor, w)
}

/// What becomes of an encoder.
#[derive(Clone, Copy, Debug)]
enum End {
    Dropped,
    /// Finished, and then dropped.
    Finished,
    Submitted,
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(24) })]

    /// However many encoders are dropped, the executor records on, and what was submitted comes back once,
    /// in its order, with the losses of a loop without the others.
    #[test]
    fn encoders_that_are_dropped_take_no_place(
        ends in prop::collection::vec(
            prop::sample::select(vec![End::Dropped, End::Finished, End::Submitted]), 1..30),
        waits in any::<bool>(),
    ) {
        let (mut executor, w) = descent();
        let (mut losses, mut submitted, mut under_way) = (Vec::new(), 0, 0);
        for end in ends {
            let step = |number: u64| Step::training(SGD, number, 0, 0.1);
            let steps = [step(2 * submitted), step(2 * submitted + 1)];
            let mut encoder = gpu().device().create_command_encoder(&Default::default());
            executor.record(&mut encoder, &steps).unwrap();
            match end {
                End::Dropped => drop(encoder),
                End::Finished => drop(encoder.finish()),
                End::Submitted => {
                    gpu().queue().submit([encoder.finish()]);
                    if waits {
                        gpu().device().poll(wgpu::PollType::wait_indefinitely()).unwrap();
                    }
                    executor.submitted();
                    (submitted, under_way) = (submitted + 1, under_way + 1);
                }
            }
            if under_way == 4 {
                losses.extend(executor.results_blocking().unwrap().expect("the oldest").rows);
                under_way -= 1;
            }
        }
        while let Some(results) = executor.results_blocking().unwrap() {
            losses.extend(results.rows);
        }
        let (mut other, same) = descent();
        let steps: Vec<Step> =
            (0..2 * submitted).map(|number| Step::training(SGD, number, 0, 0.1)).collect();
        let expected = if steps.is_empty() { vec![] } else { other.run_blocking(&steps).unwrap() };
        prop_assert_eq!(losses, expected);
        let (left, right) = (executor.read_blocking(w), other.read_blocking(same));
        prop_assert_eq!(left.unwrap(), right.unwrap());
        prop_assert_eq!(executor.run_blocking(&[Step::training(SGD, 0, 0, 0.0)]).unwrap().len(), 1);
    }
}

/// Those that are there still, submitted or not, keep theirs.
#[test]
fn five_encoders_at_once_are_one_too_many() {
    let (mut executor, _) = descent();
    let step = [Step::training(SGD, 0, 0, 0.1)];
    let record = |executor: &mut Executor| {
        let mut encoder = gpu().device().create_command_encoder(&Default::default());
        executor.record(&mut encoder, &step).map(|()| encoder)
    };
    let mut encoders: Vec<_> = (0..4).map(|_| record(&mut executor).unwrap()).collect();
    let error = record(&mut executor).map(drop).expect_err("five").to_string();
    assert!(error.contains("is 4;") && error.contains("take results"), "{error}");
    encoders.remove(1);
    encoders.push(record(&mut executor).unwrap());
    gpu().queue().submit(encoders.into_iter().map(wgpu::CommandEncoder::finish));
    executor.submitted();
    for _ in 0..4 {
        assert_eq!(executor.results_blocking().unwrap().expect("results").rows.len(), 1);
    }
    assert!(executor.results_blocking().unwrap().is_none());
}
