//! Sums, means and maxima over neighbouring axes, and what undoes them: `reduce_each.wgsl`,
//! `reduce_tree.wgsl`, `expand.wgsl`, `max_grad.wgsl`.

use super::elementwise::workgroups;
use super::{Launch, Operand, PRELUDE, Shapes, part, word};
use crate::graph::{Reduction, Tensor, View};

/// Spans up to this length are reduced by one invocation each: there is nothing to share out.
const SHORT: usize = 16;

/// From this many outputs on, one invocation each keeps a large GPU busy.
const MANY: usize = 32_768;

/// Neighbouring outputs per workgroup of `reduce_tree.wgsl`, at most: 128 bytes of a row.
const COLUMNS: usize = 32;

/// `out` = `x` reduced over the axes `start..end`.
///
/// Spans of at most 16 elements, and 32,768 outputs or more, take `reduce_each.wgsl` (one
/// invocation per output); all others `reduce_tree.wgsl` (a workgroup per 1 to 32 outputs).
pub fn reduce(
    shapes: Shapes<'_>,
    reduction: Reduction,
    start: usize,
    end: usize,
    x: Tensor,
    out: Tensor,
) -> Launch {
    let view = shapes.of(x).around(start, end);
    let View { outer, span, inner } = view;
    let (name, maximum, factor) = match reduction {
        Reduction::Sum => ("sum", 0.0, 1.0),
        Reduction::Mean => ("mean", 0.0, 1.0 / span as f32),
        Reduction::Max => ("max", 1.0, 1.0),
    };
    let each = span <= SHORT || outer * inner >= MANY;
    let (part, constants, workgroups) = if each {
        let constants = vec![("MAXIMUM", maximum)];
        (part!("reduce_each"), constants, workgroups(word(outer * inner)))
    } else {
        let columns = inner.next_power_of_two().min(COLUMNS);
        let constants = vec![("MAXIMUM", maximum), ("COLUMNS", columns as f64)];
        (part!("reduce_tree"), constants, outer * inner.div_ceil(columns))
    };
    Launch {
        name: name.into(),
        parts: vec![PRELUDE, part],
        constants,
        dims: vec![word(outer), word(span), word(inner), factor.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups,
    }
}

/// `out` = `scale · x`, repeated along the axes `start..end` of `out`.
pub fn expand(
    shapes: Shapes<'_>,
    start: usize,
    end: usize,
    scale: f32,
    x: Tensor,
    out: Tensor,
) -> Launch {
    let view = shapes.of(out).around(start, end);
    let count = shapes.elements(out);
    Launch {
        name: "expand".into(),
        parts: vec![PRELUDE, part!("expand")],
        constants: vec![],
        dims: vec![count, word(view.span), word(view.inner), scale.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
    }
}

/// The gradient of a maximum over the axes `start..end` of `x`: `dy`, shared evenly among the
/// elements of `x` that equal `y`.
pub fn max_grad(
    shapes: Shapes<'_>,
    start: usize,
    end: usize,
    x: Tensor,
    y: Tensor,
    dy: Tensor,
    out: Tensor,
) -> Launch {
    let view = shapes.of(x).around(start, end);
    Launch {
        name: "max_grad".into(),
        parts: vec![PRELUDE, part!("max_grad")],
        constants: vec![],
        dims: vec![word(view.outer), word(view.span), word(view.inner)],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("y", Operand::Tensor(y)),
            ("dy", Operand::Tensor(dy)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: view.outer * view.inner,
    }
}
