//! The twins of what takes two tensors element by element, chooses, finds and moves elements about.

use wgrad::graph::{Binary, Shape, View};

use super::num::Num;
use super::twin::{ONE, Value, ZERO};

/// The place in an operand of `shape` beside element `i` of a tensor of the shape `whole`.
pub fn beside(shape: &Shape, whole: &Shape, i: usize) -> usize {
    if shape == whole {
        i
    } else if shape.elements() == 1 {
        0
    } else if shape.dims() == [whole.columns()] {
        i % whole.columns()
    } else {
        assert_eq!((shape.rank(), shape.columns()), (whole.rank(), 1), "a column");
        i / whole.columns()
    }
}

pub fn apply(binary: Binary, a: Num, b: Num) -> Num {
    if !matches!(binary, Binary::Add | Binary::Sub | Binary::Mul | Binary::Div)
        && (a.value.is_nan() || b.value.is_nan())
    {
        return Num::exact(f64::NAN);
    }
    let unsure = (a - b).unsure_about(0.0) && a.error + b.error > 0.0;
    let truth = |holds: bool| Num::either(holds, unsure, ONE, ZERO);
    match binary {
        Binary::Add => a + b,
        Binary::Sub => a - b,
        Binary::Mul => a * b,
        Binary::Div => a / b,
        Binary::Minimum => -((-a).max(-b)),
        Binary::Maximum => a.max(b),
        Binary::Pow => power(a, b),
        Binary::Equal => truth(a.value == b.value),
        Binary::NotEqual => truth(a.value != b.value),
        Binary::Less => truth(a.value < b.value),
        Binary::LessEqual => truth(a.value <= b.value),
        Binary::Greater => truth(a.value > b.value),
        Binary::GreaterEqual => truth(a.value >= b.value),
        other => panic!("the twin does not know {other:?}"),
    }
}

fn power(a: Num, b: Num) -> Num {
    if (b.value == 0.0 && b.error == 0.0) || (a.value == 1.0 && a.error == 0.0) {
        return ONE;
    }
    if a.value == 0.0 || b.value.is_infinite() || a.value.is_infinite() {
        return Num::exact(a.value.powf(b.value));
    }
    let size = (b * a.abs().ln()).exp();
    match a.value.powf(b.value) {
        exact if exact.is_nan() => Num::exact(exact),
        exact if exact < 0.0 => -size,
        _ => size,
    }
}

/// `a` where the mask is not 0, else `b`.
pub fn select(mask: Num, a: Num, b: Num) -> Num {
    if mask.value.is_nan() {
        return mask;
    }
    Num::either(mask.value != 0.0, mask.unsure_about(0.0), a, b)
}

/// Where the first of the largest numbers is, or of the smallest.
pub fn extreme(row: &[Num], smallest: bool) -> u32 {
    let better = |a: f64, b: f64| if smallest { a < b } else { a > b };
    let best = (1..row.len()).fold(
        0,
        |best, i| {
            if better(row[i].value, row[best].value) { i } else { best }
        },
    );
    best as u32
}

pub fn segment_sum(
    x: &[Num],
    labels: &[u32],
    width: usize,
    segments: usize,
    run: usize,
) -> Vec<Num> {
    let mut sums = Vec::new();
    for (rows, labels) in x.chunks(run * width).zip(labels.chunks(run)) {
        for segment in 0..segments as u32 {
            for c in 0..width {
                let rows = rows.chunks(width).zip(labels);
                let mine = rows.filter(|&(_, &label)| label == segment).map(|(row, _)| row[c]);
                sums.push(Num::dot(mine));
            }
        }
    }
    sums
}

/// The elements whose places `at` names.
fn picked(x: &Value, at: impl Iterator<Item = usize>) -> Value {
    match x {
        Value::F(x) => Value::F(at.map(|i| x[i]).collect()),
        Value::U(x) => Value::U(at.map(|i| x[i]).collect()),
    }
}

pub fn slice(x: &Value, of: &Shape, axis: usize, start: usize, length: usize) -> Value {
    let View { outer, span, inner } = of.around(axis, axis + 1);
    let rows = (0..outer).flat_map(|o| (start..start + length).map(move |s| o * span + s));
    picked(x, rows.flat_map(|row| (0..inner).map(move |i| row * inner + i)))
}

/// Joined by rows of everything from `axis` on, of each in turn.
pub fn concat(parts: &[(&Value, &Shape)], axis: usize) -> Value {
    let outer = parts[0].1.around(axis, axis + 1).outer;
    let mut all: Option<Value> = None;
    for o in 0..outer {
        for (value, shape) in parts {
            let length = shape.elements() / outer;
            let piece = picked(value, o * length..(o + 1) * length);
            match (&mut all, piece) {
                (None, piece) => all = Some(piece),
                (Some(Value::F(all)), Value::F(piece)) => all.extend(piece),
                (Some(Value::U(all)), Value::U(piece)) => all.extend(piece),
                _ => panic!("tensors of one element type are joined"),
            }
        }
    }
    all.expect("tensors to join")
}

pub fn transpose(x: &Value, of: &Shape) -> Value {
    let (columns, rank) = (of.columns(), of.rank());
    let rows = of.dims()[rank - 2];
    let matrices = of.elements() / (rows * columns);
    let places = (0..matrices).flat_map(|m| {
        (0..columns).flat_map(move |c| (0..rows).map(move |r| (m * rows + r) * columns + c))
    });
    picked(x, places)
}
