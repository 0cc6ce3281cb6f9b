//! Copies of rows (slices along the first axis) named by index: `rows/gather.wgsl`,
//! `rows/gather_grad.wgsl`, `rows/batch.wgsl`, `rows/batch_pair.wgsl`; rows added up by label,
//! `rows/segment_sum.wgsl`.

use super::elementwise::workgroups;
use super::source::made;
use super::{Launch, Operand, PRELUDE, Part, Shapes, Turns, WORKGROUP, longest_share, part, word};
use crate::graph::Tensor;

/// `out` = the rows of `x` that `indices` name.
pub fn gather(shapes: Shapes<'_>, x: Tensor, indices: Tensor, out: Tensor) -> Launch {
    let (rows, width) = shapes.rows_and_width(x);
    let count = shapes.elements(out);
    Launch {
        name: "gather".into(),
        parts: vec![PRELUDE, part!("rows/gather")],
        constants: vec![],
        dims: vec![count, width, rows],
        operands: vec![
            ("x", Operand::Tensor(x)),
            ("indices", Operand::Tensor(indices)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `BLOCK` of `rows/gather_grad.wgsl`.
const BLOCK: usize = 32;

/// Turns of the loops of [`gather_grad`] over `share` indices.
fn gather_grad_turns(share: usize) -> Turns {
    Turns::of_loop(share.div_ceil(BLOCK), Turns::of_loop(BLOCK, Turns::NONE))
}

/// Into how many parts [`gather_grad`] over `indices` is split, so that its loops take at most `most`
/// turns.
pub fn gather_grad_parts(shapes: Shapes<'_>, indices: Tensor, most: u64) -> usize {
    let n = shapes.of(indices).elements();
    n.div_ceil(longest_share(n, most, gather_grad_turns)).max(1)
}

/// `out` = the rows of `dy`, added up where `indices` took them from, in index order. `like` has
/// the shape of the gathered tensor; with `parts` > 1, `out` holds that many summands of it one
/// after another, to be added up.
pub fn gather_grad(
    shapes: Shapes<'_>,
    indices: Tensor,
    dy: Tensor,
    like: Tensor,
    out: Tensor,
    parts: usize,
) -> Launch {
    let (_, width) = shapes.rows_and_width(like);
    let count = shapes.elements(like);
    let n = shapes.of(indices).elements();
    let parts = parts.max(1);
    let share = n.div_ceil(parts);
    Launch {
        name: "gather_grad".into(),
        parts: vec![PRELUDE, part!("rows/gather_grad")],
        constants: vec![],
        dims: vec![count, width, word(n), word(share), word(parts)],
        operands: vec![
            ("indices", Operand::Tensor(indices)),
            ("dy", Operand::Tensor(dy)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: (count as usize * parts).div_ceil(WORKGROUP),
        turns: gather_grad_turns(share),
        multiply_adds: 0,
    }
}

/// `out` = the rows of `x` that `order` names, from the step's batch start on. With `long`, in
/// integers of 64 bits where rows are made of them.
pub fn batch(shapes: Shapes<'_>, x: Tensor, order: Tensor, out: Tensor, long: bool) -> Launch {
    let (rows, width) = shapes.rows_and_width(x);
    let piece = words_per_piece(width, long);
    let count = shapes.elements(out) / piece;
    Launch {
        name: "batch".into(),
        parts: vec![PRELUDE, words("X", piece), OUT, part!("rows/batch")],
        constants: vec![],
        dims: vec![count, width / piece, rows, shapes.elements(order)],
        operands: vec![
            ("order", Operand::Tensor(order)),
            ("x", Operand::Tensor(x)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// Words of 32 bits that are copied at a time from rows of `width`: fewer pieces, fewer divisions.
fn words_per_piece(width: u32, long: bool) -> u32 {
    match (width % 8, width % 4) {
        (0, _) if long => 8,
        (_, 0) => 4,
        _ => 1,
    }
}

/// The type of so many words, under the name `of`, and as `<of>_NO_ROW` what stands where there is no row:
/// NaN in every word.
fn words(of: &str, count: u32) -> &'static Part {
    let (ty, nan) = match count {
        8 => ("vec4<u64>", "vec4(0x7fc000007fc00000lu)"),
        4 => ("vec4<u32>", "vec4(0x7fc00000u)"),
        _ => ("u32", "0x7fc00000u"),
    };
    made(&format!("words:{of}_{count}"), || {
        format!("alias {of} = {ty};\nconst {of}_NO_ROW = {nan};\n")
    })
}

const OUT: &Part = part!("rows/out");
const X_OUT: &Part = part!("rows/x_out");

/// What takes the place of `part`, which is one of `parts`, if that is what writes drawn rows of four numbers or
/// eight to `binding`; of a pair those of `x`.
pub(super) fn in_half(
    parts: &[&'static Part],
    binding: &str,
    part: &'static Part,
) -> Option<Vec<&'static Part>> {
    let out: &Part = match binding {
        "out" if part == OUT => part!("rows/out_f16"),
        "x_out" if part == X_OUT => part!("rows/x_out_f16"),
        _ => return None,
    };
    let pieces_of = |count| parts.contains(&words("X", count));
    if pieces_of(4) {
        Some(vec![part!("rows/half_of_4"), out])
    } else if pieces_of(8) {
        Some(vec![part!("shared/words"), part!("rows/half_of_8"), out])
    } else {
        None
    }
}

/// [`batch`] of `x` into `x_out` and of `t` into `t_out`, by the same `order`, in one dispatch.
pub fn batch_pair(
    shapes: Shapes<'_>,
    x: Tensor,
    x_out: Tensor,
    t: Tensor,
    t_out: Tensor,
    order: Tensor,
    long: bool,
) -> Launch {
    let (x_rows, x_width) = shapes.rows_and_width(x);
    let (t_rows, t_width) = shapes.rows_and_width(t);
    let (x_piece, t_piece) = (words_per_piece(x_width, long), words_per_piece(t_width, long));
    let (x_count, t_count) = (shapes.elements(x_out) / x_piece, shapes.elements(t_out) / t_piece);
    let (x_width, t_width) = (x_width / x_piece, t_width / t_piece);
    let n = shapes.elements(order);
    Launch {
        name: "batch_pair".into(),
        parts: vec![
            PRELUDE,
            words("X", x_piece),
            words("T", t_piece),
            X_OUT,
            part!("rows/t_out"),
            part!("rows/batch_pair"),
        ],
        constants: vec![],
        dims: vec![x_count, x_width, x_rows, t_count, t_width, t_rows, n],
        operands: vec![
            ("order", Operand::Tensor(order)),
            ("x", Operand::Tensor(x)),
            ("t", Operand::Tensor(t)),
            ("x_out", Operand::Tensor(x_out)),
            ("t_out", Operand::Tensor(t_out)),
        ],
        workgroups: workgroups(x_count.saturating_add(t_count)),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// `out` = the rows of `x` added up by `labels` below `segments`, each `run` of them on their own.
pub fn segment_sum(
    shapes: Shapes<'_>,
    segments: usize,
    run: usize,
    x: Tensor,
    labels: Tensor,
    out: Tensor,
) -> Launch {
    let (rows, width) = shapes.rows_and_width(x);
    let piece = if width.is_multiple_of(4) { 4 } else { 1 };
    let numbers = made(&format!("numbers:X_{piece}"), || {
        let (of, zero) = if piece == 4 { ("vec4<f32>", "vec4(0.0)") } else { ("f32", "0.0") };
        format!("alias X = {of};\nconst X_ZERO = {zero};\n")
    });
    let (runs, width) = ((rows as usize).div_ceil(run.max(1)), width / piece);
    Launch {
        name: "segment_sum".into(),
        parts: vec![PRELUDE, numbers, part!("rows/segment_sum")],
        constants: vec![],
        dims: vec![rows, width, word(segments), word(run), word(runs)],
        operands: vec![
            ("labels", Operand::Tensor(labels)),
            ("x", Operand::Tensor(x)),
            ("out", Operand::Tensor(out)),
        ],
        workgroups: (runs * width as usize).div_ceil(WORKGROUP),
        turns: Turns::of_loop(segments, Turns::NONE) + Turns::of_loop(run, Turns::NONE),
        multiply_adds: 0,
    }
}
