//! NaN and infinities in every operation: what comes of them is what f64 says, in every element that
//! depends on them and in no other.

use crate::common::cases::{self, LOSSES, Net};
use crate::common::num::Num;
use crate::common::random::Random;
use crate::common::twin::{self, Value, Values};
use crate::common::{Run, f32s, write_raw};
use approx::abs_diff_eq;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::graph::{Count, Graph, Loss, Reduction, Tensor};
use wgrad::plan::Place;

/// Fused plans, and plans in which each node runs a kernel of its own.
fn plans() -> [Run; 2] {
    [true, false].map(|fuse| Run { fuse, reuse_memory: fuse, ..Run::default() })
}

/// Fails unless NaN is where the twin has it, infinities are the same, and what is finite is near.
fn agree(name: &str, found: &[f32], expected: &[Num]) {
    assert_eq!(found.len(), expected.len(), "{name}: number of elements");
    for (i, (&found, expected)) in found.iter().zip(expected).enumerate() {
        let (found, value) = (f64::from(found), expected.value);
        let right = if value.is_finite() {
            // A bound that knows nothing still rules NaN and infinities out.
            let near = abs_diff_eq!(found, value, epsilon = expected.error);
            found.is_finite() && (near || expected.error.is_nan())
        } else {
            found == value || found.is_nan() && value.is_nan()
        };
        assert!(right, "{name}: [{i}] is {found:e}, not {value:e} ± {:.1e}", expected.error);
    }
}

/// Runs `graph` in both kinds of plans and compares `outputs` with the twin.
fn check(name: &str, graph: &Graph, outputs: &[Tensor], values: &Values) {
    let all = twin::evaluate(graph, values, 0);
    for run in plans() {
        let found = run.run_raw(graph, outputs, values);
        for (number, (&output, found)) in outputs.iter().zip(&found).enumerate() {
            let name = format!("{name}, fused: {}, output {number}", run.fuse);
            agree(&name, found, twin::value_of(graph, &all, output).floats());
        }
    }
}

/// A NaN in one element of one input or parameter of each case, forward and backward.
#[test]
fn nan_goes_wherever_it_is_looked_at() {
    let mut random = Random::new(1);
    let (mut lost, mut looked_at) = (0, 0);
    for mut case in cases::all() {
        let mut outputs = vec![case.of];
        outputs.extend(case.graph.gradients(case.of, &case.wrt).expect(&case.name));
        let mut leaves: Vec<Tensor> = case.values.keys().copied().collect();
        leaves.sort();
        leaves.retain(|leaf| matches!(case.values[leaf], Value::F(_)));
        // Not all of a case's, which are alike: the first ones are the operands'.
        leaves.truncate(3);
        let spoiled: Vec<(Tensor, Vec<f32>, Values)> = leaves
            .iter()
            .map(|&leaf| {
                let mut values = f32s(&case.values[&leaf]);
                let at = random.below(values.len());
                // Processors make NaN of either sign.
                values[at] = if random.below(2) == 0 { f32::NAN } else { -f32::NAN };
                let mut with_nan = case.values.clone();
                with_nan.insert(leaf, Value::exact(&values));
                (leaf, values, twin::evaluate(&case.graph, &with_nan, 0))
            })
            .collect();
        for run in plans() {
            let mut executor = run.executor(&case.graph, &outputs, &case.values);
            for (leaf, values, expected) in &spoiled {
                if executor.plan().place(*leaf) == Place::Nowhere {
                    continue;
                }
                write_raw(&executor, *leaf, values);
                executor.run_blocking(&run.steps).unwrap();
                for (number, &output) in outputs.iter().enumerate() {
                    let by = &case.graph.info(*leaf).unwrap().name;
                    let name = format!("{}, fused: {}, NaN in {by}", case.name, run.fuse);
                    let found = executor.read_blocking(output).unwrap();
                    let expected = twin::value_of(&case.graph, expected, output);
                    agree(&format!("{name}, output {number}"), &found, expected.floats());
                    lost += found.iter().filter(|y| !y.is_nan()).count();
                    looked_at += found.len();
                }
                write_raw(&executor, *leaf, &f32s(&case.values[leaf]));
            }
        }
    }
    assert!((looked_at / 10..looked_at).contains(&lost), "{lost} of {looked_at} are not NaN");
}

/// The named cases: NaN first, in the middle and last, in what one invocation reduces and what many do.
#[test]
fn maxima_of_nan() {
    for n in [3, 17, 5000] {
        for at in [0, n / 2, n - 1] {
            for nan in [f32::NAN, -f32::NAN] {
                let mut net = Net::new(1);
                let mut values = net.random.many(n, |r| r.uniform(-3.0, 3.0));
                values[at] = nan;
                let x = net.holding([n], &values);
                let y = net.graph.max(x, 0).unwrap();
                let dx = net.graph.gradients(y, &[x]).unwrap()[0];
                check(&format!("{n} values, NaN at {at}"), &net.graph, &[y, dx], &net.values);
            }
        }
    }
    let infinite = f32::NEG_INFINITY;
    let mut net = Net::new(1);
    let x = net.holding([2, 2], &[infinite, infinite, infinite, 1.0]);
    let y = net.graph.max(x, 1).unwrap();
    let found = Run::default().run_raw(&net.graph, &[y], &net.values);
    assert_eq!(found, [[infinite, 1.0]]);
}

