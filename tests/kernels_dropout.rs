//! Dropout's random words and masks: those of the twin, bit for bit. Its gradient is checked with those of all
//! other operations, in `differentiation.rs` and `gradients.rs`.

use crate::common::cases::Net;
use crate::common::threefry::{factor, is_kept, threefry, word};
use crate::common::{Run, narrowest};
use wgrad::exec::Step;
use wgrad::graph::{Graph, Kernel, Op, Operation, Shape, Tensor};
use wgrad::{Error, Result};

/// Key, counter and words as the paper's authors publish them (Random123, `kat_vectors`).
const KNOWN: [[[u32; 2]; 3]; 3] = [
    [[0, 0], [0, 0], [0x6b20_0159, 0x99ba_4efe]],
    [[u32::MAX; 2], [u32::MAX; 2], [0x1cb9_96fc, 0xbb00_2be7]],
    [[0x1319_8a2e, 0x0370_7344], [0x243f_6a88, 0x85a3_08d3], [0xc492_3a9c, 0x483d_f7a0]],
];

#[test]
fn the_twin_draws_the_published_words() {
    for [key, counter, words] in KNOWN {
        assert_eq!(threefry(key, counter), words);
    }
}

/// The words for keys and counters, each as its two halves, which f32 holds exactly.
#[derive(Debug)]
struct Words;

const MAIN: &str = "
@group(0) @binding(1) var<storage, read> asked: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>;

@compute @workgroup_size(WORKGROUP)
fn main(
    @builtin(workgroup_id) workgroup: vec3<u32>,
    @builtin(num_workgroups) workgroups: vec3<u32>,
    @builtin(local_invocation_index) invocation: u32,
) {
    let i = flat_workgroup(workgroup, workgroups) * WORKGROUP + invocation;
    if (i < arrayLength(&asked)) {
        let words = threefry(asked[i].xy, asked[i].zw);
        out[i] = vec4<f32>(vec4<u32>(words >> vec2<u32>(16u), words & vec2<u32>(0xffffu)));
    }
}
";

impl Operation for Words {
    fn name(&self) -> &str {
        "words"
    }

    fn shape(&self, operands: &[&Shape]) -> Result<Shape> {
        Ok(operands[0].clone())
    }

    fn kernel(&self, _: &[&Shape], result: &Shape) -> Result<Kernel> {
        let threefry = include_str!("../shaders/shared/threefry.wgsl");
        Ok(Kernel::per_element(format!("{threefry}{MAIN}"), result.rows()))
    }
}

#[test]
fn the_device_draws_the_twins_words() {
    let mut net = Net::new(1);
    let mut of: Vec<[u32; 4]> =
        KNOWN.iter().map(|[key, counter, _]| [key[0], key[1], counter[0], counter[1]]).collect();
    while of.len() < 4099 {
        of.push([(); 4].map(|()| net.random.next() as u32));
    }
    let input = net.indices([of.len(), 4], of.as_flattened());
    let words = net.graph.operation(Words, &[input]).unwrap();
    let found = Run::default().run(&net.graph, &[words], &net.values);
    for (&[a, b, c, d], found) in of.iter().zip(found[0].chunks(4)) {
        let half = |i: usize| found[i] as u32;
        let found = [half(0) << 16 | half(2), half(1) << 16 | half(3)];
        assert_eq!(found, threefry([a, b], [c, d]), "of {:x?}", [a, b, c, d]);
    }
}

/// A step under a number that any record may have.
fn step(number: u64, first_row: u32) -> Step {
    let mut step = Step::forward(0);
    (step.number, step.first_row) = (number, first_row);
    step
}

