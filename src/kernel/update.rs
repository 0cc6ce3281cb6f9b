//! The update pass, one dispatch per chunk of the parameter arenas: `update_sgd.wgsl`,
//! `update_momentum.wgsl`, `update_adam.wgsl`, with `update_guard.wgsl` and `update_clip.wgsl`; and
//! the norm that clipping needs, `norm_partials.wgsl`.

use super::elementwise::workgroups;
use super::loss::{self, Destination, TREE_SUM};
use super::softmax::INVOCATIONS;
use super::{Arena, Launch, Operand, PRELUDE, Part, Turns, part, word};
use crate::graph::{Tensor, UpdateRule};

const GUARD: &Part = part!("update_guard");

/// Clipping by the norm of all gradients together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clip {
    /// Longest norm.
    pub norm: f32,
    /// A scalar: Σ g² over all parameters, from [`norm_total`].
    pub squares: Tensor,
}

/// Moves the first `count` values of `chunk`, a multiple of four, by `rule`, unless the number at
/// `loss` is not finite.
pub fn update(
    rule: UpdateRule,
    clip: Option<Clip>,
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
            part!("update_sgd")
        }
        UpdateRule::Momentum { momentum, nesterov, weight_decay } => {
            dims.extend([weight_decay, momentum].map(f32::to_bits));
            constants.push(("NESTEROV", f64::from(u8::from(nesterov))));
            part!("update_momentum")
        }
        UpdateRule::Adam { beta1, beta2, epsilon, weight_decay, decoupled } => {
            dims.extend([weight_decay, beta1, beta2, epsilon].map(f32::to_bits));
            constants.push(("DECOUPLED", f64::from(u8::from(decoupled))));
            part!("update_adam")
        }
    };
    let mut operands = vec![
        ("values", Operand::Arena(Arena::Values, chunk)),
        ("gradients", Operand::Arena(Arena::Gradients, chunk)),
        ("loss", loss.operand),
        ("status", Operand::Status),
    ];
    if rule.states() >= 1 {
        operands.push(("state1", Operand::Arena(Arena::State1, chunk)));
    }
    if rule.states() >= 2 {
        operands.push(("state2", Operand::Arena(Arena::State2, chunk)));
    }
    let clipping = match clip {
        None => part!("update_no_clip"),
        Some(clip) => {
            constants.push(("CLIP_NORM", f64::from(clip.norm)));
            operands.push(("norm", Operand::Tensor(clip.squares)));
            part!("update_clip")
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

/// Number of partial sums that [`norm_partials`] makes of a chunk of `count` values, so that its loops
/// take at most `most` turns.
pub fn norm_groups(count: usize, most: u64) -> usize {
    loss::partials(count, count, most, norm_turns)
}

/// Turns of the loops of [`norm_partials`] over `share` gradients.
fn norm_turns(share: usize) -> Turns {
    loss::sum_turns(share, INVOCATIONS, Turns::NONE)
}

/// Sums the squares of the first `count` gradients of `chunk` into `groups` numbers of `scratch`,
/// from `offset` on.
pub fn norm_partials(
    chunk: usize,
    count: usize,
    scratch: Tensor,
    offset: usize,
    groups: usize,
) -> Launch {
    let share = loss::share(count, groups);
    Launch {
        name: "norm_partials".into(),
        parts: vec![PRELUDE, TREE_SUM, part!("norm_partials")],
        constants: vec![],
        dims: vec![word(count), word(share), word(offset)],
        operands: vec![
            ("gradients", Operand::Arena(Arena::Gradients, chunk)),
            ("partials", Operand::Tensor(scratch)),
        ],
        workgroups: groups.max(1),
        turns: norm_turns(share),
        multiply_adds: 0,
    }
}

/// Adds the `n` numbers of all [`norm_partials`] up: `out` = Σ g² over all parameters.
pub fn norm_total(scratch: Tensor, n: usize, out: Tensor) -> Launch {
    let sum = loss::sum_partials(scratch, n, Destination::tensor(out));
    Launch { name: "norm_total".into(), ..sum }
}
