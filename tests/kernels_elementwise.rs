//! Element-wise kernels against the twin.

use crate::common::cases::{BINARY, Net};
use crate::common::random::Random;
use crate::common::{check, run};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::graph::{Reduction, Shape, Tensor, Unary};

/// One element, less and more than a workgroup, primes, tile edges, vectors, rank 3.
const SHAPES: [&[usize]; 14] = [
    &[],
    &[1],
    &[2],
    &[13],
    &[63],
    &[64],
    &[65],
    &[257],
    &[1, 31],
    &[127, 1],
    &[33, 32],
    &[3, 5, 7],
    &[1, 7, 1],
    &[65, 127],
];

/// What the function is defined for: random numbers, and some that are special.
fn arguments(function: Unary, n: usize, random: &mut Random) -> Vec<f32> {
    let positive = matches!(function, Unary::Log | Unary::Sqrt | Unary::Reciprocal);
    let special: &[f32] = if positive {
        &[1.0, 0.9999, 1.0001, 0.5, 2.0, 1e-6, 1e6, 1.9999, 0.50001]
    } else {
        &[0.0, -0.0, 1.0, -1.0, 1e-3, -1e-3, 0.625, -0.6249, 10.0, -10.0, 20.0, -20.0, 5.0, -5.0]
    };
    // Shuffled, so that small tensors see them, too.
    let offset = random.below(special.len());
    let special: Vec<f32> =
        special.iter().cycle().skip(offset).take(n.min(special.len())).copied().collect();
    let mut values = if n > 2 { special[..n.min(special.len()) / 2].to_vec() } else { Vec::new() };
    while values.len() < n {
        values.push(if positive { random.uniform(0.05, 4.0) } else { random.uniform(-4.0, 4.0) });
    }
    values
}

#[test]
fn unary_functions() {
    for (number, function) in Unary::ALL.iter().copied().enumerate() {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            let mut net = Net::new((100 * number + i) as u64);
            let n = shape.iter().product();
            let values = arguments(function, n, &mut net.random);
            let x = net.holding(shape, &values);
            let y = net.graph.unary(function, x).unwrap();
            check(&format!("{} {shape:?}", function.name()), &net.graph, &[y], &net.values);
        }
    }
}

#[test]
fn unary_gradients() {
    for (number, function) in Unary::ALL.iter().copied().enumerate() {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            let mut net = Net::new((1000 + 100 * number + i) as u64);
            let n = shape.iter().product();
            let values = arguments(function, n, &mut net.random);
            let x = net.holding(shape, &values);
            let y = net.graph.unary(function, x).unwrap();
            let of = net.weighted_sum(y);
            let dx = net.graph.gradients(of, &[x]).unwrap();
            check(&format!("{}_grad {shape:?}", function.name()), &net.graph, &dx, &net.values);
        }
    }
}

/// Far out, where exponentials overflow and differences cancel, nothing may become NaN.
#[test]
fn functions_saturate() {
    let far = [0.75, -0.75, 50.0, -50.0, 88.0, -88.0, 100.0, -100.0, 1e4, -1e4, 1e18, -1e18];
    for &function in Unary::ALL {
        let far: Vec<f32> = match function {
            Unary::Exp => far.iter().map(|x: &f32| x.min(80.0)).collect(),
            // Its slope's factors are beyond bounds further out; see below.
            Unary::GeluTanh => far.iter().map(|x| x.clamp(-1e4, 1e4)).collect(),
            Unary::Log | Unary::Sqrt | Unary::Reciprocal => far.iter().map(|x| x.abs()).collect(),
            _ => far.to_vec(),
        };
        let mut net = Net::new(1);
        let x = net.holding([far.len()], &far);
        let y = net.graph.unary(function, x).unwrap();
        let of = net.graph.sum(y, 0).unwrap();
        let dx = net.graph.gradients(of, &[x]).unwrap()[0];
        check(&format!("{} far out", function.name()), &net.graph, &[y, dx], &net.values);
    }
    for function in [Unary::Gelu, Unary::GeluTanh] {
        let mut net = Net::new(1);
        let x = net.holding([2], &[1e18, -1e18]);
        let y = net.graph.unary(function, x).unwrap();
        let of = net.graph.sum(y, 0).unwrap();
        let dx = net.graph.gradients(of, &[x]).unwrap()[0];
        let found = run(&net.graph, &[y, dx], &net.values);
        assert_eq!(found, [[1e18, 0.0], [1.0, 0.0]], "{}", function.name());
    }
}

