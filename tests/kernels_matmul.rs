//! Matrix products in their three layouts, with every epilogue, against the twin.

use crate::common;
use crate::common::cases::{LAYOUTS, Net, matmul_shapes};
use crate::common::random::Random;
use crate::common::{Run, check, twin, within_bounds};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use wgrad::graph::{Layout, Reduction, Tensor, Unary};
use wgrad::kernel::matmul::{Memory, Tiling};
use wgrad::plan::{Plan, Target};

/// `m`, `k`, `n`: single rows and columns, primes, one less and one more than the tiles of 64×32
/// and the blocks of 8×4, extents that are multiples of four (which are loaded as vectors) and not.
const SHAPES: [(usize, usize, usize); 24] = [
    (1, 1, 1),
    (1, 7, 1),
    (2, 3, 5),
    (13, 1, 7),
    (7, 2, 13),
    (8, 64, 4),
    (9, 63, 5),
    (31, 5, 33),
    (32, 4, 32),
    (33, 32, 31),
    (63, 65, 64),
    (64, 8, 32),
    (65, 3, 33),
    (64, 257, 1),
    (1, 127, 257),
    (257, 2, 1),
    (1, 1, 129),
    (129, 1, 1),
    (127, 31, 13),
    (129, 16, 65),
    (128, 12, 64),
    (66, 68, 36),
    (3, 33, 100),
    (100, 4, 3),
];

fn operands(net: &mut Net, layout: Layout, m: usize, k: usize, n: usize) -> (Tensor, Tensor) {
    let (of_a, of_b) = matmul_shapes(layout, m, k, n);
    (net.input(of_a), net.input(of_b))
}

#[test]
fn products() {
    for layout in LAYOUTS {
        for (i, (m, k, n)) in SHAPES.into_iter().enumerate() {
            let mut net = Net::new(i as u64);
            let (a, b) = operands(&mut net, layout, m, k, n);
            let y = net.graph.matmul_layout(layout, a, b).unwrap();
            check(&format!("{layout:?} {m}·{k}·{n}"), &net.graph, &[y], &net.values);
        }
    }
}

/// `m`, `k`, `n` around the edges of every tile: 8, 16, 24, 32, 64, 128 and 256 rows, 16, 32 and 64
/// columns, slabs of 16 terms; with rows that are read and written four values at a time, and not.
const EDGES: [(usize, usize, usize); 19] = [
    (1, 1, 1),
    (7, 15, 13),
    (8, 16, 16),
    (9, 17, 17),
    (15, 4, 31),
    (16, 20, 32),
    (17, 3, 33),
    (31, 1, 36),
    (32, 8, 64),
    (33, 33, 65),
    (23, 5, 64),
    (24, 9, 72),
    (25, 6, 71),
    (65, 36, 68),
    (127, 7, 4),
    (129, 64, 3),
    (255, 12, 1),
    (257, 5, 20),
    (4, 300, 12),
];

/// Each tiling computes each product, with every epilogue that its code can have.
#[test]
fn every_tiling() {
    let tilings = common::tilings();
    let with_subgroups = tilings.iter().filter(
        |tiling| matches!(tiling, Tiling::Registers { subgroup: Some(invocations), .. } if *invocations >= 4),
    );
    let target = common::gpu().target();
    let by_numbers = if target.words { 2 } else { 0 };
    let by_texels = if target.words && target.texels { 2 } else { 0 };
    let expected = by_numbers
        + by_texels
        + match target.subgroup {
            None => 0,
            Some(8) => 7 + by_texels / 2,
            Some(_) => 6,
        };
    assert_eq!(with_subgroups.count(), expected);
    for (number, tiling) in tilings.into_iter().enumerate() {
        let run = Run { tiling: Some(tiling), ..Run::default() };
        for (l, layout) in LAYOUTS.into_iter().enumerate() {
            // Every second edge in turn, since a driver compiles each.
            let edges = EDGES.into_iter().enumerate();
            for (i, (m, k, n)) in edges.skip((number + l) % 2).step_by(2) {
                let mut net = Net::new(i as u64);
                let (a, b) = operands(&mut net, layout, m, k, n);
                let mut outputs = vec![net.graph.matmul_layout(layout, a, b).unwrap()];
                // The column sums, or a bias and an activation; or neither.
                match (layout, i % 3) {
                    (Layout::TN, _) => outputs.push(net.graph.sum(b, 0).unwrap()),
                    (_, 0) => {}
                    (_, other) => {
                        let bias = net.input([n]);
                        let y = net.graph.bias_add(outputs[0], bias).unwrap();
                        let f = [Unary::Relu, Unary::Tanh][other - 1];
                        outputs[0] = net.graph.unary(f, y).unwrap();
                    }
                }
                let plan = run.plan(&net.graph, &outputs);
                assert!(plan.dispatches()[0].launch.name.contains(&tiling.to_string()), "{plan}");
                let name = format!("{layout:?} {m}·{k}·{n}, {tiling}");
                common::check_run(&run, &name, &net.graph, &outputs, &net.values);
            }
        }
    }
}

