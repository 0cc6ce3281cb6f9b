//! Softmax, its logarithm and their gradients against the twin.

use crate::common;
use crate::common::cases::Net;
use crate::common::check;
use crate::common::random::Random;
use crate::common::twin::Values;
use wgrad::graph::Graph;

const SHAPES: [&[usize]; 16] = [
    &[1],
    &[2],
    &[257],
    &[1, 31],
    &[33, 1],
    &[31, 32],
    &[33, 31],
    &[64, 65],
    &[65, 63],
    &[13, 127],
    &[3, 4, 5],
    &[7, 1, 13],
    &[2, 33, 3],
    &[5, 3, 65],
    &[2, 1000],
    &[2, 3, 5, 7],
];

/// The softmax or its logarithm, and the gradient of a weighted sum of it.
fn check_along(name: &str, shape: &[usize], axis: usize, draw: impl Fn(&mut Random) -> f32) {
    for log in [false, true] {
        let mut net = Net::new(axis as u64);
        let x = net.drawn(shape, &draw);
        let y = match log {
            false => net.graph.softmax(x, axis).unwrap(),
            true => net.graph.log_softmax(x, axis).unwrap(),
        };
        let name = format!("{name} {shape:?} axis {axis}, log: {log}");
        if log && shape[axis] == 1 {
            // The logarithm of 1, exactly, whatever x is; and no gradient.
            let zeros = common::run(&net.graph, &[y], &net.values).remove(0);
            assert!(zeros.iter().all(|&y| y == 0.0), "{name}: {zeros:?}");
            continue;
        }
        check(&name, &net.graph, &[y], &net.values);
        if shape[axis] > 1 {
            let of = net.weighted_sum(y);
            let dx = net.graph.gradients(of, &[x]).unwrap();
            check(&format!("gradient of {name}"), &net.graph, &dx, &net.values);
        }
    }
}

#[test]
fn along_every_axis() {
    for shape in SHAPES {
        for axis in 0..shape.len() {
            check_along("softmax", shape, axis, |r| r.uniform(-3.0, 3.0));
        }
    }
}

/// Large arguments overflow unless the largest is subtracted first; equal ones share.
#[test]
fn far_out() {
    for offset in [1e4, -1e4, 0.0] {
        check_along("far out", &[5, 7], 1, |r| offset + 0.25 * r.below(9) as f32);
        check_along("equal", &[5, 7], 0, |_| offset);
    }
    check_along("wide range", &[33, 9], 1, |r| 20.0 * r.uniform(-1.0, 1.0));
    check_along("one stands out", &[9, 33], 1, |r| [0.0, 1e4][r.below(2)]);
}

/// More than 65,535 workgroups of 256 lines. Lines of one element, so that this stays affordable;
/// the softmax of each is 1.
#[test]
fn more_lines_than_one_dimension_holds() {
    let lines = 65_535 * 256 + 1;
    let mut graph = Graph::new();
    let x = graph.constant(0.5, [lines, 1]).unwrap();
    let y = graph.softmax(x, 1).unwrap();
    let y = common::run(&graph, &[y], &Values::new()).remove(0);
    let wrong = y.iter().position(|&y| y != 1.0);
    assert_eq!((y.len(), wrong), (lines, None));
}
