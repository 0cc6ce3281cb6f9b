//! Powers, choices, products of many matrices and what moves elements about, in the middle of a graph.

use wgrad::Error;
use wgrad::graph::{Binary, Layout, Shape, Unary};

use super::cases::{Case, LAYOUTS, Net, matmul_shapes};

pub fn arrays(cases: &mut Vec<Case>) -> Result<(), Error> {
    powers(cases)?;
    choices(cases)?;
    many_products(cases)?;
    moved(cases)?;
    sums(cases)
}

fn powers(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [(&[usize], &[usize]); 5] =
        [(&[3, 5], &[3, 5]), (&[3, 5], &[5]), (&[3, 5], &[3, 1]), (&[7], &[]), (&[], &[])];
    for (seed, (of_a, of_b)) in shapes.into_iter().enumerate() {
        let mut net = Net::new(1100 + seed as u64);
        let (a, b) = (net.positive_before(of_a), net.before(of_b));
        let y = net.graph.binary(Binary::Pow, a, b)?;
        cases.push(net.after(format!("pow {of_a:?} {of_b:?}"), y));
    }
    // Whole powers of numbers of either sign; the gradient by the power is not asked for.
    for power in [-2.0, 0.0, 1.0, 2.0, 3.0] {
        let mut net = Net::new(1110);
        let a = net.before([3, 4]);
        let b = net.graph.constant(power, [])?;
        let y = net.graph.binary(Binary::Pow, a, b)?;
        // What is flat is not alone, or nothing would be left of the gradient.
        let y = net.graph.add(y, a)?;
        cases.push(net.after(format!("pow {power}"), y));
    }
    Ok(())
}

fn choices(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [(&[usize], &[usize]); 4] =
        [(&[3, 5], &[3, 5]), (&[3, 5], &[5]), (&[3, 1], &[3, 5]), (&[], &[3, 5])];
    for (seed, (of_a, of_b)) in shapes.into_iter().enumerate() {
        let mut net = Net::new(1120 + seed as u64);
        let (x, a, b) = (net.before([3, 5]), net.before(of_a), net.before(of_b));
        let zero = net.graph.constant(0.0, [])?;
        let mask = net.graph.binary(Binary::Less, x, zero)?;
        let chosen = net.graph.select(mask, a, b)?;
        let y = net.graph.mul(chosen, x)?;
        net.wrt.push(chosen);
        cases.push(net.after(format!("select {of_a:?} {of_b:?}"), y));
    }
    // x where it is positive: a comparison has the gradient 0.
    let mut net = Net::new(1130);
    let x = net.before([4, 4]);
    let row = net.input([4]);
    let mask = net.graph.binary(Binary::Greater, x, row)?;
    let y = net.graph.mul(x, mask)?;
    let y = net.graph.add(y, x)?;
    cases.push(net.after("times a comparison", y));
    Ok(())
}

fn many_products(cases: &mut Vec<Case>) -> Result<(), Error> {
    for layout in LAYOUTS {
        for (p, m, k, n) in [(2, 3, 4, 5), (3, 1, 7, 2), (1, 4, 1, 3), (5, 2, 3, 1)] {
            let mut net = Net::new(1140 + (m * k * n) as u64);
            let (of_a, of_b) = matmul_shapes(layout, m, k, n);
            let many = |[rows, columns]: [usize; 2]| [p, rows, columns];
            let (a, b) = (net.before(many(of_a)), net.before(many(of_b)));
            let y = net.graph.matmul_layout(layout, a, b)?;
            let y = net.graph.unary(Unary::Tanh, y)?;
            cases.push(net.after(format!("{p} matmuls {layout:?} {m} {k} {n}"), y));
        }
    }
    for layout in [Layout::NN, Layout::NT] {
        let mut net = Net::new(1150);
        let (of_a, of_b) = matmul_shapes(layout, 3, 4, 5);
        let (a, b) = (net.before([2, of_a[0], of_a[1]]), net.before(of_b));
        let y = net.graph.matmul_layout(layout, a, b)?;
        cases.push(net.after(format!("matmuls {layout:?} with one matrix"), y));
    }
    // The sum along the first axis of what a product reads is not a bias's gradient.
    let mut net = Net::new(1160);
    let (a, b) = (net.before([2, 4, 3]), net.before([2, 4, 5]));
    let y = net.graph.matmul_layout(Layout::TN, a, b)?;
    let sums = net.graph.sum(b, 0)?;
    let (y, sums) = (net.weighted_sum(y), net.weighted_sum(sums));
    let y = net.graph.add(y, sums)?;
    cases.push(net.end("matmuls and a sum of their operand", y));
    Ok(())
}

fn moved(cases: &mut Vec<Case>) -> Result<(), Error> {
    let shapes: [&[usize]; 4] = [&[3, 4, 5], &[7], &[2, 3, 2, 2], &[1, 6]];
    for shape in shapes {
        for (axis, &extent) in shape.iter().enumerate() {
            for (start, end) in
                [(0, extent), (0, 1), (extent / 2, extent), (extent / 3, extent / 3 + 1)]
            {
                let mut net = Net::new(1170 + axis as u64);
                let x = net.before(shape);
                let y = net.graph.slice(x, axis, start, end)?;
                let y = net.graph.unary(Unary::Square, y)?;
                cases.push(net.after(format!("slice {shape:?} {axis}: {start}..{end}"), y));
            }
            let mut net = Net::new(1180 + axis as u64);
            let mut other = shape.to_vec();
            other[axis] = 2;
            let (a, b) = (net.before(shape), net.before(other));
            let y = net.graph.concat(&[a, b, a], axis)?;
            let y = net.graph.unary(Unary::Square, y)?;
            net.wrt.push(y);
            cases.push(net.after(format!("concat {shape:?} {axis}"), y));
        }
        if shape.len() > 1 {
            let mut net = Net::new(1190);
            let x = net.before(shape);
            let y = net.graph.transpose(x)?;
            let y = net.graph.unary(Unary::Square, y)?;
            cases.push(net.after(format!("transpose {shape:?}"), y));
        }
    }
    Ok(())
}

fn sums(cases: &mut Vec<Case>) -> Result<(), Error> {
    for width in [1, 3, 4, 8] {
        let mut net = Net::new(1200 + width as u64);
        let x = net.before(Shape::from([7, width]));
        // A segment without rows, and rows out of order.
        let labels = net.indices([7], &[3, 0, 3, 1, 3, 0, 1]);
        let y = net.graph.segment_sum(x, labels, 5, 7)?;
        let y = net.graph.unary(Unary::Square, y)?;
        cases.push(net.after(format!("segment_sum of {width} columns"), y));
    }
    Ok(())
}