/// Tilings differ in speed alone, as long as sums are not split; in quarters they are.
#[test]
fn tilings_agree_to_the_bit() {
    let shapes = [(65, 131, 36), (33, 130, 67)];
    for (layout, (m, k, n)) in LAYOUTS.into_iter().zip(shapes.into_iter().cycle()) {
        let mut net = Net::new(3);
        let (a, b) = operands(&mut net, layout, m, k, n);
        let product = net.graph.matmul_layout(layout, a, b).unwrap();
        let y = net.graph.unary(Unary::Relu, product).unwrap();
        let mut first: Option<Vec<u32>> = None;
        let whole = common::tilings().into_iter().filter(|&t| t != Tiling::Quarters);
        for tiling in whole {
            let run = Run { tiling: Some(tiling), ..Run::default() };
            let found = run.run(&net.graph, &[y], &net.values).remove(0);
            let bits: Vec<u32> = found.into_iter().map(f32::to_bits).collect();
            let first = first.get_or_insert_with(|| bits.clone());
            assert!(*first == bits, "{layout:?} {m}·{k}·{n}, {tiling}");
        }
    }
}

/// Sums that are split for want of tiles: the parts, then what joins them, with each epilogue.
#[test]
fn sums_in_parts_in_every_tiling() {
    for tiling in common::tilings() {
        let run = Run { tiling: Some(tiling), busy: Some(16), ..Run::default() };
        for (m, k, n) in [(3, 1100, 5), (9, 1040, 8)] {
            let mut net = Net::new(7);
            let (x, w) = (net.drawn([m, k], Random::unit), net.drawn([k, n], Random::unit));
            let bias = net.drawn([n], Random::unit);
            let plain = net.graph.matmul(x, w).unwrap();
            let y = net.graph.bias_add(plain, bias).unwrap();
            let y = net.graph.unary(Unary::LeakyRelu { slope: 0.5 }, y).unwrap();
            let (xt, dy) = (net.drawn([k, m], Random::unit), net.drawn([k, n], Random::unit));
            let dw = net.graph.matmul_layout(Layout::TN, xt, dy).unwrap();
            let sums = net.graph.sum(dy, 0).unwrap();
            let outputs = [y, dw, sums];
            let plan = run.plan(&net.graph, &outputs);
            assert_eq!(plan.dispatches().len(), 4, "two products in two dispatches each:\n{plan}");
            let as_wanted = |parts: usize| if run.on_gpu() { parts > 1 } else { parts == 4 };
            assert!(plan.choices().iter().all(|choice| as_wanted(choice.parts)), "{plan}");
            let name = format!("{m}·{k}·{n}, {tiling}");
            common::check_run(&run, &name, &net.graph, &outputs, &net.values);
        }
    }
}

/// As many parts as there are terms for are not always as many as multiples of a slab make: what no
/// part wrote must not be added, here what is left of a tensor in whose memory the parts lie.
#[test]
fn no_part_is_without_terms() {
    for tiling in common::tilings() {
        let run = Run { tiling: Some(tiling), busy: Some(128), ..Run::default() };
        let (m, k, n) = (3, 4609, 4);
        let mut net = Net::new(8);
        let (x, dy) = (net.drawn([k, m], Random::unit), net.drawn([k, n], Random::unit));
        let large = net.graph.scale(x, 1000.0).unwrap();
        let small = net.graph.scale(large, 0.001).unwrap();
        let dw = net.graph.matmul_layout(Layout::TN, small, dy).unwrap();
        let sums = net.graph.sum(dy, 0).unwrap();
        let plan = run.plan(&net.graph, &[dw, sums]);
        let parts: Vec<usize> = plan.choices().iter().map(|choice| choice.parts).collect();
        match run.on_gpu() {
            false => {
                // Of 272 terms, though 18 would have 256 or more; or of 320, as quarters have slabs.
                let expected = if tiling == Tiling::Quarters { 15 } else { 17 };
                assert_eq!(parts, [expected], "{plan}");
            }
            true => assert!(parts[0] > 1, "{plan}"),
        }
        common::check_run(&run, &format!("{tiling}"), &net.graph, &[dw, sums], &net.values);
    }
}