/// A number that is NaN, infinite, zero, or like any other; how often, by `odd` in 100.
fn unusual(random: &mut Random, odd: usize) -> f32 {
    let special =
        [f32::NAN, -f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
    match random.below(100) < odd {
        true => special[random.below(special.len())],
        false => random.uniform(-2.0, 2.0),
    }
}

/// Lines that one invocation looks at, that several share, and of length 1.
const LINES: [usize; 7] = [1, 2, 3, 7, 16, 33, 300];

const COUNTS: [Count; 5] = [
    Count::Correct,
    Count::CorrectBinary,
    Count::CorrectProbabilities,
    Count::AbsoluteError,
    Count::SquaredError,
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(4),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn reductions_and_softmaxes(
        dims in prop::collection::vec(prop::sample::select(&LINES[..6]), 1..4),
        odd in prop::sample::select(vec![2usize, 20, 90]),
        axes in (0usize..4, 0usize..4),
        seed: u64,
    ) {
        let rank = dims.len();
        let start = axes.0 % rank;
        let end = start + 1 + axes.1 % (rank - start);
        let mut net = Net::new(seed);
        let x = net.drawn(dims.as_slice(), |r| unusual(r, odd));
        let mut outputs = Vec::new();
        for reduction in [Reduction::Sum, Reduction::Mean, Reduction::Max] {
            outputs.push(net.graph.reduce(reduction, x, start, end).unwrap());
        }
        outputs.push(net.graph.softmax(x, start).unwrap());
        outputs.push(net.graph.log_softmax(x, start).unwrap());
        for y in outputs.clone() {
            let of = net.weighted_sum(y);
            outputs.extend(net.graph.gradients(of, &[x]).unwrap());
        }
        let name = format!("{dims:?}, axes {start}..{end}, {odd} % unusual");
        check(&name, &net.graph, &outputs, &net.values);
    }

    #[test]
    fn losses_and_counts(
        rows in 1usize..9,
        columns in prop::sample::select(&LINES[..]),
        odd in prop::sample::select(vec![0usize, 1, 10, 60]),
        odd_targets in prop::sample::select(vec![0usize, 0, 5]),
        seed: u64,
    ) {
        let mut net = Net::new(seed);
        let predictions = net.drawn([rows, columns], |r| unusual(r, odd));
        let labels: Vec<u32> = (0..rows).map(|_| net.random.below(columns) as u32).collect();
        let labels = net.indices([rows], &labels);
        // Probabilities, many of which are exactly 0 or 1.
        let targets = net.drawn([rows, columns], |r| match r.below(100) < odd_targets {
            true => f32::NAN,
            false => [0.0, 0.0, 1.0, 0.25][r.below(4)],
        });
        let mut outputs = Vec::new();
        for loss in [&LOSSES[..], &[Loss::SoftmaxCrossEntropy]].concat() {
            let t = if loss.takes_classes() { labels } else { targets };
            let value = net.graph.loss(loss, predictions, t).unwrap();
            outputs.push(value);
            outputs.extend(net.graph.gradients(value, &[predictions]).unwrap());
        }
        for count in COUNTS {
            let t = if count == Count::Correct { labels } else { targets };
            outputs.push(net.graph.count(count, predictions, t).unwrap());
        }
        let name = format!("{rows}×{columns}, {odd} % unusual, {odd_targets} % of the targets");
        check(&name, &net.graph, &outputs, &net.values);
    }
}

/// 0·∞: where a probability is 0, the logit may be as far below as f32 goes, or -∞.
#[test]
fn classes_of_no_probability_cost_nothing() {
    for low in [-1e4, -3e38, f32::NEG_INFINITY] {
        let mut net = Net::new(1);
        let logits = net.holding([2, 3], &[3e38, low, low, 1.0, low, 2.0]);
        let targets = net.holding([2, 3], &[1.0, 0.0, 0.0, 0.5, 0.0, 0.5]);
        let loss = Loss::SoftmaxCrossEntropyProbabilities;
        let value = net.graph.loss(loss, logits, targets).unwrap();
        let gradient = net.graph.gradients(value, &[logits]).unwrap()[0];
        check(&format!("{low:e}"), &net.graph, &[value, gradient], &net.values);
        let found = Run::default().run_raw(&net.graph, &[value, gradient], &net.values);
        assert!(found.iter().flatten().all(|x| x.is_finite()), "{low:e}: {found:?}");
        // A class that has a probability and cannot be costs infinitely much.
        net.set(targets, &[0.5, 0.5, 0.0, 0.0, 0.5, 0.5]);
        let found = Run::default().run_raw(&net.graph, &[value], &net.values);
        assert_eq!(found[0][0].is_infinite(), low < -1e4, "{low:e}: {found:?}");
        // Yes and no, each certain and right.
        let z = net.holding([4], &[low, -low, low, -low]);
        let t = net.holding([4], &[0.0, 1.0, 0.0, 1.0]);
        let value = net.graph.loss(Loss::BinaryCrossEntropy, z, t).unwrap();
        let gradient = net.graph.gradients(value, &[z]).unwrap()[0];
        let found = Run::default().run_raw(&net.graph, &[value, gradient], &net.values);
        assert_eq!(found, [vec![0.0], vec![0.0; 4]], "{low:e}");
    }
}
