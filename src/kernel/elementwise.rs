//! Element-wise operations: the shaders of `shaders/elementwise/`.

use super::activation::{self, FUNCTIONS};
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, WORKGROUP, part};
use crate::graph::{Binary, Tensor, Unary};

/// Workgroups of a kernel with one invocation for each of `count` elements.
pub(super) fn workgroups(count: u32) -> usize {
    (count as usize).div_ceil(WORKGROUP)
}

/// `out = a ∘ b`; `b` has the shape of `a`, or is a row or a scalar.
pub fn binary(shapes: Shapes<'_>, op: Binary, a: Tensor, b: Tensor, out: Tensor) -> Launch {
    let (name, operation) = match op {
        Binary::Add => ("add", 0.0),
        Binary::Sub => ("sub", 1.0),
        Binary::Mul => ("mul", 2.0),
    };
    let count = shapes.elements(out);
    Launch {
        name: name.into(),
        parts: vec![PRELUDE, part!("elementwise/binary")],
        constants: vec![("OPERATION", operation)],
        dims: vec![count, shapes.elements(b)],
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out = x + bias`, the row `bias` added to every row of `x`.
pub fn bias_add(shapes: Shapes<'_>, x: Tensor, bias: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: "bias_add".into(),
        parts: vec![PRELUDE, part!("elementwise/bias_add")],
        constants: vec![],
        dims: vec![count, shapes.elements(bias)],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("bias", Operand::Tensor(bias)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out = factor · x`.
pub fn scale(shapes: Shapes<'_>, factor: f32, x: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: "scale".into(),
        parts: vec![PRELUDE, part!("elementwise/scale")],
        constants: vec![],
        dims: vec![count, factor.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out` = dropout of `x`: elements are 0 with probability `rate`, which is at least 0 and below 1, and others
/// `x / (1 - rate)`, by random numbers of `seed`.
pub fn dropout(shapes: Shapes<'_>, rate: f32, seed: u64, x: Tensor, out: Tensor) -> Launch {
    let (rows, width) = shapes.rows_and_width(x);
    let pairs = width.div_ceil(2);
    let count = rows.saturating_mul(pairs);
    // The f32 between 0 and 1 is at most 1 - 2⁻²⁴, so that neither is too large.
    let threshold = (f64::from(rate) * 2f64.powi(32)).round() as u32;
    let factor = (1.0 / (1.0 - f64::from(rate))) as f32;
    let [low, high] = [seed as u32, (seed >> 32) as u32];
    Launch {
        name: "dropout".into(),
        parts: vec![PRELUDE, part!("shared/threefry"), part!("elementwise/dropout")],
        constants: vec![],
        dims: vec![count, pairs, width, low, high, threshold, factor.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

fn parts_of(f: Unary, main: &'static Part) -> Vec<&'static Part> {
    [&[PRELUDE][..], &FUNCTIONS, &[activation::of_numbers(f), main]].concat()
}

/// `out = f(x)`.
pub fn unary(shapes: Shapes<'_>, f: Unary, x: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: f.name().into(),
        parts: parts_of(f, part!("elementwise/unary")),
        constants: activation::constants(f),
        dims: vec![count],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out = dy · f′`, the derivative computed from `saved`, which is the function's output or its
/// input as [`Unary::grad_from_output`] says.
pub fn unary_grad(shapes: Shapes<'_>, f: Unary, saved: Tensor, dy: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: format!("{}_grad", f.name()),
        parts: parts_of(f, part!("elementwise/unary_grad")),
        constants: activation::constants(f),
        dims: vec![count],
        operands: vec![
            ("saved", Operand::Tensor(saved)),
            ("dy", Operand::Tensor(dy)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}