/// A tiling that the device cannot run is refused, and one that there is not.
#[test]
fn impossible_tilings_are_refused() {
    let mut net = Net::new(1);
    let (a, b) = (net.input([3, 4]), net.input([4, 5]));
    let y = net.graph.matmul(a, b).unwrap();
    let invocations = |subgroup, strips| Tiling::Registers {
        subgroup,
        strips,
        columns: 4,
        halves: false,
        memory: Memory::Numbers,
    };
    let wide = |subgroup, columns| Tiling::Registers {
        subgroup,
        strips: 1,
        columns,
        halves: false,
        memory: Memory::Numbers,
    };
    let halves = |subgroup, columns| Tiling::Registers {
        subgroup,
        strips: 1,
        columns,
        halves: true,
        memory: Memory::Numbers,
    };
    for (tiling, subgroup) in [
        (invocations(Some(8), 1), Some(32)),
        (invocations(Some(8), 1), None),
        (invocations(Some(12), 1), Some(12)),
        (invocations(Some(8), 5), Some(8)),
        (invocations(None, 0), None),
        (invocations(None, 2), None),
        (wide(None, 8), None),
        (wide(Some(8), 12), Some(8)),
        (halves(None, 4), None),
        (halves(Some(16), 4), Some(16)),
        (halves(Some(8), 8), Some(8)),
        (
            Tiling::Registers {
                subgroup: None,
                strips: 1,
                columns: 4,
                halves: false,
                memory: Memory::Words,
            },
            None,
        ),
        (Tiling::Shared { side: 32 }, None),
    ] {
        let target = Target { tiling: Some(tiling), subgroup, ..Target::default() };
        let error = Plan::new(&net.graph, &[y], &target).unwrap_err().to_string();
        assert!(error.contains("tiling"), "{error}");
    }
}

/// Operands without a sign, so that the sum outgrows its error bound.
#[test]
fn long_sums() {
    for layout in LAYOUTS {
        for k in [1024, 4099] {
            let mut net = Net::new(1);
            let (of_a, of_b) = matmul_shapes(layout, 3, k, 5);
            let a = net.drawn(of_a, Random::unit);
            let b = net.drawn(of_b, Random::unit);
            let y = net.graph.matmul_layout(layout, a, b).unwrap();
            check(&format!("{layout:?} of {k} terms"), &net.graph, &[y], &net.values);
        }
    }
}

/// What follows a long sum, forward and backward; sums this long may be split among workgroups.
#[test]
fn layers_of_long_sums() {
    for (m, k, n) in [(2, 4099, 5), (4099, 3, 5), (8200, 4, 36)] {
        let mut net = Net::new(1);
        let x = net.drawn([m, k], Random::unit);
        let w = net.drawn([k, n], Random::unit);
        let bias = net.drawn([n], Random::unit);
        let h = net.graph.unary(Unary::Square, x).unwrap();
        let y = net.graph.matmul(h, w).unwrap();
        let y = net.graph.bias_add(y, bias).unwrap();
        let y = net.graph.unary(Unary::LeakyRelu { slope: 0.5 }, y).unwrap();
        let weights = net.drawn([m, n], Random::unit);
        let product = net.graph.mul(y, weights).unwrap();
        let of = net.graph.reduce(Reduction::Sum, product, 0, 2).unwrap();
        let mut outputs = net.graph.gradients(of, &[x, w, bias]).unwrap();
        check(&format!("gradients, {m}·{k}·{n}"), &net.graph, &outputs, &net.values);
        outputs.insert(0, y);
        check(&format!("layer, {m}·{k}·{n}"), &net.graph, &outputs, &net.values);
        check(&format!("values, {m}·{k}·{n}"), &net.graph, &[y], &net.values);
    }
}

