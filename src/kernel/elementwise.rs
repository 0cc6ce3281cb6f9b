//! Element-wise operations: the shaders of `shaders/elementwise/`.

use super::activation::{self, FUNCTIONS};
use super::source::made;
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, WORKGROUP, part, word};
use crate::graph::{Binary, Repeated, Tensor, Unary};

/// Workgroups of a kernel with one invocation for each of `count` elements.
pub(super) fn workgroups(count: u32) -> usize {
    (count as usize).div_ceil(WORKGROUP)
}

/// `out = a ∘ b`; `b` has the shape of `a`, or is a row, a column or a scalar.
pub fn binary(shapes: Shapes<'_>, op: Binary, a: Tensor, b: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    let [stride, repeated] = repeats(shapes, b, out);
    let mut parts = vec![PRELUDE];
    // What calls nothing needs no functions.
    if op.value().contains('(') {
        parts.extend(FUNCTIONS);
        parts.push(part!("elementwise/pairs"));
    }
    parts.extend([combined(op), part!("elementwise/binary")]);
    Launch {
        name: op.name().into(),
        parts,
        constants: vec![("COLUMN", f64::from(u8::from(stride > 1)))],
        dims: vec![count, stride, repeated],
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

/// The WGSL of a function of two numbers, made from its row.
fn combined(op: Binary) -> &'static Part {
    made(&format!("binary:{}", op.name()), || {
        format!("fn combined(a: f32, b: f32) -> f32 {{\n    return {};\n}}\n", op.value())
    })
}

/// Stride and number of what is repeated in `whole`, as the kernels count them.
fn repeats(shapes: Shapes<'_>, repeated: Tensor, whole: Tensor) -> [u32; 2] {
    let Repeated { stride, count } = shapes
        .of(repeated)
        .repeats_in(shapes.of(whole))
        // The graph has seen to it that it fits.
        .unwrap_or(Repeated { stride: 1, count: shapes.of(repeated).elements() });
    [word(stride), word(count)]
}

/// `out` = `a` where `mask` is not 0, else `b`; each of both is of the shape of `mask`, or a row, a column or a
/// scalar.
pub fn select(shapes: Shapes<'_>, mask: Tensor, [a, b]: [Tensor; 2], out: Tensor) -> Launch {
    let count = shapes.elements(out);
    let ([a_stride, a_count], [b_stride, b_count]) =
        (repeats(shapes, a, out), repeats(shapes, b, out));
    Launch {
        name: "select".into(),
        parts: vec![PRELUDE, part!("elementwise/select")],
        constants: vec![],
        dims: vec![count, a_stride, a_count, b_stride, b_count],
        operands: vec![
            ("mask", Operand::Tensor(mask)),
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
