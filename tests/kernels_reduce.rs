//! Sums, means, maxima and expansions against the twin.

use crate::common::cases::{Net, REDUCTIONS, axis_ranges};
use crate::common::check;
use crate::common::random::Random;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::graph::{Reduction, Shape};

/// Spans and rows of 1, of primes, and of one less and one more than 16 (up to which an invocation
/// reduces alone), 32 (a block), 64 and 256 (a workgroup); odd shapes of rank 3 and 4.
const SHAPES: [&[usize]; 20] = [
    &[1],
    &[2],
    &[16],
    &[17],
    &[257],
    &[8193],
    &[1, 31],
    &[31, 1],
    &[15, 33],
    &[31, 32],
    &[33, 31],
    &[64, 65],
    &[257, 2],
    &[127, 63],
    &[3, 4, 5],
    &[7, 1, 13],
    &[2, 127, 3],
    &[5, 3, 65],
    &[3, 17, 33],
    &[2, 3, 5, 7],
];

#[test]
fn reductions() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        for (start, end) in axis_ranges(shape.len()) {
            let mut net = Net::new(i as u64);
            // Mostly positive, so that long sums outgrow their error bounds.
            let x = net.drawn(shape, |r| r.uniform(-0.5, 1.5));
            for reduction in REDUCTIONS {
                let y = net.graph.reduce(reduction, x, start, end).unwrap();
                let name = format!("{reduction:?} {shape:?} axes {start}..{end}");
                check(&name, &net.graph, &[y], &net.values);
            }
        }
    }
}

/// All negative, so that a maximum that starts from 0 is found out; and all equal.
#[test]
fn maxima() {
    for shape in [&[33, 7][..], &[7, 300], &[300, 7], &[1, 1]] {
        for axis in 0..shape.len() {
            let mut net = Net::new(1);
            let negative = net.drawn(shape, |r| r.uniform(-3.0, -2.0));
            let y = net.graph.max(negative, axis).unwrap();
            check(&format!("negative {shape:?}"), &net.graph, &[y], &net.values);
            let same = net.drawn(shape, |_| -7.25);
            let y = net.graph.max(same, axis).unwrap();
            check(&format!("equal {shape:?}"), &net.graph, &[y], &net.values);
        }
    }
}

#[test]
fn gradients_of_maxima_with_equals() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        for (start, end) in axis_ranges(shape.len()) {
            let mut net = Net::new(i as u64);
            // Few different values, so many are equal.
            let x = net.drawn(shape, |r| r.below(4) as f32 - 2.0);
            let y = net.graph.reduce(Reduction::Max, x, start, end).unwrap();
            let of = net.weighted_sum(y);
            let dx = net.graph.gradients(of, &[x]).unwrap();
            let name = format!("max_grad {shape:?} axes {start}..{end}");
            check(&name, &net.graph, &dx, &net.values);
        }
    }
}

#[test]
fn expansions() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        for (start, end) in axis_ranges(shape.len()) {
            let mut net = Net::new(i as u64);
            let x = net.input(Shape::from(shape).without(start, end));
            let y = net.graph.expand(x, shape, start, end, 0.3).unwrap();
            let name = format!("expand {shape:?} axes {start}..{end}");
            check(&name, &net.graph, &[y], &net.values);
        }
    }
}

/// One output of millions of terms, and a few outputs of many, along each axis.
#[test]
fn long_spans() {
    for (shape, start, end) in [
        (&[4_194_369][..], 0, 1),
        (&[100_003, 3], 0, 1),
        (&[3, 100_003], 1, 2),
        (&[2, 20_011, 5], 1, 2),
    ] {
        for reduction in REDUCTIONS {
            let mut net = Net::new(1);
            let x = net.drawn(shape, |r| r.uniform(0.5, 1.5));
            let y = net.graph.reduce(reduction, x, start, end).unwrap();
            let name = format!("{reduction:?} {shape:?} axes {start}..{end}");
            check(&name, &net.graph, &[y], &net.values);
        }
    }
}

/// More than 65,535 workgroups: one invocation per output, and one workgroup per output or per
/// maximum.
#[test]
fn more_workgroups_than_one_dimension_holds() {
    for (shape, axis) in [([65_535 * 64 + 65, 2], 1), ([2, 65_535 * 64 + 65], 0)] {
        let mut net = Net::new(1);
        let x = net.input(shape);
        let y = net.graph.sum(x, axis).unwrap();
        check(&format!("sum {shape:?} axis {axis}"), &net.graph, &[y], &net.values);
    }
    let mut net = Net::new(2);
    let x = net.input([65_600]);
    let y = net.graph.expand(x, [65_600, 64], 1, 2, 2.0).unwrap();
    check("expand", &net.graph, &[y], &net.values);

    let mut net = Net::new(3);
    let x = net.drawn([65_541, 3], |r| r.below(4) as f32 - 2.0);
    let y = net.graph.max(x, 1).unwrap();
    let of = net.weighted_sum(y);
    let dx = net.graph.gradients(of, &[x]).unwrap();
    check("max_grad", &net.graph, &dx, &net.values);

    // 32,768 outputs and more, of long spans.
    let mut net = Net::new(4);
    let x = net.drawn([40, 32_771], Random::unit);
    let y = net.graph.mean(x, 0).unwrap();
    check("mean", &net.graph, &[y], &net.values);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        rng_seed: RngSeed::Fixed(3),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_shapes(
        dims in prop::collection::vec(1usize..40, 1..4),
        axes in (0usize..4, 0usize..4),
        kind in 0usize..3,
        seed: u64,
    ) {
        let rank = dims.len();
        let start = axes.0 % rank;
        let end = start + 1 + axes.1 % (rank - start);
        let mut net = Net::new(seed);
        let x = net.drawn(dims.as_slice(), |r| r.uniform(-0.5, 1.5));
        let y = net.graph.reduce(REDUCTIONS[kind], x, start, end).unwrap();
        let of = net.weighted_sum(y);
        let dx = net.graph.gradients(of, &[x]).unwrap()[0];
        let name = format!("{:?} {dims:?} axes {start}..{end}", REDUCTIONS[kind]);
        check(&name, &net.graph, &[y, dx], &net.values);
    }
}
