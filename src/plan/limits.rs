//! How long a kernel's loops may run.

use crate::Error;
use crate::graph::TensorInfo;
use crate::kernel::{Launch, Operand};

/// Turns that all loops of an invocation may take together in one dispatch.
///
/// Mesa's software driver ends all loops after 65,535, without an error: what they should have added up
/// is missing. (Measured with 22.3: a column of 1,681,663 ones, 65,700 turns, came to 419,432. Later sources
/// have the same number. SwiftShader added that column up.) A tenth is left for what a compiler may
/// add. Plans keep to it on every device, so that all come to the same sums.
pub const MOST_TURNS: u64 = 60_000;

/// Refuses a launch whose loops take more than `allowed` turns: a software driver would cut them short.
///
/// # Errors
/// [`Error::Limit`].
pub(super) fn check(launch: &Launch, tensors: &[TensorInfo], allowed: u64) -> Result<(), Error> {
    let needed = launch.turns.most();
    if needed <= allowed {
        return Ok(());
    }
    let of = launch.operands.iter().find_map(|(_, operand)| match operand {
        Operand::Tensor(tensor) => tensors.get(tensor.index()),
        _ => None,
    });
    let of = of.map(|info| format!(" of '{}' ({})", info.name, info.shape)).unwrap_or_default();
    Err(Error::Limit {
        what: format!("{}{of}", launch.name),
        needed,
        unit: "turns of its loops",
        limit: "the most that every driver runs",
        allowed,
        remedy: "make the axis that it runs along shorter, or reshape it to several and take one \
                 after another"
            .into(),
    })
}
