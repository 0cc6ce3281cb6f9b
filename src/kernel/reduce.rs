//! Sums, means and maxima over neighbouring axes, and what undoes them: `reduce/each.wgsl`,
//! `reduce/tree.wgsl`, `reduce/expand.wgsl`, `reduce/max_grad.wgsl`.

use super::elementwise::workgroups;
use super::softmax::INVOCATIONS;
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, longest_share, part, word};
use crate::graph::{Reduction, Tensor, View};

/// Spans up to this length are reduced by one invocation each: there is nothing to share out.
const SHORT: usize = 16;

/// From this many outputs on, one invocation each keeps a large GPU busy.
const MANY: usize = 32_768;

/// Neighbouring outputs per workgroup of `reduce/tree.wgsl`, at most: 128 bytes of a row.
const COLUMNS: usize = 32;

/// `BLOCK` of `reduce/tree.wgsl`.
const BLOCK: usize = 32;

/// How a reduction lies on invocations.
#[derive(Clone, Copy)]
enum Variant {
    /// `reduce/each.wgsl`: an invocation per output.
    Each,
    /// `reduce/tree.wgsl`: a workgroup for so many neighbouring outputs.
    Tree { columns: usize },
}

impl Variant {
    /// Spans of at most 16 elements, and 32,768 outputs or more, take the former.
    fn of(view: View) -> Self {
        match view.span <= SHORT || view.outer * view.inner >= MANY {
            true => Variant::Each,
            false => Variant::tree(view),
        }
    }

    fn tree(view: View) -> Self {
        Variant::Tree { columns: view.inner.next_power_of_two().min(COLUMNS) }
    }

    /// Turns of the loops over `share` elements of a span.
    fn turns(self, share: usize) -> Turns {
        let of_loop = |times| Turns::of_loop(times, Turns::NONE);
        match self {
            Variant::Each => of_loop(share / 4) + of_loop(share % 4),
            Variant::Tree { columns } => {
                let rows = INVOCATIONS / columns;
                let blocks = Turns::of_loop(share.div_ceil(BLOCK * rows), of_loop(BLOCK / 4));
                blocks + of_loop(rows.ilog2() as usize)
            }
        }
    }
}

/// `out` = `x` reduced over the axes `start..end`.
pub fn reduce(
    shapes: Shapes<'_>,
    reduction: Reduction,
    start: usize,
    end: usize,
    x: Tensor,
    out: Tensor,
) -> Launch {
    let view = shapes.of(x).around(start, end);
    launch(Variant::of(view), 1, reduction, factor(reduction, view.span), view, [x, out])
}

/// Into how many parts the span of a reduction is split, so that its loops take at most `most` turns.
pub fn parts(shapes: Shapes<'_>, start: usize, end: usize, x: Tensor, most: u64) -> usize {
    let view = shapes.of(x).around(start, end);
    if Variant::of(view).turns(view.span).most() <= most {
        return 1;
    }
    let tree = Variant::tree(view);
    view.span.div_ceil(longest_share(view.span, most, |share| tree.turns(share))).max(2)
}

/// [`reduce`] in two dispatches: each of `parts` of the span, then those. `partial` has room for `parts`
/// times `out`.
#[allow(clippy::too_many_arguments)]
pub fn reduce_in_parts(
    shapes: Shapes<'_>,
    reduction: Reduction,
    start: usize,
    end: usize,
    x: Tensor,
    out: Tensor,
    parts: usize,
    partial: Tensor,
) -> [Launch; 2] {
    let view = shapes.of(x).around(start, end);
    let mut first = launch(Variant::tree(view), parts, reduction, 1.0, view, [x, partial]);
    first.name.push_str(&format!(" in {parts} parts"));
    let of_parts = View { span: parts, ..view };
    let factor = factor(reduction, view.span);
    let mut join = launch(Variant::of(of_parts), 1, reduction, factor, of_parts, [partial, out]);
    join.name.push_str(" of parts");
    [first, join]
}

/// What a sum over `span` elements is multiplied by.
fn factor(reduction: Reduction, span: usize) -> f32 {
    match reduction {
        Reduction::Sum | Reduction::Max => 1.0,
        Reduction::Mean => 1.0 / span as f32,
    }
}

fn launch(
    variant: Variant,
    parts: usize,
    reduction: Reduction,
    factor: f32,
    view: View,
    [x, out]: [Tensor; 2],
) -> Launch {
    let View { outer, span, inner } = view;
    let (name, maximum) = match reduction {
        Reduction::Sum => ("sum", 0.0),
        Reduction::Mean => ("mean", 0.0),
        Reduction::Max => ("max", 1.0),
    };
    let share = span.div_ceil(parts);
    let mut constants = vec![("MAXIMUM", maximum)];
    let mut dims = vec![word(outer), word(span), word(inner), factor.to_bits()];
    let (part, workgroups): (&'static Part, _) = match variant {
        Variant::Each => (part!("reduce/each"), workgroups(word(outer * inner))),
        Variant::Tree { columns } => {
            constants.push(("COLUMNS", columns as f64));
            dims.extend([word(share), word(parts)]);
            (part!("reduce/tree"), outer * parts * inner.div_ceil(columns))
        }
    };
    Launch {
        name: name.into(),
        parts: vec![PRELUDE, part],
        constants,
        dims,
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups,
        turns: variant.turns(share),
        multiply_adds: 0,
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
        parts: vec![PRELUDE, part!("reduce/expand")],
        constants: vec![],
        dims: vec![count, word(view.span), word(view.inner), scale.to_bits()],
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
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
    // Equal elements are counted, then given their share.
    let over_span = Turns::of_loop(view.span.div_ceil(INVOCATIONS), Turns::NONE);
    Launch {
        name: "max_grad".into(),
        parts: vec![PRELUDE, part!("reduce/max_grad")],
        constants: vec![],
        dims: vec![word(view.outer), word(view.span), word(view.inner)],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("y", Operand::Tensor(y)),
            ("dy", Operand::Tensor(dy)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: view.outer * view.inner,
        turns: over_span + over_span,
        multiply_adds: 0,
    }
}
