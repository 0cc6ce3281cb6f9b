//! The update pass, one dispatch per chunk of the parameter arenas: `update/main.wgsl` with a rule's formula,
//! `update/rule_*.wgsl`, `update/gradients_in_parts.wgsl`, `update/guard.wgsl`, `update/clip.wgsl`, `update/l1.wgsl`
//! and, for mixed precision, `update/copy_f16.wgsl`; the norm that clipping needs, `update/norm_partials.wgsl` and
//! `update/norm_clip.wgsl`; and assignments, `update/assign.wgsl`.

use std::ops::Range;

use super::elementwise::workgroups;
use super::half::F16;
use super::loss::{self, Destination};
use super::softmax::INVOCATIONS;
use super::{Arena, Launch, Operand, PRELUDE, Part, Shapes, Turns, part, reflect, rule, word};
use crate::graph::{ELEMENT_BYTES, Tensor, UpdateRule};

/// Telling which step went wrong.
pub(super) const REPORT: &Part = part!("update/report");
const GUARD: &Part = part!("update/guard");
const NORM: &Part = part!("shared/norm");
const TREE_NORM: &Part = part!("shared/tree_norm");

/// Words of `Norm` in `shared/norm.wgsl`.
pub const NORM_WORDS: usize = 2;

/// Words of the factors that [`norm_clip`] finds.
pub const FACTORS: usize = 2;

/// Some of the values of a chunk: both ends are multiples of four.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The chunk.
    pub chunk: usize,
    /// Its elements, counted from its beginning.
    pub elements: Range<usize>,
}

impl Run {
    /// The first piece of four and the one past the last.
    fn pieces(&self) -> [u32; 2] {
        [word(self.elements.start / 4), word(self.elements.end / 4)]
    }

    /// Bytes of these values that the `update` moves.
    pub(crate) fn bytes_of(update: &Launch) -> u64 {
        match *update.dims {
            [first, end, ..] => 4 * ELEMENT_BYTES as u64 * u64::from(end.saturating_sub(first)),
            _ => 0,
        }
    }
}

/// A gradient that comes in the parts of its product, for the update to add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Its place in the arena: an element of the chunk, counted from its beginning; a multiple of four.
    pub first: usize,
    /// Number of elements.
    pub elements: usize,
    /// The element with which its first part begins. The others follow.
    pub from: usize,
    /// Number of parts.
    pub parts: usize,
}

impl Joined {
    /// Of one dispatch, at most.
    pub const MOST: usize = rule::MOST_JOINED;

    fn words(self) -> [u32; 4] {
        [self.first / 4, self.elements, self.from, self.parts].map(word)
    }
}

/// Turns of the loops of `update/gradients_in_parts.wgsl` over so many gradients, each in at most so many parts.
pub fn joining_turns(gradients: usize, parts: usize) -> Turns {
    Turns::of_loop(gradients, Turns::of_loop(parts, Turns::NONE))
}

/// Gradients that come in parts: the tensor of all parts, and where each gradient's lie, at most [`Joined::MOST`].
#[derive(Clone, Copy, Debug)]
pub struct InParts<'a> {
    /// All parts of all gradients.
    pub parts: Tensor,
    /// The gradients.
    pub joined: &'a [Joined],
}

/// Where the loss of a step is found.
#[derive(Clone, Copy, Debug)]
pub enum LossOf {
    /// There.
    Whole(Destination),
    /// In `count` partial sums, at most [`LossOf::MOST_PARTS`], of which the update makes the number that goes `to`
    /// the results.
    Parts {
        /// The sums.
        partials: Tensor,
        /// How many.
        count: usize,
        /// Where the loss goes.
        to: Destination,
    },
}

impl LossOf {
    /// Partial sums that `update/loss_in_parts.wgsl` can add up.
    pub const MOST_PARTS: usize = 16;
}