/// Dropout of `x` by its definition.
fn expected(x: &[f32], rows: usize, (rate, seed): (f32, u64), step: &Step) -> Vec<u32> {
    let width = x.len() / rows;
    let of = |(i, &x): (usize, &f32)| {
        let row = step.first_row.wrapping_add((i / width) as u32);
        let kept = is_kept(word(seed, step.number, row, i % width), rate);
        (if kept { x * factor(rate) } else { 0.0 }).to_bits()
    };
    x.iter().enumerate().map(of).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn masks_are_the_twins_to_the_bit() {
    let shapes: [&[usize]; 11] = [
        &[],
        &[1],
        &[65],
        &[1, 1],
        &[1, 31],
        &[127, 1],
        &[64, 2],
        &[33, 32],
        &[3, 5, 7],
        &[2, 1, 2, 3],
        &[67, 129],
    ];
    let how = [(0.5, 0), (0.1, 42), (0.9, u64::MAX), (0.0, 7), (1.0 - f32::EPSILON / 2.0, 1 << 40)];
    let steps = [step(0, 0), step(u64::MAX, 3), step(1 << 32, u32::MAX), step(77, 1 << 31)];
    for (number, shape) in shapes.into_iter().enumerate() {
        let mut net = Net::new(number as u64);
        let rows = shape.first().copied().unwrap_or(1);
        let x = net.input(shape);
        let dy = net.input(shape);
        let held = [x, dy].map(|t| crate::common::f32s(&net.values[&t]));
        let mut outputs = Vec::new();
        for (rate, seed) in how {
            let y = net.graph.dropout(x, rate, seed).unwrap();
            outputs.push(y);
            outputs.extend(net.graph.vector_jacobian(y, dy, &[x]).unwrap());
        }
        for at in steps {
            for fuse in [true, false] {
                // The step before must leave nothing behind.
                let run = Run { steps: vec![step(5, 5), at], fuse, ..Run::default() };
                let plan = run.plan(&net.graph, &outputs);
                let narrow = Run { max_workgroups: Some(narrowest(&plan)), ..run.clone() };
                for run in [run, narrow] {
                    let found = run.run(&net.graph, &outputs, &net.values);
                    for (number, found) in found.iter().enumerate() {
                        let (how, held) = (how[number / 2], &held[number % 2]);
                        let expected = expected(held, rows, how, &at);
                        assert!(bits(found) == expected, "{shape:?}, {how:?}, {at:?}");
                    }
                }
            }
        }
    }
}

/// Rows of a batch that are computed in parts drop what the whole drops.
#[test]
fn parts_drop_what_the_whole_does() {
    let (rows, width) = (37, 11);
    let dropped = |begin: usize, end: usize| {
        let mut net = Net::new(1);
        let x = net.holding([end - begin, width], &vec![1.0; (end - begin) * width]);
        let y = net.graph.dropout(x, 0.3, 9).unwrap();
        let run = Run { steps: vec![step(4, begin as u32)], ..Run::default() };
        run.run(&net.graph, &[y], &net.values).remove(0)
    };
    let whole = dropped(0, rows);
    for cut in [1, 16, 36] {
        assert_eq!([dropped(0, cut), dropped(cut, rows)].concat(), whole);
    }
}

/// Ones after dropout, in some steps.
fn of_ones(shape: [usize; 2], (rate, seed): (f32, u64), number: u64) -> Vec<bool> {
    let mut net = Net::new(1);
    let x = net.holding(shape, &vec![1.0; shape[0] * shape[1]]);
    let y = net.graph.dropout(x, rate, seed).unwrap();
    let run = Run { steps: vec![step(number, 0)], ..Run::default() };
    let found = run.run(&net.graph, &[y], &net.values).remove(0);
    let kept = factor(rate);
    assert!(found.iter().all(|&y| y == 0.0 || y == kept));
    found.into_iter().map(|y| y == kept).collect()
}

/// Fails unless `hits` of `of` is what chance gives for probability `p`, within six standard deviations,
/// which chance leaves about twice in a thousand million times.
fn as_chance_has_it(what: &str, hits: impl Iterator<Item = bool>, of: usize, p: f64) {
    let (hits, n) = (hits.filter(|&hit| hit).count() as f64, of as f64);
    let bound = 6.0 * (n * p * (1.0 - p)).sqrt();
    assert!((hits - n * p).abs() <= bound, "{what}: {hits} of {n}, not {} ± {bound}", n * p);
}

#[test]
fn as_many_are_kept_as_chance_has_it() {
    let (rows, width) = (300, 401);
    let n = rows * width;
    for rate in [0.02_f32, 0.1, 0.5, 0.8] {
        let p = 1.0 - f64::from(rate);
        let [first, second, other] = [(3, 0), (3, 1), (4, 0)]
            .map(|(seed, number)| of_ones([rows, width], (rate, seed), number));
        let name = |what: &str| format!("{what} at {rate}");
        // With this the mean is preserved too: it is the share that is kept over the probability of that.
        as_chance_has_it(&name("kept"), first.iter().copied(), n, p);
        // No element says anything of its neighbours, nor of itself in another step or under another seed.
        let both = |other: &[bool], ahead: usize| {
            let pairs = first.iter().zip(other[ahead..].to_vec());
            pairs.map(|(a, b)| *a && b).collect::<Vec<_>>()
        };
        for (what, pairs) in [
            ("neighbours", both(&first, 1)),
            ("elements of two rows", both(&first, width)),
            ("an element in two steps", both(&second, 0)),
            ("an element under two seeds", both(&other, 0)),
        ] {
            as_chance_has_it(&name(what), pairs.iter().copied(), pairs.len(), p * p);
        }
        for column in [0, 1, width - 1] {
            let of_column = first.iter().skip(column).step_by(width).copied();
            as_chance_has_it(&name("of a column"), of_column, rows, p);
        }
        let of_row = first.iter().take(width).copied();
        as_chance_has_it(&name("of a row"), of_row, width, p);
    }
}

#[test]
fn what_is_no_number_stays_none() {
    let mut net = Net::new(1);
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -f32::NAN];
    let x = net.holding([64], &values.repeat(16));
    let y = net.graph.dropout(x, 0.5, 3).unwrap();
    for (x, y) in
        values.iter().cycle().zip(&Run::default().run_raw(&net.graph, &[y], &net.values)[0])
    {
        assert!(y.is_nan() || (y == x && x.is_infinite()), "{y} of {x}");
    }
}

#[test]
fn rates_out_of_range_are_named() {
    let mut graph = Graph::new();
    let x: Tensor = graph.input("x", [2, 3]).unwrap();
    for rate in [1.0, -0.1, f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX] {
        let error = graph.dropout(x, rate, 0).expect_err("out of range");
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        let said = format!("dropout rate is {rate}; it must be at least 0 and below 1");
        assert!(error.to_string().contains(&said), "{error}");
    }
    assert!(graph.nodes().is_empty());
    for rate in [0.0, -0.0, f32::MIN_POSITIVE / 2.0, 1.0 - f32::EPSILON / 2.0] {
        graph.dropout(x, rate, 0).unwrap();
    }
    assert!(graph.nodes().iter().all(|node| matches!(node.op, Op::Dropout { .. })));
    let labels = graph.index_input("labels", [3]).unwrap();
    let error = graph.dropout(labels, 0.5, 0).expect_err("integers").to_string();
    assert!(error.contains("dropout: 'labels' holds U32"), "{error}");
}
