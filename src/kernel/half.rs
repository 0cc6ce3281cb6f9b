//! Operands that are stored in 16 bits (`shared/f16.wgsl`): which kernels can have one so, and how. Only the files by
//! which a kernel reads and writes memory are exchanged: all arithmetic is in 32 bits.

use super::{Launch, Part, matmul, part, rows};

pub(super) const F16: &Part = part!("shared/f16");

/// An operand in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    /// What its numbers were multiplied by: a power of two, so that nothing is lost by it.
    pub scale: f32,
    /// Where it begins in what is bound, in pieces of four numbers.
    pub first: u32,
}

/// The constants of a binding that may be in 16 bits.
struct Binding {
    name: &'static str,
    /// What its numbers are multiplied by on the way between memory and arithmetic.
    factor: &'static str,
    /// Where it begins, if it need not be at the beginning.
    first: Option<&'static str>,
    is_written: bool,
}

const BINDINGS: [Binding; 8] = [
    Binding { name: "a", factor: "A_FACTOR", first: Some("A_FIRST"), is_written: false },
    Binding { name: "b", factor: "B_FACTOR", first: Some("B_FIRST"), is_written: false },
    Binding {
        name: "second_a",
        factor: "SECOND_A_FACTOR",
        first: Some("SECOND_A_FIRST"),
        is_written: false,
    },
    Binding {
        name: "second_b",
        factor: "SECOND_B_FACTOR",
        first: Some("SECOND_B_FIRST"),
        is_written: false,
    },
    Binding { name: "saved", factor: "SAVED_FACTOR", first: None, is_written: false },
    Binding { name: "out", factor: "OUT_FACTOR", first: None, is_written: true },
    Binding { name: "x_out", factor: "X_OUT_FACTOR", first: None, is_written: true },
    Binding { name: "t_out", factor: "T_OUT_FACTOR", first: None, is_written: true },
];

/// The part in whose place others come, and those, if what is bound there can be stored in 16 bits.
fn exchanged(launch: &Launch, binding: &str) -> Option<(&'static Part, Vec<&'static Part>)> {
    let exchange = |part: &'static Part| {
        let others = matmul::in_half(&launch.parts, binding, part)
            .or_else(|| rows::in_half(binding, part))?;
        Some((part, others))
    };
    launch.parts.iter().find_map(|part| exchange(part))
}

/// Whether what `launch` has bound under `binding` can be stored in 16 bits: what is read and written four neighbours at
/// a time.
pub fn can_store(launch: &Launch, binding: &str) -> bool {
    BINDINGS.iter().any(|row| row.name == binding) && exchanged(launch, binding).is_some()
}

/// Has `launch` take what is bound under `binding` as it is `stored`, if it [can](can_store).
pub fn store(launch: &mut Launch, binding: &str, stored: Stored) {
    if matches!(binding, "out" | "saved") {
        matmul::by_fours(&mut launch.parts);
    }
    let row = BINDINGS.iter().find(|row| row.name == binding);
    let Some((row, (part, others))) = row.zip(exchanged(launch, binding)) else { return };
    let at = launch.parts.iter().position(|other| *other == part);
    let at = at.unwrap_or(launch.parts.len());
    let new = others.into_iter().filter(|other| !launch.parts.contains(other));
    let new: Vec<&'static Part> = new.collect();
    launch.parts.splice(at..=at, new);
    if !launch.parts.contains(&F16) {
        // The prelude comes first.
        launch.parts.insert(1, F16);
    }
    let factor = if row.is_written { stored.scale } else { stored.scale.recip() };
    launch.constants.push((row.factor, factor.into()));
    launch.constants.extend(row.first.map(|first| (first, stored.first.into())));
}
