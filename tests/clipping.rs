//! Clipping by the norm of all gradients, for gradients of every size that f32 holds: their squares need
//! not be among those.

use crate::common;
use crate::common::num::Num;
use crate::common::random::Random;
use crate::common::training::{compile_on, kinds, without_subgroups};
use crate::common::twin::{self, Trained};
use crate::common::{gpu, within_bounds};
use crate::support::net::Net;
use crate::support::{bits, close};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::data::Dataset;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Graph, UpdateRule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::{Plan, PlanOptions};
use wgrad::train::{FitOptions, Kernels};

const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

/// The gradients of several parameters, clipped to `limit`: what a step of rate 1 adds to zeros, of which
/// the gradients are the negatives. The parameters lie in chunks of at most `chunk` bytes.
fn clipped(gradients: &[Vec<f32>], limit: f32, chunk: Option<u64>) -> Vec<f32> {
    let mut graph = Graph::new();
    let (mut inputs, mut pairs) = (Vec::new(), Vec::new());
    for (number, values) in gradients.iter().enumerate() {
        let w = graph.parameter(&format!("w{number}"), [values.len()]).unwrap();
        let x = graph.input(&format!("x{number}"), [values.len()]).unwrap();
        pairs.push((w, graph.scale(x, -1.0).unwrap()));
        inputs.push(x);
    }
    let one = graph.input("loss", [1]).unwrap();
    let loss = graph.scale(one, 1.0).unwrap();
    graph.update(SGD, Some(limit), loss, &pairs).unwrap();
    let mut target = gpu().target();
    target.max_binding_bytes = chunk.unwrap_or(target.max_binding_bytes);
    let plan = Plan::with_options(&graph, &PlanOptions::default(), &target).unwrap();
    let mut executor = Executor::new_blocking(&gpu(), plan).unwrap();
    executor.write(one, &[1.0]).unwrap();
    for (&x, values) in inputs.iter().zip(gradients) {
        executor.write(x, values).unwrap();
    }
    executor.run_blocking(&[Step::training(SGD, 0, 0, 1.0)]).unwrap();
    pollster::block_on(executor.parameters().read_all()).unwrap().concat()
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt()
}

/// Compares with the twin, and the norm with what it must be: roundings of a sum of squares of `n` terms,
/// of which half survive the root, and `n` results that may be flushed to zero.
fn check(name: &str, gradients: &[Vec<f32>], limit: f32, chunk: Option<u64>) {
    let found = clipped(gradients, limit, chunk);
    let all = gradients.concat();
    let mut trained = [Trained::new(&vec![0.0; all.len()])];
    trained[0].gradient = all.iter().map(|&g| Num::exact(-f64::from(g))).collect();
    twin::update(SGD, Some(limit), 1.0, 1, &mut trained);
    within_bounds(name, &found, &trained[0].value);
    let least = f64::from(f32::MIN_POSITIVE);
    let (found, whole) = (norm(&found), norm(&all));
    let expected = whole.min(f64::from(limit));
    let mut bound = 1e-5 * expected + all.len() as f64 * least;
    // The factors are 1 / scale and limit / (norm / scale), where the scale is at most 2¹²⁰. Where denormals are
    // flushed, the second may be zero.
    if expected < least * whole / f64::from(120).exp2() {
        bound += expected;
    }
    let off = (found - expected).abs();
    assert!(off <= bound, "{name}: a norm of {found:e}, not {expected:e} ± {bound:.1e}");
}

