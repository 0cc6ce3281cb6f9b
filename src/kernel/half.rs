//! Operands in 16 bits (`shared/f16.wgsl`): which kernels can have one so, and how. Only the files by which a kernel
//! reads and writes memory are exchanged: all arithmetic is in 32 bits.

use super::{Launch, Part, matmul, part, rows};
use crate::{Error, Result};

pub(super) const F16: &Part = part!("shared/f16");

/// How an operand lies in memory in 16 bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stored {
    /// What its numbers were multiplied by: a power of two, so that nothing is lost by it.
    pub scale: f32,
    /// Where it begins in the buffer that is bound, in pieces of four numbers.
    pub first: u32,
}

/// A binding that may be in 16 bits, with the names of its constants.
struct Binding {
    name: &'static str,
    /// What numbers are multiplied by on the way between memory and arithmetic.
    factor: &'static str,
    /// Where the operand begins, if that need not be where the binding does.
    first: Option<&'static str>,
    is_written: bool,
}

const BINDINGS: [Binding; 7] = [
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
];

fn binding_of(name: &str) -> Option<&'static Binding> {
    BINDINGS.iter().find(|binding| binding.name == name)
}

/// The part of `launch` that reads or writes `binding`, and those that do the same in 16 bits, if there are such.
fn exchanged(launch: &Launch, binding: &str) -> Option<(&'static Part, Vec<&'static Part>)> {
    launch.parts.iter().find_map(|part| {
        let others = matmul::in_half(&launch.parts, binding, part)
            .or_else(|| rows::in_half(&launch.parts, binding, part))?;
        Some((*part, others))
    })
}

/// Whether the operand of `launch` under `binding` can be in 16 bits: if it is read or written four neighbours at a
/// time.
pub fn can_store(launch: &Launch, binding: &str) -> bool {
    binding_of(binding).is_some() && exchanged(launch, binding).is_some()
}

/// The same of an operand that may begin anywhere in the buffer that is bound.
pub fn can_store_within(launch: &Launch, binding: &str) -> bool {
    binding_of(binding).is_some_and(|of| of.first.is_some()) && can_store(launch, binding)
}

/// Makes `launch` read or write the operand under `binding` in 16 bits.
///
/// # Errors
/// [`Error::Bug`] if it [cannot](can_store), or not [there](can_store_within).
pub fn store(launch: &mut Launch, binding: &str, stored: Stored) -> Result<()> {
    if matches!(binding, "out" | "saved") {
        matmul::by_fours(&mut launch.parts);
    }
    let found = binding_of(binding).zip(exchanged(launch, binding));
    let found = found.filter(|(of, _)| stored.first == 0 || of.first.is_some());
    let Some((of, (part, others))) = found else {
        let what = format!("{}: '{binding}' cannot be {stored:?}", launch.name);
        return Err(Error::bug(what));
    };
    let new = others.into_iter().filter(|other| !launch.parts.contains(other));
    let new: Vec<&'static Part> = new.collect();
    let at = launch.parts.iter().position(|other| *other == part).unwrap_or_default();
    launch.parts.splice(at..=at, new);
    if !launch.parts.contains(&F16) {
        // The prelude comes first.
        launch.parts.insert(1, F16);
    }
    let factor = if of.is_written { stored.scale } else { stored.scale.recip() };
    launch.constants.push((of.factor, factor.into()));
    launch.constants.extend(of.first.map(|first| (first, stored.first.into())));
    Ok(())
}
