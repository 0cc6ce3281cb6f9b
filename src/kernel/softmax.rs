//! Softmax along one axis: `softmax/softmax.wgsl`, `softmax/log_softmax.wgsl` and their gradients, all on the view
//! of `softmax/view.wgsl`, each line shared out among invocations by `shared/line.wgsl`.

use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, part, word};
use crate::graph::Tensor;

/// Sharing a line out among invocations; whoever includes it sets the constant `LINE_INVOCATIONS`.
pub(super) const LINE: &Part = part!("shared/line");

/// Invocations per workgroup of the kernels that share lines out.
pub(super) const INVOCATIONS: usize = 256;

/// Elements of a line that one invocation takes before another one helps.
const ELEMENTS: usize = 16;

const VIEW: &Part = part!("softmax/view");
const LOG1P: &Part = part!("shared/log1p");

/// How many invocations share a line of `span` elements: the constant `LINE_INVOCATIONS`, a power of two.
pub(super) fn line_invocations(span: usize) -> usize {
    span.div_ceil(ELEMENTS).next_power_of_two().min(INVOCATIONS)
}

/// Turns of a loop over a line of `span` elements, of which each invocation takes its own.
pub(super) fn over_line(span: usize) -> Turns {
    Turns::of_loop(span.div_ceil(line_invocations(span)), Turns::NONE)
}

/// Turns of `line_sum` or `line_top`.
pub(super) fn joining_line(span: usize) -> Turns {
    Turns::of_loop(line_invocations(span).ilog2() as usize, Turns::NONE)
}

/// `out = softmax(x)` along `axis`.
pub fn softmax(shapes: Shapes<'_>, axis: usize, x: Tensor, out: Tensor) -> Launch {
    let parts = vec![PRELUDE, LINE, VIEW, part!("softmax/softmax")];
    let operands = vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))];
    along(shapes, "softmax", parts, axis, operands, out, forward_turns)
}

/// `out = ln softmax(x)` along `axis`.
pub fn log_softmax(shapes: Shapes<'_>, axis: usize, x: Tensor, out: Tensor) -> Launch {
    let parts = vec![PRELUDE, LOG1P, LINE, VIEW, part!("softmax/log_softmax")];
    let operands = vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))];
    along(shapes, "log_softmax", parts, axis, operands, out, forward_turns)
}

/// `out = y·(dy - Σ y·dy)` along `axis`; `y` is the softmax.
pub fn softmax_grad(shapes: Shapes<'_>, axis: usize, y: Tensor, dy: Tensor, out: Tensor) -> Launch {
    let parts = vec![PRELUDE, LINE, VIEW, part!("softmax/softmax_grad")];
    along(shapes, "softmax_grad", parts, axis, grad_operands(y, dy, out), out, backward_turns)
}

/// `out = dy - eʸ·Σ dy` along `axis`; `y` is the log-softmax.
pub fn log_softmax_grad(
    shapes: Shapes<'_>,
    axis: usize,
    y: Tensor,
    dy: Tensor,
    out: Tensor,
) -> Launch {
    let parts = vec![PRELUDE, LINE, VIEW, part!("softmax/log_softmax_grad")];
    along(shapes, "log_softmax_grad", parts, axis, grad_operands(y, dy, out), out, backward_turns)
}

fn grad_operands(y: Tensor, dy: Tensor, out: Tensor) -> Vec<(&'static str, Operand)> {
    vec![("y", Operand::Tensor(y)), ("dy", Operand::Tensor(dy)), ("out", Operand::Tensor(out))]
}

/// The largest element, the sum, the quotients.
fn forward_turns(span: usize) -> Turns {
    let line = over_line(span);
    line + joining_line(span) + line + joining_line(span) + line
}

/// The sum, then what it is taken from.
fn backward_turns(span: usize) -> Turns {
    over_line(span) + joining_line(span) + over_line(span)
}

/// One to 256 invocations per line along `axis`.
fn along(
    shapes: Shapes<'_>,
    name: &str,
    parts: Vec<&'static Part>,
    axis: usize,
    operands: Vec<(&'static str, Operand)>,
    out: Tensor,
    turns: fn(usize) -> Turns,
) -> Launch {
    let view = shapes.of(out).around(axis, axis + 1);
    let invocations = line_invocations(view.span);
    Launch {
        name: name.into(),
        parts,
        constants: vec![("LINE_INVOCATIONS", invocations as f64)],
        dims: vec![word(view.outer), word(view.span), word(view.inner)],
        operands,
        workgroups: (view.outer * view.inner).div_ceil(INVOCATIONS / invocations),
        turns: turns(view.span),
        multiply_adds: 0,
    }
}
