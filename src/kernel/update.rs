//! The update pass, one dispatch per chunk of the parameter arenas: `update/sgd.wgsl`,
//! `update/momentum.wgsl`, `update/adam.wgsl`, with `update/guard.wgsl` and `update/clip.wgsl`; and
//! the norm that clipping needs, `update/norm_partials.wgsl` and `update/norm_clip.wgsl`.

use super::elementwise::workgroups;
use super::loss::{self, Destination};
use super::softmax::INVOCATIONS;
use super::{Arena, Launch, Operand, PRELUDE, Part, Turns, part, reflect, word};
use crate::graph::{Tensor, UpdateRule};

const GUARD: &Part = part!("update/guard");
const NORM: &Part = part!("shared/norm");
const TREE_NORM: &Part = part!("shared/tree_norm");

/// Words of `Norm` in `shared/norm.wgsl`.
pub const NORM_WORDS: usize = 2;

/// Words of the factors that [`norm_clip`] finds.
pub const FACTORS: usize = 2;

/// Moves the first `count` values of `chunk`, a multiple of four, by `rule`, unless the number at
/// `loss` is not finite. With `clip`, the factors of [`norm_clip`], gradients are multiplied by them first.
pub fn update(
    rule: UpdateRule,
    clip: Option<Tensor>,
    count: usize,
    chunk: usize,
    loss: Destination,
) -> Launch {
    let pieces = word(count / 4);
    let mut dims = vec![pieces, loss.stride, loss.column];
    let mut constants = vec![];
    let main = match rule {
        UpdateRule::Sgd { weight_decay } => {
            dims.push(weight_decay.to_bits());
            part!("update/sgd")
        }
        UpdateRule::Momentum { momentum, nesterov, weight_decay } => {
            dims.extend([weight_decay, momentum].map(f32::to_bits));
            constants.push(("NESTEROV", f64::from(u8::from(nesterov))));
            part!("update/momentum")
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
            dims.extend([weight_decay, beta1, beta2, epsilon].map(f32::to_bits));
            constants.push(("DECOUPLED", f64::from(u8::from(decoupled))));
            part!("update/adam")
        }
    };
    let mut operands = vec![
        ("values", Operand::Arena(Arena::Values, chunk)),
        ("gradients", Operand::Arena(Arena::Gradients, chunk)),
        ("loss", loss.operand),
        ("status", Operand::Status),
    ];
    let states = reflect::bindings(&[main]).into_iter();
    operands.extend(states.filter_map(|binding| {
        Some((binding.name, Operand::Arena(Arena::of_state(binding.name)?, chunk)))
    }));
    let clipping = match clip {
        None => part!("update/no_clip"),
        Some(factors) => {
            operands.push(("factors", Operand::Tensor(factors)));
            part!("update/clip")
        }
    };
    Launch {
        name: format!("update {}{}", rule.name(), if clip.is_some() { " + clip" } else { "" }),
        parts: vec![PRELUDE, GUARD, clipping, main],
        constants,
        dims,
        operands,
        workgroups: workgroups(pieces),
        turns: Turns::NONE,
        multiply_adds: 0,
    }
}

/// Number of parts in which [`norm_partials`] finds the norm of a chunk of `count` values, a multiple of
/// four, so that its loops take at most `most` turns.
pub fn norm_groups(count: usize, most: u64) -> usize {
    loss::partials(count / 4, count, most, norm_turns)
}

/// Turns of the loops over `share` items that a workgroup joins (`shared/tree_norm.wgsl`, as `shared/tree_sum.wgsl`).
fn norm_turns(share: usize) -> Turns {
    loss::sum_turns(share, INVOCATIONS, Turns::NONE)
}

/// Finds the norm of the first `count` gradients of `chunk`, a multiple of four, in `groups` parts of
/// [`NORM_WORDS`] each, which are parts `offset`, `offset` + 1, … of `scratch`.
pub fn norm_partials(
    chunk: usize,
    count: usize,
    scratch: Tensor,
    offset: usize,
    groups: usize,
) -> Launch {
    let share = loss::share(count / 4, groups);
    Launch {
        name: "norm_partials".into(),
        parts: vec![PRELUDE, NORM, TREE_NORM, part!("update/norm_partials")],
        constants: vec![],
        dims: vec![word(count / 4), word(share), word(offset)],
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