/// Moves the values of `run` by `rule`, unless the `loss` is not finite. With `clip`, the factors of [`norm_clip`],
/// gradients are multiplied by them first; then the L1 penalty `l1` is added, if it is not 0. With `copies`, the copy
/// of the values in 16 bits follows.
pub fn update(
    rule: UpdateRule,
    clip: Option<Tensor>,
    l1: f32,
    run: &Run,
    loss: LossOf,
    in_parts: Option<InParts<'_>>,
    copies: bool,
) -> Launch {
    let (chunk, [first, end]) = (run.chunk, run.pieces());
    let (loss_operand, place, loss_parts) = match loss {
        LossOf::Whole(place) => (place.operand, place, 0),
        LossOf::Parts { partials, count, to } => (Operand::Tensor(partials), to, count),
    };
    let mut dims = vec![first, end, place.stride, place.column, word(loss_parts)];
    dims.extend(rule.figures().iter().map(|figure| figure.value.to_bits()));
    let mut turns = Turns::NONE;
    if let Some(InParts { joined, .. }) = in_parts {
        dims.push(word(joined.len()));
        // Where WGSL has an array of vectors begin.
        dims.resize(dims.len().next_multiple_of(4), 0);
        let end = dims.len() + 4 * Joined::MOST;
        dims.extend(joined.iter().flat_map(|joined| joined.words()));
        dims.resize(end, 0);
        let most = joined.iter().map(|joined| joined.parts).max().unwrap_or(0);
        turns = joining_turns(joined.len(), most);
    }
    let row = rule.row();
    let switch = row.switch.map(|(name, on)| (name, f64::from(u8::from(on))));
    let (penalty, factor) = match l1 {
        0.0 => (part!("update/no_penalty"), None),
        l1 => (part!("update/l1"), Some(("L1", f64::from(l1)))),
    };
    let around = rule::of_pieces(rule, in_parts.is_some());
    let mut operands = vec![
        ("values", Operand::Arena(Arena::Values, chunk)),
        ("gradients", Operand::Arena(Arena::Gradients, chunk)),
        ("loss", loss_operand),
        ("status", Operand::Status),
    ];
    let states = reflect::bindings(&[around]).into_iter();
    operands.extend(states.filter_map(|binding| {
        Some((binding.name, Operand::Arena(Arena::of_state(binding.name)?, chunk)))
    }));
    let loss = match loss {
        LossOf::Whole(_) => part!("update/loss"),
        LossOf::Parts { .. } => {
            operands.push(("results", place.operand));
            part!("update/loss_in_parts")
        }
    };
    let gradients = match in_parts {
        None => part!("update/gradients"),
        Some(InParts { parts, .. }) => {
            operands.push(("parts", Operand::Tensor(parts)));
            part!("update/gradients_in_parts")
        }
    };
    let clipping = match clip {
        None => part!("update/no_clip"),
        Some(factors) => {
            operands.push(("factors", Operand::Tensor(factors)));
            part!("update/clip")
        }
    };
    let copying = if copies {
        operands.push(("copies", Operand::Arena(Arena::Copies, chunk)));
        part!("update/copy_f16")
    } else {
        part!("update/no_copy")
    };
    let mut launch = Launch {
        name: format!(
            "update {}{}{}{}{}{}",
            row.name,
            if loss_parts > 0 { " + sum_partials" } else { "" },
            if in_parts.is_some() { " + join parts" } else { "" },
            if clip.is_some() { " + clip" } else { "" },
            if factor.is_some() { " + l1" } else { "" },
            if copies { " + copies" } else { "" }
        ),
        parts: vec![
            PRELUDE,
            REPORT,
            GUARD,
            loss,
            clipping,
            penalty,
            around,
            gradients,
            row.formula,
            copying,
            part!("update/main"),
        ],
        constants: switch.into_iter().chain(factor).collect(),
        dims,
        operands,
        workgroups: workgroups(end - first),
        turns,
        multiply_adds: 0,
    };
    if copies {
        launch.parts.insert(1, F16);
    }
    launch
}

/// The `count` elements from `offset` on in `chunk` of the parameters = `x`.
pub fn assign(shapes: Shapes<'_>, chunk: usize, offset: u64, x: Tensor) -> Launch {
    let count = shapes.elements(x);
    Launch {
        name: "assign".into(),
        parts: vec![PRELUDE, REPORT, part!("update/assign")],
        constants: vec![],
        dims: vec![count, word(offset as usize / ELEMENT_BYTES)],
        operands: vec![
            ("values", Operand::Arena(Arena::Values, chunk)),
            ("x", Operand::Tensor(x)),
            ("status", Operand::Status),
        ],
        workgroups: workgroups(count),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// Number of parts in which [`norm_partials`] finds the norm of a run of `count` values, a multiple of
/// four, so that its loops take at most `most` turns.
pub fn norm_groups(count: usize, most: u64) -> usize {
    loss::partials(count / 4, count, most, norm_turns)
}

/// Turns of the loops over `share` items that a workgroup joins (`shared/tree_norm.wgsl`, as `shared/tree_sum.wgsl`).
fn norm_turns(share: usize) -> Turns {
    loss::sum_turns(share, INVOCATIONS, Turns::NONE)
}

/// Finds the norm of the gradients of `run`, in `groups` parts of [`NORM_WORDS`] each, which are parts `offset`,
/// `offset` + 1, … of `scratch`.
pub fn norm_partials(run: &Run, scratch: Tensor, offset: usize, groups: usize) -> Launch {
    let (chunk, [first, end]) = (run.chunk, run.pieces());
    let share = loss::share((end - first) as usize, groups);
    Launch {
        name: "norm_partials".into(),
        parts: vec![PRELUDE, NORM, TREE_NORM, part!("update/norm_partials")],
        constants: vec![],
        dims: vec![first, end, word(share), word(offset)],
        operands: vec![
            ("gradients", Operand::Arena(Arena::Gradients, chunk)),
            ("partials", Operand::Tensor(scratch)),
        ],
        workgroups: groups.max(1),
        turns: norm_turns(share),
        multiply_adds: 0,
    }
}

/// Joins the `n` parts of all [`norm_partials`]: `factors` ([`FACTORS`] of them) bring the norm of all
/// gradients together down to `longest`.
pub fn norm_clip(scratch: Tensor, n: usize, longest: f32, factors: Tensor) -> Launch {
    Launch {
        name: "norm_clip".into(),
        parts: vec![PRELUDE, NORM, TREE_NORM, part!("update/norm_clip")],
        constants: vec![("CLIP_NORM", f64::from(longest))],
        dims: vec![word(n)],
        operands: vec![
            ("partials", Operand::Tensor(scratch)),
            ("factors", Operand::Tensor(factors)),
        ],
        workgroups: 1,
        turns: norm_turns(n),
        multiply_adds: 0,
    }
}