#[test]
fn binary_operations() {
    for (number, binary) in BINARY.into_iter().enumerate() {
        for (i, shape) in SHAPES.into_iter().enumerate() {
            let row = shape.last().map_or(&[][..], std::slice::from_ref);
            let column: Vec<usize> =
                shape.split_last().map_or(Vec::new(), |(_, above)| [above, &[1]].concat());
            for other in [shape, row, &column, &[], &[1], &[1, 1]] {
                let mut net = Net::new((100 * number + i) as u64);
                let (a, b) = (net.input(shape), net.input(other));
                let y = net.graph.binary(binary, a, b).unwrap();
                check(&format!("{binary:?} {shape:?} {other:?}"), &net.graph, &[y], &net.values);
            }
        }
        let mut net = Net::new(number as u64);
        let a = net.input([65]);
        let y = net.graph.binary(binary, a, a).unwrap();
        check(&format!("{binary:?} of a tensor with itself"), &net.graph, &[y], &net.values);
    }
}

#[test]
fn bias_and_scale() {
    for (i, shape) in SHAPES.into_iter().enumerate() {
        let mut net = Net::new(i as u64);
        let x = net.input(shape);
        let scaled = net.graph.scale(x, -0.3).unwrap();
        check(&format!("scale {shape:?}"), &net.graph, &[scaled], &net.values);
        if let Some(&columns) = shape.last() {
            let bias = net.input([columns]);
            let y = net.graph.bias_add(x, bias).unwrap();
            check(&format!("bias_add {shape:?}"), &net.graph, &[y], &net.values);
        }
    }
}

/// More than 65,535 workgroups of 64, so that a dispatch needs its second dimension: one workgroup
/// more, and a last one that is not full. The row of 127 shifts against the workgroups.
#[test]
fn more_workgroups_than_one_dimension_holds() {
    let shape = [33_026, 127];
    assert!(shape[0] * shape[1] > 65_535 * 64);
    let mut net = Net::new(1);
    let (x, row) = (net.input(shape), net.input([127]));
    let product = net.graph.mul(x, row).unwrap();
    check("mul with a row", &net.graph, &[product], &net.values);

    let mut net = Net::new(2);
    let x = net.input([65_535 * 64 + 1]);
    let y = net.graph.unary(Unary::LeakyRelu { slope: 0.25 }, x).unwrap();
    check("leaky_relu", &net.graph, &[y], &net.values);
}

/// Whether all of a long chain happens, in order, when intermediate tensors share memory.
#[test]
fn chains() {
    let mut net = Net::new(1);
    let x = net.input([5, 13]);
    let mut y = x;
    let mut between: Vec<Tensor> = Vec::new();
    for i in 0..12 {
        y = net.graph.scale(y, if i % 2 == 0 { -1.25 } else { 0.75 }).unwrap();
        y = net.graph.add(y, x).unwrap();
        between.push(y);
    }
    check("the end of a chain", &net.graph, &[y], &net.values);
    check("all of a chain", &net.graph, &between, &net.values);
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 24,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_shapes(
        dims in prop::collection::vec(1usize..12, 0..4),
        kind in 0usize..3,
        broadcast in 0usize..3,
        seed: u64,
    ) {
        let shape = Shape::from(dims.clone());
        let other = match broadcast {
            0 => shape.clone(),
            1 => Shape::from(&dims[dims.len().saturating_sub(1)..]),
            _ => Shape::scalar(),
        };
        let mut net = Net::new(seed);
        let (a, b) = (net.before(shape), net.before(other.clone()));
        let y = net.graph.binary(BINARY[kind], a, b).unwrap();
        let of = net.weighted_sum(y);
        let mut outputs = net.graph.gradients(of, &[a, b]).unwrap();
        outputs.push(y);
        check(&format!("{:?} {dims:?} {other}", BINARY[kind]), &net.graph, &outputs, &net.values);
    }
}

/// A sum of functions, so that several values live at the same time.
#[test]
fn wide() {
    let mut net = Net::new(3);
    let x = net.input([31, 3]);
    let branches: Vec<Tensor> =
        [Unary::Tanh, Unary::Square, Unary::Sigmoid, Unary::Gelu, Unary::Abs]
            .into_iter()
            .map(|function| net.graph.unary(function, x).unwrap())
            .collect();
    let mut sum = x;
    for branch in branches {
        let part = net.graph.mul(branch, sum).unwrap();
        sum = net.graph.add(sum, part).unwrap();
    }
    let of = net.graph.reduce(Reduction::Mean, sum, 0, 2).unwrap();
    let dx = net.graph.gradients(of, &[x]).unwrap()[0];
    check("wide", &net.graph, &[sum, of, dx], &net.values);
}
