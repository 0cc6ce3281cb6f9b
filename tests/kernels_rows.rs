//! Gathering rows, adding them up where they came from, and drawing batches, against the twin.

use crate::common::cases::Net;
use crate::common::{Run, check, compare, narrowest, step_from, twin};
use wgrad::exec::Step;
use wgrad::graph::{Reduction, Shape};

/// The table, and how many rows are gathered.
const GATHERS: [(&[usize], usize); 11] = [
    (&[1], 1),
    (&[1, 5], 7),
    (&[13], 31),
    (&[5, 3], 2),
    (&[31, 33], 65),
    (&[257, 1], 64),
    (&[64, 32], 63),
    (&[4, 2, 3], 13),
    (&[7, 1, 5], 127),
    (&[3, 2, 2, 5], 4),
    (&[65, 127], 257),
];

#[test]
fn gathers_and_their_gradients() {
    for (i, (table, rows)) in GATHERS.into_iter().enumerate() {
        let mut net = Net::new(i as u64);
        let x = net.input(table);
        let mut picks: Vec<u32> = (0..rows).map(|_| net.random.below(table[0]) as u32).collect();
        // The first and the last row, and one more often than others.
        for (place, row) in [(0, 0), (1, table[0] - 1), (2, table[0] / 2), (3, table[0] / 2)] {
            if let Some(pick) = picks.get_mut(place) {
                *pick = row as u32;
            }
        }
        let indices = net.indices([rows], &picks);
        let y = net.graph.gather(x, indices).unwrap();
        let of = net.weighted_sum(y);
        let dx = net.graph.gradients(of, &[x]).unwrap()[0];
        let name = format!("gather {rows} of {table:?}");
        check(&name, &net.graph, &[y, dx], &net.values);
    }
}

/// More rows than Mesa's software driver's loops have turns, added up in a few; a long batch of
/// tokens does this. The gradients are positive, so that the sums outgrow their bounds.
#[test]
fn many_rows_into_few() {
    for (table, n) in [([3, 2], 70_001), ([2, 1], 300_007), ([1000, 3], 20_011)] {
        let mut net = Net::new(1);
        let x = net.input(table);
        let picks: Vec<u32> = (0..n).map(|_| net.random.below(table[0]) as u32).collect();
        let indices = net.indices([n], &picks);
        let y = net.graph.gather(x, indices).unwrap();
        let weights = net.drawn([n, table[1]], |r| r.uniform(0.5, 1.5));
        let product = net.graph.mul(y, weights).unwrap();
        let of = net.graph.reduce(Reduction::Sum, product, 0, 2).unwrap();
        let dx = net.graph.gradients(of, &[x]).unwrap();
        check(&format!("gather_grad {n} into {table:?}"), &net.graph, &dx, &net.values);
    }
}

/// The host refuses an index past the last row. In a buffer of the app's nobody looks at it: there it
/// gives a row of NaN rather than another row, whatever the width of what is copied.
#[test]
fn rows_past_the_end_are_nan() {
    for width in [1, 2, 4, 8, 12] {
        let mut net = Net::new(1);
        let (x, t) = (net.input([3, width]), net.input([3, 2 * width]));
        let indices = net.indices([3], &[0, 2, 1]);
        let gathered = net.graph.gather(x, indices).unwrap();
        let of = net.weighted_sum(gathered);
        let gradient = net.graph.gradients(of, &[x]).unwrap()[0];
        let batches = [x, t].map(|x| net.graph.batch(x, indices, 3).unwrap());
        for fuse in [true, false] {
            let run = Run { fuse, ..Run::default() };
            let outputs = [gathered, batches[0], batches[1], gradient];
            let mut executor = run.executor(&net.graph, &outputs, &net.values);
            let refused = executor.write_indices(indices, &[0, 3, 1]).expect_err("3 of 3 rows");
            assert!(refused.to_string().contains("'[1] is 3; it must be below 3"), "{refused}");
            let (buffer, _) = executor.buffer_of(indices).unwrap();
            let words = [2, u32::MAX, 3].map(u32::to_le_bytes).concat();
            executor.gpu().queue().write_buffer(buffer, 0, &words);
            executor.run_blocking(&[Step::forward(0)]).unwrap();
            for output in outputs {
                let found = executor.read_blocking(output).unwrap();
                let row = found.len() / 3;
                let (first, others) = found.split_at(row);
                if output == gradient {
                    // Of three rows only the last was gathered.
                    assert!(found[..2 * row].iter().all(|&g| g == 0.0), "{found:?}");
                    assert!(found[2 * row..].iter().all(|&g| g != 0.0), "{found:?}");
                } else {
                    assert!(first.iter().all(|value| value.is_finite()), "{width}: {found:?}");
                    assert!(others.iter().all(|value| value.is_nan()), "{width}: {found:?}");
                }
            }
        }
    }
}

/// A batch that begins where no whole one is left is refused.
#[test]
fn a_batch_ends_within_its_order() {
    let mut net = Net::new(1);
    let x = net.input([5, 2]);
    let order = net.indices([5], &[4, 3, 2, 1, 0]);
    let y = net.graph.batch(x, order, 2).unwrap();
    let mut executor = Run::default().executor(&net.graph, &[y], &net.values);
    executor.run_blocking(&[step_from(3)]).unwrap();
    for start in [4, 5, u32::MAX as usize] {
        let error = executor.run_blocking(&[step_from(start)]).expect_err("no two rows left");
        let text = error.to_string();
        assert!(text.contains(&format!("batch_start of a step is {start}")), "{text}");
        assert!(text.contains("at most 3"), "{text}");
    }
}