/// Mesa's software driver ends a loop after 65,535 turns, without a word. Sums of this length are a
/// weight gradient's over a large batch. The bound is that of a sum term after term, and too wide
/// to be small against the values, but a sum that was cut short is far outside of it.
#[test]
fn sums_longer_than_drivers_loop() {
    for (layout, k) in [(Layout::TN, 70_001), (Layout::NN, 300_001), (Layout::NT, 300_001)] {
        let mut net = Net::new(1);
        let (of_a, of_b) = matmul_shapes(layout, 3, k, 5);
        let a = net.drawn(of_a, Random::unit);
        let b = net.drawn(of_b, Random::unit);
        let mut outputs = vec![net.graph.matmul_layout(layout, a, b).unwrap()];
        if layout == Layout::TN {
            outputs.push(net.graph.sum(b, 0).unwrap()); // in the same dispatch
        }
        let found = common::run(&net.graph, &outputs, &net.values);
        let all = twin::evaluate(&net.graph, &net.values, 0);
        for (output, found) in outputs.iter().zip(found) {
            let expected = all[output].floats();
            assert!(expected.iter().all(|x| x.error < 0.05 * x.value));
            within_bounds(&format!("{layout:?} of {k} terms"), &found, expected);
        }
    }
}

/// More than 65,535 tiles of 64×32 in either direction.
#[test]
fn more_tiles_than_one_dimension_holds() {
    let (rows, columns) = (65_535 * 64 + 65, 65_535 * 32 + 33);
    let shared = Run { tiling: Some(Tiling::Shared { side: 8 }), ..Run::default() };
    for (run, layout, m, k, n) in [
        (Run::default(), Layout::NN, 1, 2, columns),
        (Run::default(), Layout::NT, 2, 1, columns),
        (Run::default(), Layout::TN, rows, 1, 1),
        (shared.clone(), Layout::NT, 1, 1, columns),
        (shared, Layout::TN, rows, 1, 1),
    ] {
        let mut net = Net::new(1);
        let (a, b) = operands(&mut net, layout, m, k, n);
        let y = net.graph.matmul_layout(layout, a, b).unwrap();
        let name = format!("{layout:?} {m}·{k}·{n}, {:?}", run.tiling);
        common::check_run(&run, &name, &net.graph, &[y], &net.values);
    }
}

/// Fails unless the plan for `outputs` is one dispatch: an epilogue that is not used is not tested.
fn check_in_one_dispatch(name: &str, net: &Net, outputs: &[Tensor]) {
    let plan = Run::default().plan(&net.graph, outputs);
    assert_eq!(plan.dispatches().len(), 1, "{name} should be fused");
    check(name, &net.graph, outputs, &net.values);
}

#[test]
fn epilogues() {
    for (l, layout) in LAYOUTS.into_iter().enumerate() {
        for (i, function) in Unary::ALL.iter().copied().map(Some).chain([None]).enumerate() {
            // Each function with either, in one layout or another.
            let (m, k, n) = [(33, 5, 31), (9, 4, 36)][(i + l) % 2];
            let mut net = Net::new(i as u64);
            let positive = matches!(function, Some(Unary::Log | Unary::Sqrt | Unary::Reciprocal));
            let draw = |net: &mut Net, shape: &[usize]| match positive {
                true => net.drawn(shape, |r| r.uniform(0.2, 1.2)),
                false => net.input(shape),
            };
            let (of_a, of_b) = matmul_shapes(layout, m, k, n);
            let (a, b) = (draw(&mut net, &of_a), draw(&mut net, &of_b));
            let bias = draw(&mut net, &[n]);
            let plain = net.graph.matmul_layout(layout, a, b).unwrap();
            let biased = net.graph.bias_add(plain, bias).unwrap();
            let name = format!("{layout:?} {m}·{k}·{n}");
            match function {
                None => check_in_one_dispatch(&format!("{name} + bias"), &net, &[biased]),
                Some(function) => {
                    let y = net.graph.unary(function, biased).unwrap();
                    let name = format!("{name} + bias + {}", function.name());
                    check_in_one_dispatch(&name, &net, &[y]);
                }
            }
            if let Some(function) = function {
                // In a graph of its own, where nobody else reads the product.
                let mut net = Net { graph: Default::default(), ..net };
                net.values.clear();
                let (a, b) = (draw(&mut net, &of_a), draw(&mut net, &of_b));
                let plain = net.graph.matmul_layout(layout, a, b).unwrap();
                let y = net.graph.unary(function, plain).unwrap();
                let name = format!("{layout:?} {m}·{k}·{n} + {}", function.name());
                check_in_one_dispatch(&name, &net, &[y]);
            }
        }
    }
}