#[test]
fn norms_whose_squares_are_no_f32() {
    for (size, limit) in [
        (1e-30, 1e-31),
        (1e-30, 1e-29),
        (1e-37, 3e-38),
        (1e20, 1.0),
        (1e20, 1e-15),
        (1e20, 1e21),
        (3e38, 1.0),
        // The norm itself is beyond f32.
        (3e38, 3e38),
        (3e38, 2e-38),
    ] {
        // In one workgroup; in many; in many chunks.
        for (lengths, chunk) in
            [(vec![1], None), (vec![70, 3, 1], None), (vec![20_000, 30_000], Some(1 << 17))]
        {
            let mut random = Random::new(1);
            let mut draw = |n: usize| random.many(n, |r| size * r.uniform(-1.0, 1.0));
            let gradients: Vec<Vec<f32>> = lengths.iter().map(|&n| draw(n)).collect();
            check(&format!("{size:e} to {limit:e}, {lengths:?}"), &gradients, limit, chunk);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 48,
        rng_seed: RngSeed::Fixed(5),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Gradients of sizes near one power of two, or of many.
    #[test]
    fn norms_of_every_size(
        lengths in prop::collection::vec(1usize..400, 1..4),
        exponent in -125i32..128,
        spread in prop::sample::select(vec![1usize, 4, 60, 250]),
        ratio in -40i32..4,
        seed: u64,
    ) {
        let mut random = Random::new(seed);
        let mut draw = |n: usize| random.many(n, |r| {
            let power = (exponent - r.below(spread) as i32).max(-125);
            let size = f64::from(r.uniform(1.0, 2.0)) * f64::from(power).exp2();
            if r.below(2) == 0 { size as f32 } else { -size as f32 }
        });
        let gradients: Vec<Vec<f32>> = lengths.iter().map(|&n| draw(n)).collect();
        let limit = norm(&gradients.concat()) * f64::from(ratio).exp2();
        let limit = (limit as f32).clamp(1e-37, f32::MAX);
        check(&format!("2^{exponent}, {spread}, to {limit:e}"), &gradients, limit, None);
    }
}

/// Trains `net` from `start` as the reference does, with kernels of every kind; those of one kind have the
/// same bits with either exchange between lanes.
fn follows(
    name: &str,
    net: &Sequential,
    start: Option<f32>,
    loss: Loss,
    optimizer: Optimizer,
    data: &Dataset,
    epochs: usize,
) {
    let (with, without) = (gpu(), without_subgroups());
    let mut reference = Net::new(net, loss, &optimizer);
    let initial: Vec<(String, Vec<f32>)> = net
        .parameters()
        .unwrap()
        .into_iter()
        .map(|spec| {
            let filled = |value| vec![value; spec.initial.len()];
            (spec.name, start.map_or(spec.initial.clone(), filled))
        })
        .collect();
    reference.set_parameters(&initial);
    reference.train(data, epochs, 8);
    for kernels in kinds() {
        let run = |gpu: &wgrad::Gpu| {
            let mut model = compile_on(kernels, gpu, net.clone(), loss, optimizer.clone());
            let start: Vec<Vec<f32>> = initial.iter().map(|(_, values)| values.clone()).collect();
            model.set_weights(&start).unwrap();
            model.fit_blocking(data, FitOptions::new(epochs).batch_size(8).in_order()).unwrap();
            common::training::weights(&model)
        };
        let found = run(&with);
        close(&format!("{name}, {kernels:?}"), &found, reference.parameters(), 1e-5, 1e-6);
        if kernels != Kernels::General {
            assert_eq!(bits(&run(&without)), bits(&found), "{name}, {kernels:?}");
        }
    }
}

#[test]
fn training_clips_gradients_of_every_size() {
    let features = |size: f32| Random::new(2).many(24 * 3, |r| size * r.off_zero());
    // Gradients are those of the features.
    let net = Sequential::new(3).dense(8).relu().dense(1).seed(3);
    let large = Dataset::regression(features(1e20), 3, vec![0.5; 24], 1).unwrap();
    let sgd = Optimizer::sgd(0.05).clip_norm(1.0);
    follows("1e20", &net, None, Loss::MeanAbsoluteError, sgd, &large, 3);
    // Gradients are those of the errors, until the first step makes errors near 1.
    let net = Sequential::new(3).dense(2);
    let targets = Random::new(4).many(8 * 2, |r| 1e-30 * r.off_zero());
    let small = Dataset::regression(features(1.0)[..8 * 3].to_vec(), 3, targets, 2).unwrap();
    for (limit, rate) in [(1e-31, 1e30), (1e-29, 1e29)] {
        let sgd = Optimizer::sgd(rate).clip_norm(limit);
        follows("1e-30", &net, Some(0.0), Loss::MeanSquaredError, sgd, &small, 1);
    }
}