/// Copies must keep every bit: labels, and floats that arithmetic would change.
#[test]
fn copies_keep_bits() {
    let mut net = Net::new(1);
    let special = [f32::MIN_POSITIVE / 3.0, -0.0, f32::MAX, f32::MIN_POSITIVE, 1.0 / 3.0];
    let x = net.holding([5], &special);
    let labels = net.indices([5], &[7, u32::MAX - 127, 0, 1 << 24, 5]);
    let order = net.indices([5], &[4, 3, 2, 1, 0]);
    let y = net.graph.gather(x, order).unwrap();
    let picked = net.graph.gather(labels, order).unwrap();
    let (batch, batch_labels) =
        (net.graph.batch(x, order, 5).unwrap(), net.graph.batch(labels, order, 5).unwrap());
    for fuse in [true, false] {
        let run = Run { fuse, ..Run::default() };
        let outputs = [y, picked, batch, batch_labels];
        let mut executor = run.executor(&net.graph, &outputs, &net.values);
        executor.run_blocking(&[Step::forward(0)]).unwrap();
        for floats in [y, batch] {
            let found = executor.read_blocking(floats).unwrap();
            let expected = special.iter().rev().map(|x| x.to_bits());
            assert!(found.iter().map(|x| x.to_bits()).eq(expected), "{found:?}, fuse: {fuse}");
        }
        for indices in [picked, batch_labels] {
            let found = pollster::block_on(executor.read_indices(indices)).unwrap();
            assert_eq!(found, [5, 1 << 24, 0, u32::MAX - 127, 7], "fuse: {fuse}");
        }
    }
}

/// Each step draws its own rows; inputs and targets by the same order, together or one by one.
#[test]
fn batches() {
    for (x_shape, t_shape, rows) in [
        (&[10, 3][..], &[10, 2][..], 4),
        (&[10], &[10, 5], 5),
        (&[7, 2, 3], &[7], 7),
        (&[257, 33], &[257, 1], 65),
        (&[31, 64], &[31, 4, 5], 13),
        (&[31, 64], &[31, 3], 13),
        (&[9, 3], &[9, 8], 4),
        (&[1, 3], &[1, 1], 1),
    ] {
        let mut net = Net::new(rows as u64);
        let n = x_shape[0];
        let (x, t) = (net.input(x_shape), net.input(t_shape));
        let order = net.random.permutation(n);
        let order = net.indices([n], &order);
        let labels: Vec<u32> = (0..n as u32).map(|i| i * 3).collect();
        let labels = net.indices([n], &labels);
        let outputs = [x, t, labels].map(|data| net.graph.batch(data, order, rows).unwrap());
        for batch_start in [0, (n - rows) / 2, n - rows] {
            for fuse in [true, false] {
                // The first step must leave nothing behind.
                let steps = vec![Step::forward(0), step_from(batch_start)];
                let run = Run { steps, fuse, ..Run::default() };
                let found = run.run(&net.graph, &outputs, &net.values);
                let all = twin::evaluate(&net.graph, &net.values, batch_start);
                let most = narrowest(&run.plan(&net.graph, &outputs));
                let narrow = Run { max_workgroups: Some(most), ..run };
                let narrow = narrow.run(&net.graph, &outputs, &net.values);
                assert_eq!(found, narrow, "few workgroups in a dimension");
                for (&output, found) in outputs.iter().zip(&found) {
                    let name = format!("{rows} of {x_shape:?} from {batch_start}, fuse: {fuse}");
                    compare(&name, found, &twin::value_of(&net.graph, &all, output));
                }
            }
        }
    }
}

/// More than 65,535 workgroups, by many rows and by wide rows.
#[test]
fn more_workgroups_than_one_dimension_holds() {
    let many = 65_535 * 64 + 1;
    for (table, rows) in [([5, 1], many), ([3, many / 2 + 7], 2)] {
        let mut net = Net::new(1);
        let x = net.input(table);
        let picks: Vec<u32> = (0..rows as u32).map(|i| (i * 7 + 1) % table[0] as u32).collect();
        let indices = net.indices([rows], &picks);
        let y = net.graph.gather(x, indices).unwrap();
        check(&format!("gather {rows} of {table:?}"), &net.graph, &[y], &net.values);
    }
    let mut net = Net::new(2);
    let x = net.input([many, 1]);
    let order: Vec<u32> = (0..many as u32).rev().collect();
    let order = net.indices([many], &order);
    let y = net.graph.batch(x, order, many).unwrap();
    check("batch", &net.graph, &[y], &net.values);

    let mut net = Net::new(3);
    let x = net.input(Shape::from([many, 1]));
    let indices = net.indices([3], &[many as u32 - 1, 0, 65_535 * 64]);
    let y = net.graph.gather(x, indices).unwrap();
    let of = net.weighted_sum(y);
    let dx = net.graph.gradients(of, &[x]).unwrap();
    check("gather_grad", &net.graph, &dx, &net.values);
}