/// The gradient of the activation below a product is part of the product that computes the gradient
/// of the input; the column sums are part of the product that computes the gradient of the weights.
#[test]
fn backward_epilogues() {
    for (i, function) in Unary::ALL.iter().copied().enumerate() {
        for (m, k, n) in [(33, 31, 5), (65, 8, 36), (257, 3, 33), (1, 33, 2)] {
            let mut net = Net::new((10 + i) as u64);
            let positive = matches!(function, Unary::Log | Unary::Sqrt | Unary::Reciprocal);
            let x = net.drawn([m, k], |r| match positive {
                true => r.uniform(0.3, 1.5),
                false => r.off_zero(),
            });
            let (w, bias) = (net.input([k, n]), net.input([n]));
            let h = net.graph.unary(function, x).unwrap();
            let y = net.graph.matmul(h, w).unwrap();
            let y = net.graph.bias_add(y, bias).unwrap();
            let of = net.weighted_sum(y);
            let gradients = net.graph.gradients(of, &[x, w, bias]).unwrap();
            let plan = Run::default().plan(&net.graph, &gradients);
            let name = format!("{}, {m}·{k}·{n}", function.name());
            for epilogue in [&format!("matmul_nt + {}_grad", function.name()), "column sums"] {
                let fused = plan.dispatches().iter().any(|d| d.launch.name.contains(epilogue));
                assert!(fused, "{name}: no dispatch is '{epilogue}':\n{plan}");
            }
            check(&name, &net.graph, &gradients, &net.values);
        }
    }
}

/// A value that the host also reads, or that is read twice, must not be fused away.
#[test]
fn values_that_are_read_are_kept() {
    let mut net = Net::new(5);
    let (a, b, bias) = (net.input([33, 5]), net.input([5, 7]), net.input([7]));
    let product = net.graph.matmul(a, b).unwrap();
    let biased = net.graph.bias_add(product, bias).unwrap();
    let y = net.graph.unary(Unary::Tanh, biased).unwrap();
    check("all outputs", &net.graph, &[product, biased, y], &net.values);
    check("the middle", &net.graph, &[biased, y], &net.values);
    let sum = net.graph.add(y, product).unwrap();
    check("a second reader", &net.graph, &[sum], &net.values);
    // The bias is the product's own row.
    let row = net.input([1, 5]);
    let product = net.graph.matmul(row, b).unwrap();
    let as_bias = net.graph.reshape(product, [7]).unwrap();
    let twice = net.graph.bias_add(product, as_bias).unwrap();
    check("a product as its own bias", &net.graph, &[twice], &net.values);
}

#[test]
fn products_are_deterministic() {
    let mut net = Net::new(1);
    let (a, b) = (net.input([127, 65]), net.input([65, 33]));
    let y = net.graph.matmul(a, b).unwrap();
    let bits = || {
        let y = common::run(&net.graph, &[y], &net.values).remove(0);
        y.into_iter().map(f32::to_bits).collect::<Vec<_>>()
    };
    assert_eq!(bits(), bits());
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 32,
        rng_seed: RngSeed::Fixed(2),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_shapes(
        (m, k, n) in (1usize..140, 1usize..70, 1usize..80),
        layout in 0usize..3,
        epilogue in 0usize..4,
        seed: u64,
    ) {
        let layout = LAYOUTS[layout];
        let mut net = Net::new(seed);
        let (a, b) = operands(&mut net, layout, m, k, n);
        let mut y = net.graph.matmul_layout(layout, a, b).unwrap();
        if epilogue & 1 == 1 {
            let bias = net.input([n]);
            y = net.graph.bias_add(y, bias).unwrap();
        }
        if epilogue & 2 == 2 {
            y = net.graph.unary(Unary::LeakyRelu { slope: 0.5 }, y).unwrap();
        }
        check(&format!("{layout:?} {m}·{k}·{n}, {epilogue}"), &net.graph, &[y], &net.values);
    }
}

/// For `scripts/test-tilings`.
#[test]
#[ignore = "prints the tilings that the device can run"]
fn print_tilings() {
    for tiling in common::tilings() {
        println!("tiling: {tiling}");
    }
}
