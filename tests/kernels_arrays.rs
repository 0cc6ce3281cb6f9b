//! Kernels that choose, find and move elements, and products of many matrices, against the twin.

use crate::common::cases::{Net, matmul_shapes};
use crate::common::random::Random;
use crate::common::{Run, check, check_run, gpu, run, tilings_in_turn};
use wgrad::Error;
use wgrad::exec::{Executor, Step};
use wgrad::graph::{Binary, Graph, Tensor};
use wgrad::plan::{Plan, Target};

/// Equal ones, zeros of both signs, what is infinite or as large or small as numbers get.
const SPECIAL: [f32; 12] =
    [0.0, -0.0, 1.0, -1.0, 2.0, -2.5, 3.0, 1e-30, -1e30, 0.5, f32::INFINITY, f32::NEG_INFINITY];

/// Every pair of special numbers.
fn pairs(of: &[f32]) -> (Vec<f32>, Vec<f32>) {
    of.iter().flat_map(|&a| of.iter().map(move |&b| (a, b))).unzip()
}

/// What each function makes of two numbers, of which any may be special: bits but for the sign of 0, and NaN
/// wherever f64 has it or an operand is NaN.
#[test]
fn functions_of_special_numbers() {
    let (a, b) = pairs(&[&SPECIAL[..], &[f32::NAN]].concat());
    for &function in Binary::ALL {
        let mut graph = Graph::new();
        let (x, y) = (graph.input("a", [a.len()]).unwrap(), graph.input("b", [b.len()]).unwrap());
        let out = graph.binary(function, x, y).unwrap();
        let found = run_raw(&graph, &[(x, &a), (y, &b)], out);
        for ((&a, &b), found) in a.iter().zip(&b).zip(found) {
            let (x, y) = (f64::from(a), f64::from(b));
            let truth = |holds: bool| f64::from(u8::from(holds));
            let expected = match function {
                _ if a.is_nan() || b.is_nan() => f64::NAN,
                Binary::Add => x + y,
                Binary::Sub => x - y,
                Binary::Mul => x * y,
                // WGSL promises nothing of a division by 0 or of what is infinite.
                Binary::Div if y == 0.0 || !y.is_finite() || !x.is_finite() => continue,
                Binary::Div => x / y,
                Binary::Minimum => x.min(y),
                Binary::Maximum => x.max(y),
                Binary::Pow => x.powf(y),
                Binary::Equal => truth(x == y),
                Binary::NotEqual => truth(x != y),
                Binary::Less => truth(x < y),
                Binary::LessEqual => truth(x <= y),
                Binary::Greater => truth(x > y),
                Binary::GreaterEqual => truth(x >= y),
                other => panic!("what {other:?} is"),
            };
            let name = format!("{}({a}, {b}) is {found}, not {expected}", function.name());
            // Beyond f32, and where numbers so small are 0.
            let expected = f64::from(expected as f32);
            if expected.abs() < f64::from(f32::MIN_POSITIVE) || expected.is_infinite() {
                let flushed = expected.abs() < 1.0 && found.abs() <= f32::MIN_POSITIVE;
                assert!(flushed || f64::from(found) == expected, "{name}");
            } else if expected.is_nan() {
                assert!(found.is_nan(), "{name}");
            } else {
                // Powers by logarithm and exponential: 8 units each of an exponent of 70 at most.
                let tolerance = expected.abs() * 1e-4;
                assert!((f64::from(found) - expected).abs() <= tolerance, "{name}");
            }
        }
    }
}

