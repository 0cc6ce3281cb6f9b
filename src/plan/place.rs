//! Gives every tensor that a dispatch touches its place.

use super::lower::Lowered;
use super::memory::{self, Life};
use super::{Dispatch, MemoryPlan, Place, PlanOptions, Target, check_size};
use crate::Error;
use crate::graph::{Role, Tensor};

pub(super) struct Placed {
    pub(super) places: Vec<Place>,
    pub(super) inputs: Vec<Tensor>,
    pub(super) constants: Vec<(Tensor, f32)>,
    pub(super) memory: MemoryPlan,
}

/// The places of what `lowered` has.
pub(super) fn place(
    dispatches: &[Dispatch],
    options: &PlanOptions,
    lowered: &Lowered,
    target: &Target,
) -> Result<Placed, Error> {
    let Lowered { tensors, roots, within, gradients, copies, .. } = lowered;
    let mut placed = Placed {
        places: vec![Place::Nowhere; tensors.len()],
        inputs: Vec::new(),
        constants: Vec::new(),
        memory: MemoryPlan::default(),
    };
    let root = |tensor: Tensor| {
        let (whole, _) = within.whole(tensor);
        roots.get(whole.index()).copied().unwrap_or(whole)
    };
    for &(parameter, gradient) in gradients {
        set(&mut placed.places, gradient.index(), Place::Gradient(parameter));
    }
    for &(parameter, copy) in copies {
        set(&mut placed.places, copy.index(), Place::Copy(parameter));
    }
    for (column, &result) in options.results.iter().enumerate() {
        // A result that no dispatch writes as a tensor is written to the table directly.
        if !dispatches.iter().any(|d| d.writes.contains(&result)) {
            set(&mut placed.places, result.index(), Place::Result(column));
        }
    }
    for (index, info) in tensors.iter().enumerate() {
        // Parameters lie in the arena whether or not this plan reads them.
        if let Role::Parameter(number) = info.role {
            set(&mut placed.places, index, Place::Parameter(number));
        }
    }
    let mut lives: Vec<Life> = Vec::new();
    let mut life_of: Vec<Option<usize>> = vec![None; tensors.len()];
    let touched =
        dispatches.iter().flat_map(|d| d.reads.iter().chain(&d.writes).map(|&t| (d.level, t)));
    let kept = options.outputs.iter().map(|&t| (usize::MAX, t));
    for (level, tensor) in touched.chain(kept) {
        let tensor = root(tensor);
        let (Some(info), Some(&place), Some(&known)) = (
            tensors.get(tensor.index()),
            placed.places.get(tensor.index()),
            life_of.get(tensor.index()),
        ) else {
            continue;
        };
        if place != Place::Nowhere {
            continue;
        }
        let bytes = info.bytes();
        check_size(&info.name, bytes, target)?;
        match (info.role, known.and_then(|life| lives.get_mut(life))) {
            (Role::Input, _) => {
                set(&mut placed.places, tensor.index(), Place::Input(placed.inputs.len()));
                placed.inputs.push(tensor);
            }
            (Role::Constant(value), _) => {
                set(&mut placed.places, tensor.index(), Place::Constant(placed.constants.len()));
                placed.constants.push((tensor, value));
            }
            // Placed above.
            (Role::Parameter(_), _) => {}
            (Role::Computed, Some(life)) => {
                life.birth = life.birth.min(level);
                life.death = life.death.max(level);
            }
            (Role::Computed, None) => {
                if let Some(entry) = life_of.get_mut(tensor.index()) {
                    *entry = Some(lives.len());
                }
                lives.push(Life { tensor, bytes, birth: level, death: level });
            }
        }
    }
    let (memory, slots) = memory::assign(&lives, options.reuse_memory);
    for (life, slot) in lives.iter().zip(slots) {
        set(&mut placed.places, life.tensor.index(), Place::Slot(slot));
    }
    placed.memory = memory;
    for (index, whole) in within.all() {
        let of_whole = placed.places.get(whole.index()).copied();
        set(&mut placed.places, index, of_whole.unwrap_or(Place::Nowhere));
    }
    for (index, root) in roots.iter().enumerate() {
        let of_root = placed.places.get(root.index()).copied();
        set(&mut placed.places, index, of_root.unwrap_or(Place::Nowhere));
    }
    Ok(placed)
}

fn set(places: &mut [Place], index: usize, place: Place) {
    if let Some(entry) = places.get_mut(index) {
        *entry = place;
    }
}
