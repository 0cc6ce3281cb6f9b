//! Elements moved about, `rows/copy.wgsl`, and found in their rows, `rows/extreme.wgsl`.

use super::elementwise::workgroups;
use super::softmax::{INVOCATIONS, LINE, joining_line, line_invocations, over_line};
use super::update::REPORT;
use super::{Launch, Operand, PRELUDE, Shapes, Turns, part, word};
use crate::graph::{Shape, Tensor, View};

/// From so many rows on, an invocation each keeps a large GPU busy.
const MANY: usize = 32_768;

/// How far apart elements lie along the three extents of a [`View`], and where the first is.
#[derive(Clone, Copy)]
struct Lie {
    first: usize,
    outer: usize,
    span: usize,
    inner: usize,
}

impl Lie {
    /// Elements from `start` on along `axis` of a tensor of the shape `whole`.
    fn along(whole: &Shape, axis: usize, start: usize) -> Self {
        let View { span, inner, .. } = whole.around(axis, axis + 1);
        Self { first: start * inner, outer: span * inner, span: inner, inner: 1 }
    }
}

/// `out` = the elements of `x` from `start` on along `axis`.
pub fn slice(shapes: Shapes<'_>, axis: usize, start: usize, x: Tensor, out: Tensor) -> Launch {
    let view = shapes.of(out).around(axis, axis + 1);
    let (from, to) = (Lie::along(shapes.of(x), axis, start), Lie::along(shapes.of(out), axis, 0));
    copy("slice", view, (x, from), (out, to))
}

/// The elements of `out` from `start` on along `axis` = `x`, a part of what is joined.
pub fn place(shapes: Shapes<'_>, axis: usize, start: usize, x: Tensor, out: Tensor) -> Launch {
    let view = shapes.of(x).around(axis, axis + 1);
    let (from, to) = (Lie::along(shapes.of(x), axis, 0), Lie::along(shapes.of(out), axis, start));
    copy("concat", view, (x, from), (out, to))
}

/// `out` = `x` with its last two axes changed for each other.
pub fn transpose(shapes: Shapes<'_>, x: Tensor, out: Tensor) -> Launch {
    let shape = shapes.of(out);
    let rank = shape.rank();
    let View { outer, span, .. } = shape.around(rank.saturating_sub(2), rank.saturating_sub(1));
    let inner = shape.columns();
    let from = Lie { first: 0, outer: span * inner, span: 1, inner: span };
    let to = Lie { first: 0, outer: span * inner, span: inner, inner: 1 };
    copy("transpose", View { outer, span, inner }, (x, from), (out, to))
}

fn copy(name: &str, view: View, (x, from): (Tensor, Lie), (out, to): (Tensor, Lie)) -> Launch {
    let count = word(view.outer * view.span * view.inner);
    let of = |lie: Lie| [lie.first, lie.outer, lie.span, lie.inner].map(word);
    Launch {
        name: name.into(),
        parts: vec![PRELUDE, part!("rows/copy")],
        constants: vec![],
        dims: [&[count, word(view.span), word(view.inner)][..], &of(from), &of(to)].concat(),
        operands: vec![("x", Operand::Tensor(x)), ("out", Operand::Tensor(out))],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out` = where in each row of `x` the largest element is, or the smallest.
pub fn extreme(shapes: Shapes<'_>, smallest: bool, x: Tensor, out: Tensor) -> Launch {
    let (rows, columns) = (shapes.of(x).rows(), shapes.of(x).columns());
    let alone = rows >= MANY;
    let invocations = if alone { 1 } else { line_invocations(columns) };
    let turns = match alone {
        true => Turns::of_loop(columns, Turns::NONE) + Turns::of_loop(0, Turns::NONE),
        false => over_line(columns) + joining_line(columns),
    };
    Launch {
        name: if smallest { "arg_min" } else { "arg_max" }.into(),
        parts: vec![PRELUDE, LINE, REPORT, part!("rows/extreme")],
        constants: vec![
            ("SMALLEST", f64::from(u8::from(smallest))),
            ("LINE_INVOCATIONS", invocations as f64),
        ],
        dims: vec![word(rows), word(columns)],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("out", Operand::Tensor(out)),
            ("status", Operand::Status),
        ],
        workgroups: rows.div_ceil(INVOCATIONS / invocations),
        turns,
        multiply_adds: 0,
    }
}