/// Runs `graph` on numbers that need not be finite.
fn run_raw(graph: &Graph, inputs: &[(Tensor, &[f32])], out: Tensor) -> Vec<f32> {
    let gpu = gpu();
    let plan = Plan::new(graph, &[out], &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    for (tensor, values) in inputs {
        crate::common::write_raw(&executor, *tensor, values);
    }
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    executor.read_blocking(out).unwrap()
}

#[test]
fn powers_and_comparisons() {
    for (i, shape) in [&[1][..], &[65], &[31, 33], &[3, 5, 7]].into_iter().enumerate() {
        let column: Vec<usize> = [&shape[..shape.len() - 1], &[1]].concat();
        let row = [shape[shape.len() - 1]];
        for other in [shape, &column[..], &row[..], &[]] {
            for &function in Binary::ALL {
                let mut net = Net::new(i as u64);
                // Few different numbers, so that some are equal.
                let drawn = |r: &mut Random| [0.5, 1.0, 1.25, 3.0][r.below(4)];
                let (a, b) = (net.drawn(shape, drawn), net.drawn(other, drawn));
                let y = net.graph.binary(function, a, b).unwrap();
                check(
                    &format!("{} {shape:?} {other:?}", function.name()),
                    &net.graph,
                    &[y],
                    &net.values,
                );
            }
        }
    }
}

/// Each of two equal numbers has half of the gradient of the smaller or the larger one; a tensor that is both has
/// all of it.
#[test]
fn equal_numbers_share_a_gradient() {
    for function in [Binary::Minimum, Binary::Maximum] {
        let mut net = Net::new(1);
        let (a, b) = (net.holding([3], &[1.0, 2.0, 3.0]), net.holding([3], &[1.0, 3.0, 2.0]));
        let (y, same) =
            (net.graph.binary(function, a, b).unwrap(), net.graph.binary(function, b, b).unwrap());
        let (y, same) = (net.graph.sum(y, 0).unwrap(), net.graph.sum(same, 0).unwrap());
        let of_y = net.graph.gradients(y, &[a, b]).unwrap();
        let of_same = net.graph.gradients(same, &[b]).unwrap();
        let found = run(&net.graph, &[of_y[0], of_y[1], of_same[0]], &net.values);
        let (low, high) = ([0.5, 1.0, 0.0], [0.5, 0.0, 1.0]);
        let (of_a, of_b) = if function == Binary::Minimum { (low, high) } else { (high, low) };
        assert_eq!(found, [of_a, of_b, [1.0; 3]], "{function:?}");
    }
}

/// What is not chosen has no part in the result, whatever it is; a mask of NaN is not hidden.
#[test]
fn select_hides_what_is_not_chosen() {
    let mut graph = Graph::new();
    let [mask, a, b] = ["mask", "a", "b"].map(|name| graph.input(name, [4]).unwrap());
    let y = graph.select(mask, a, b).unwrap();
    let masks = [1.0, 0.0, -0.0, f32::NAN];
    let (yes, no) = ([1.0, f32::NAN, f32::INFINITY, 1.0], [f32::NAN, 2.0, 3.0, 1.0]);
    let found = run_raw(&graph, &[(mask, &masks), (a, &yes), (b, &no)], y);
    assert_eq!(found[..3], [1.0, 2.0, 3.0]);
    assert!(found[3].is_nan());
}

#[test]
fn select_repeats_rows_columns_and_scalars() {
    for shape in [&[5][..], &[65, 3], &[2, 3, 70]] {
        let column: Vec<usize> = [&shape[..shape.len() - 1], &[1]].concat();
        let row = [shape[shape.len() - 1]];
        for of_a in [shape, &column[..], &row[..], &[]] {
            for of_b in [shape, &column[..], &row[..], &[1]] {
                let mut net = Net::new(7);
                let mask = net.drawn(shape, |r| r.below(2) as f32);
                let (a, b) = (net.input(of_a), net.input(of_b));
                let y = net.graph.select(mask, a, b).unwrap();
                check(
                    &format!("select {shape:?} {of_a:?} {of_b:?}"),
                    &net.graph,
                    &[y],
                    &net.values,
                );
            }
        }
    }
}

/// Rows of one element, of as many as one invocation takes and one more, of more than a workgroup; many rows,
/// which an invocation has each; and of few different numbers, so that the first has to win ties.
#[test]
fn extremes_of_rows() {
    for (rows, columns) in [
        (1, 1),
        (3, 16),
        (2, 17),
        (5, 255),
        (1, 257),
        (7, 5000),
        (300, 10),
        (33_000, 5),
        (40_000, 1),
    ] {
        for kinds in [2, 1000] {
            let mut net = Net::new((rows + columns + kinds) as u64);
            let x = net.drawn([rows, columns], |r| r.below(kinds) as f32 - 1.0);
            let (top, low) = (net.graph.arg_max(x).unwrap(), net.graph.arg_min(x).unwrap());
            check(&format!("extremes of {rows}×{columns}"), &net.graph, &[top, low], &net.values);
        }
    }
}

#[test]
fn extremes_of_special_numbers() {
    let mut graph = Graph::new();
    let x = graph.input("x", [4, 3]).unwrap();
    let (top, low) = (graph.arg_max(x).unwrap(), graph.arg_min(x).unwrap());
    assert_eq!(graph.shape(top).unwrap().dims(), [4]);
    let infinite = f32::INFINITY;
    let rows = [
        [-infinite, -infinite, -infinite],
        [-0.0, 0.0, -0.0],
        [f32::MAX, infinite, infinite],
        [-infinite, f32::MIN, -infinite],
    ];
    let gpu = gpu();
    let plan = Plan::new(&graph, &[top, low], &gpu.target()).unwrap();
    let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
    crate::common::write_raw(&executor, x, rows.as_flattened());
    executor.run_blocking(&[Step::forward(0)]).unwrap();
    let read = |t| pollster::block_on(executor.read_indices(t)).unwrap();
    assert_eq!((read(top), read(low)), (vec![0, 0, 1, 1], vec![0, 0, 0, 0]));
}

/// A row with NaN is an error of the step, wherever in it NaN is; the next step without is none.
#[test]
fn a_row_with_nan_has_no_extreme() {
    for (rows, columns) in [(1, 1), (3, 40), (33_000, 3)] {
        let mut graph = Graph::new();
        let x = graph.input("x", [rows, columns]).unwrap();
        let low = graph.arg_min(x).unwrap();
        let gpu = gpu();
        let plan = Plan::new(&graph, &[low], &gpu.target()).unwrap();
        let mut executor = Executor::new_blocking(&gpu, plan).unwrap();
        let good = vec![1.0; rows * columns];
        for at in [0, rows * columns - 1] {
            let mut bad = good.clone();
            bad[at] = f32::NAN;
            crate::common::write_raw(&executor, x, &bad);
            let mut steps = [Step::forward(0)];
            steps[0].number = 41;
            let error = executor.run_blocking(&steps).unwrap_err();
            assert!(matches!(error, Error::NotANumber { step: 41 }), "{error:?}");
            assert!(error.to_string().contains("NaN"), "{error}");
            // The place of none, so that what is drawn by it is NaN.
            let found = pollster::block_on(executor.read_indices(low)).unwrap();
            assert_eq!(found[at / columns], u32::MAX);
            crate::common::write_raw(&executor, x, &good);
            executor.run_blocking(&steps).unwrap();
        }
    }
}

#[test]
fn what_is_moved_stays_the_same() {
    for (number, shape) in [&[65, 33][..], &[2, 3, 64, 5], &[129], &[1, 1]].into_iter().enumerate()
    {
        let mut net = Net::new(number as u64);
        let x = net.input(shape);
        let mut outputs = Vec::new();
        for (axis, &extent) in shape.iter().enumerate() {
            outputs.push(net.graph.slice(x, axis, extent / 2, extent).unwrap());
            let first = net.graph.slice(x, axis, 0, 1).unwrap();
            outputs.push(net.graph.concat(&[first, x, x, first], axis).unwrap());
            outputs.push(net.graph.concat(&[x], axis).unwrap());
        }
        if shape.len() > 1 {
            outputs.push(net.graph.transpose(x).unwrap());
        }
        check(&format!("moved {shape:?}"), &net.graph, &outputs, &net.values);
    }
    // Indices are moved like numbers, and choose rows.
    let mut net = Net::new(9);
    let (x, few, more) =
        (net.input([5, 3]), net.indices([2], &[4, 0]), net.indices([3], &[1, 1, 2]));
    let indices = net.graph.concat(&[few, more], 0).unwrap();
    let indices = net.graph.slice(indices, 0, 1, 5).unwrap();
    let rows = net.graph.gather(x, indices).unwrap();
    check("rows by joined indices", &net.graph, &[indices, rows], &net.values);
}

#[test]
fn many_products_in_every_tiling() {
    let cases = [(3, 25, 17, 65), (2, 8, 16, 8), (5, 1, 1, 1), (2, 33, 64, 64), (70, 3, 5, 4)];
    for (layout, tiling, (p, m, k, n)) in tilings_in_turn(&cases) {
        let mut net = Net::new((p * m * k * n) as u64);
        let (of_a, of_b) = matmul_shapes(layout, m, k, n);
        let (a, b) = (net.input([p, of_a[0], of_a[1]]), net.input([p, of_b[0], of_b[1]]));
        let bias = net.input([n]);
        let y = net.graph.matmul_layout(layout, a, b).unwrap();
        let y = net.graph.bias_add(y, bias).unwrap();
        let run = Run { tiling: Some(tiling), ..Run::default() };
        let name = format!("{p} products {layout:?} {m} {k} {n}, {tiling}");
        check_run(&run, &name, &net.graph, &[y], &net.values);
    }
}

/// The places of the largest values of a product, kept without the product: the same as from the product, in every
/// tiling, with ties, and an error where a row has NaN.
#[test]
fn places_of_products_are_those_of_their_values() {
    let cases = [(25, 16, 64), (130, 7, 32), (8, 33, 4), (1, 5, 60), (70, 4, 8)];
    for (layout, tiling, (m, k, n)) in tilings_in_turn(&cases) {
        let mut net = Net::new((m * k * n) as u64);
        let (of_a, of_b) = matmul_shapes(layout, m, k, n);
        // Few different numbers, whose sums are exact: there are ties.
        let few = |r: &mut Random| r.below(3) as f32 - 1.0;
        let (a, b) = (net.drawn(of_a, few), net.drawn(of_b, few));
        let bias = net.drawn([n], few);
        let product = net.graph.matmul_layout(layout, a, b).unwrap();
        let y = net.graph.bias_add(product, bias).unwrap();
        let places = net.graph.arg_max(y).unwrap();
        let run = Run { tiling: Some(tiling), busy: Some(1), ..Run::default() };
        let name = format!("places {layout:?} {m} {k} {n}, {tiling}");
        check_run(&run, &name, &net.graph, &[places], &net.values);
    }
    let gpu = gpu();
    let mut graph = Graph::new();
    let (a, b) = (graph.input("a", [40, 8]).unwrap(), graph.input("b", [8, 16]).unwrap());
    let y = graph.matmul(a, b).unwrap();
    let places = graph.arg_max(y).unwrap();
    let mut executor =
        Executor::new_blocking(&gpu, Plan::new(&graph, &[places], &gpu.target()).unwrap()).unwrap();
    let mut values = vec![1.0; 320];
    executor.write(b, &[1.0; 128]).unwrap();
    for (bad, refused) in [(f32::NAN, true), (1.0, false)] {
        values[17] = bad;
        crate::common::write_raw(&executor, a, &values);
        let found = executor.run_blocking(&[Step::forward(0)]);
        assert_eq!(matches!(found, Err(Error::NotANumber { .. })), refused, "{found:?}");
    }
}

/// Every product has the bits that it has alone.
#[test]
fn many_products_are_those_of_each() {
    let mut net = Net::new(3);
    let (a, b) = (net.input([4, 30, 20]), net.input([4, 20, 12]));
    let all = net.graph.matmul(a, b).unwrap();
    let mut each = Vec::new();
    for i in 0..4 {
        let mut matrix = |t, rows, columns| {
            let part = net.graph.slice(t, 0, i, i + 1).unwrap();
            net.graph.reshape(part, [rows, columns]).unwrap()
        };
        let (a, b) = (matrix(a, 30, 20), matrix(b, 20, 12));
        each.push(net.graph.matmul(a, b).unwrap());
    }
    let outputs = [&[all][..], &each].concat();
    let found = run(&net.graph, &outputs, &net.values);
    assert_eq!(found[0], found[1..].concat());
}

#[test]
fn sums_of_segments() {
    for (rows, width, segments, run) in
        [(1, 1, 1, 1), (64, 4, 3, 16), (130, 7, 5, 65), (4096, 32, 9, 1024), (300, 1, 400, 100)]
    {
        let mut net = Net::new((rows * width) as u64);
        let x = net.input([rows, width]);
        let labels: Vec<u32> = (0..rows).map(|_| net.random.below(segments) as u32).collect();
        let labels = net.indices([rows], &labels);
        let y = net.graph.segment_sum(x, labels, segments, run).unwrap();
        let name = format!("{rows}×{width} in {segments} segments, {run} at a time");
        check(&name, &net.graph, &[y], &net.values);
    }
}

/// A label past the last segment is refused where the host writes it.
#[test]
fn labels_of_segments_are_checked() {
    let mut graph = Graph::new();
    let (x, labels) = (graph.input("x", [3, 2]).unwrap(), graph.index_input("l", [3]).unwrap());
    let y = graph.segment_sum(x, labels, 4, 3).unwrap();
    let gpu = gpu();
    let plan = Plan::new(&graph, &[y], &gpu.target()).unwrap();
    let executor = Executor::new_blocking(&gpu, plan).unwrap();
    executor.write_indices(labels, &[3, 0, 1]).unwrap();
    let error = executor.write_indices(labels, &[3, 0, 4]).unwrap_err().to_string();
    assert!(error.contains("'l'[2]") && error.contains("below 4"), "{error}");
}

/// What does not fit is refused with the shapes and the rule.
#[test]
fn what_does_not_fit_is_refused() {
    let mut g = Graph::new();
    let (m, v, s) =
        (g.input("m", [3, 4]).unwrap(), g.input("v", [3]).unwrap(), g.constant(1.0, []).unwrap());
    let (i, t) = (g.index_input("i", [3]).unwrap(), g.input("t", [2, 3, 4]).unwrap());
    let refusals: Vec<(Result<Tensor, Error>, &str)> = vec![
        (g.select(m, v, s), "3×4"),
        (g.binary(Binary::Less, m, v), "…×n with n or …×1"),
        (g.arg_max(s), "at least one axis"),
        (g.arg_max(i), "U32"),
        (g.slice(m, 1, 2, 2), "elements 2..2"),
        (g.slice(m, 1, 0, 5), "elements 0..5"),
        (g.slice(m, 2, 0, 1), "axes 2..3"),
        (g.slice(m, usize::MAX, 0, 1), "each below 2"),
        (g.concat(&[], 0), "at least one"),
        (g.concat(&[m, v], 0), "equal shapes but for axis 0"),
        (g.concat(&[v, i], 0), "U32"),
        (g.transpose(v), "at least two axes"),
        (g.matmul(t, m), "p×m×k"),
        (g.matmul_layout(wgrad::graph::Layout::TN, t, m), "p×k×n"),
        (g.segment_sum(m, i, 2, 2), "a multiple of the run of 2"),
        (g.segment_sum(m, i, 2, 0), "run of 0"),
        (g.segment_sum(v, i, 2, 3), "n×d"),
        (g.segment_sum(m, i, 0, 3), "empty"),
    ];
    for (refused, part) in refusals {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error:?}");
        assert!(error.to_string().contains(part), "'{part}' is not in: {error}");
    }
    // A graph that was refused so much is whole.
    let y = g.concat(&[m, m], 1).unwrap();
    assert!(Plan::new(&g, &[y], &Target::default()).is_ok());
}
