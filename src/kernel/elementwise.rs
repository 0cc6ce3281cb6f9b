//! Element-wise operations: `binary.wgsl`, `bias_add.wgsl`, `scale.wgsl`, `unary.wgsl`,
//! `unary_grad.wgsl`, and the functions of `activation.wgsl`.

use super::{Launch, Operand, PRELUDE, Part, Shapes, WORKGROUP, part};
use crate::graph::{Binary, Tensor, Unary};

/// The WGSL functions `activate` and `activation_grad`, which take a function by its [`code`].
/// Whoever includes this part and may be given leaky ReLU sets the constant `SLOPE` to [`slope`].
pub(crate) const ACTIVATION: &Part = part!("activation");

/// The number of a function in `activation.wgsl`; 0 is the identity.
pub fn code(function: Unary) -> u32 {
    match function {
        Unary::Relu => 1,
        Unary::LeakyRelu { .. } => 2,
        Unary::Sigmoid => 3,
        Unary::Tanh => 4,
        Unary::Gelu => 5,
        Unary::GeluTanh => 6,
        Unary::Exp => 7,
        Unary::Log => 8,
        Unary::Sqrt => 9,
        Unary::Reciprocal => 10,
        Unary::Square => 11,
        Unary::Abs => 12,
    }
}

/// The constant `SLOPE` of `activation.wgsl`: leaky ReLU's slope, 0 for other functions.
pub(crate) fn slope(function: Unary) -> f64 {
    match function {
        Unary::LeakyRelu { slope } => f64::from(slope),
        _ => 0.0,
    }
}

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
        parts: vec![PRELUDE, part!("binary")],
        constants: vec![("OPERATION", operation)],
        dims: vec![count, shapes.elements(b)],
        operands: vec![
            ("a", Operand::Tensor(a)),
            ("b", Operand::Tensor(b)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
    }
}

/// `out = x + bias`, the row `bias` added to every row of `x`.
pub fn bias_add(shapes: Shapes<'_>, x: Tensor, bias: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: "bias_add".into(),
        parts: vec![PRELUDE, part!("bias_add")],
        constants: vec![],
        dims: vec![count, shapes.elements(bias)],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("bias", Operand::Tensor(bias)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
    }
}

/// `out = factor · x`.
pub fn scale(shapes: Shapes<'_>, factor: f32, x: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: "scale".into(),
        parts: vec![PRELUDE, part!("scale")],
        constants: vec![],
        dims: vec![count, factor.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
    }
}

/// `out = f(x)`.
pub fn unary(shapes: Shapes<'_>, f: Unary, x: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: f.name().into(),
        parts: vec![PRELUDE, ACTIVATION, part!("unary")],
        constants: function(f),
        dims: vec![count],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
    }
}

/// `out = dy · f′`, the derivative computed from `saved`, which is the function's output or its
/// input as [`Unary::grad_from_output`] says.
pub fn unary_grad(shapes: Shapes<'_>, f: Unary, saved: Tensor, dy: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: format!("{}_grad", f.name()),
        parts: vec![PRELUDE, ACTIVATION, part!("unary_grad")],
        constants: function(f),
        dims: vec![count],
        operands: vec![
            ("saved", Operand::Tensor(saved)),
            ("dy", Operand::Tensor(dy)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
    }
}

fn function(f: Unary) -> Vec<(&'static str, f64)> {
    vec![("FUNCTION", f64::from(code(f))), ("SLOPE", slope(f))]
}
