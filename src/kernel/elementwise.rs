//! Element-wise operations: `elementwise/binary.wgsl`, `elementwise/bias_add.wgsl`, `elementwise/scale.wgsl`, `elementwise/unary.wgsl`,
//! `elementwise/unary_grad.wgsl`, and the functions of `elementwise/activation.wgsl`.

use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, WORKGROUP, part};
use crate::graph::{Binary, Tensor, Unary};

/// The WGSL functions `activate` and `activation_grad`, which take a function by its [`code`].
/// Whoever includes this part sets the constants of [`function`].
pub(crate) const ACTIVATION: &Part = part!("elementwise/activation");

/// The number of a function in `elementwise/activation.wgsl`. Numbers that are not here are NaN there.
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

/// `out = f(x)`.
pub fn unary(shapes: Shapes<'_>, f: Unary, x: Tensor, out: Tensor) -> Launch {
    let count = shapes.elements(out);
    Launch {
        name: f.name().into(),
        parts: vec![PRELUDE, ACTIVATION, part!("elementwise/unary")],
        constants: function(f),
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
        parts: vec![PRELUDE, ACTIVATION, part!("elementwise/unary_grad")],
        constants: function(f),
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

/// The constants of a shader that has [`ACTIVATION`] and applies one function: its number, and the slope
/// of leaky ReLU, 0 for other functions.
pub(super) fn function(f: Unary) -> Vec<(&'static str, f64)> {
    let slope = if let Unary::LeakyRelu { slope } = f { slope } else { 0.0 };
    vec![("FUNCTION", f64::from(code(f))), ("SLOPE", f64::from(slope))]
}

#[cfg(test)]
mod tests {
    use super::{ACTIVATION, code};
    use crate::graph::Unary;

    /// All functions. A new one does not compile here before it is listed.
    fn all() -> Vec<Unary> {
        use Unary::*;
        let listed = [
            Relu,
            LeakyRelu { slope: 0.1 },
            Sigmoid,
            Tanh,
            Gelu,
            GeluTanh,
            Exp,
            Log,
            Sqrt,
            Reciprocal,
            Square,
            Abs,
        ];
        let known = |function| match function {
            Relu | LeakyRelu { .. } | Sigmoid | Tanh | Gelu | GeluTanh => true,
            Exp | Log | Sqrt | Reciprocal | Square | Abs => true,
        };
        listed.into_iter().filter(|&function| known(function)).collect()
    }

    #[test]
    fn each_function_has_a_case_of_its_own_and_no_number_falls_through() {
        let (_, functions) = ACTIVATION.source.split_once("fn activate(").unwrap();
        let (value, rest) = functions.split_once("fn activation_grad(").unwrap();
        let (gradient, _) = rest.split_once("\n}\n").unwrap();
        for body in [value, gradient] {
            let cases: Vec<&str> =
                body.lines().filter_map(|line| line.trim().strip_prefix("case ")).collect();
            let mut formulas: Vec<&str> = Vec::new();
            for function in all() {
                let case = format!("{}u: {{ return ", code(function));
                let found: Vec<&str> =
                    cases.iter().filter_map(|line| line.strip_prefix(case.as_str())).collect();
                let [formula] = found[..] else { panic!("{}: {found:?}", function.name()) };
                formulas.extend(formula.split("; }").next());
            }
            assert_eq!(cases.len(), formulas.len(), "a case of no function");
            formulas.sort_unstable();
            formulas.dedup();
            assert_eq!(cases.len(), formulas.len(), "two functions have one formula");
            let default = body.lines().find(|line| line.contains("default: ")).unwrap();
            assert!(default.contains("return not_a_number("), "{default}");
        }
    }
}
