//! Which tensors lie in memory in 16 bits, with mixed precision.

use std::collections::BTreeMap;

use super::Lowering;
use crate::Error;
use crate::graph::{DType, Pass, Role, Shape, Tensor};
use crate::kernel::half::{self, Stored};
use crate::kernel::reflect::{self, Access};
use crate::kernel::{Launch, Operand, word};

/// What a dispatch has bound.
#[derive(Clone, Copy)]
pub(super) struct Use {
    /// The dispatch.
    pub(super) work: usize,
    binding: &'static str,
    pub(super) is_written: bool,
}

impl Lowering<'_> {
    /// Stores in 16 bits what every dispatch that reads or writes it can take so, and copies of parameters for those
    /// dispatches that can.
    ///
    /// # Errors
    /// [`Error::Bug`] if one of them cannot.
    pub(super) fn store_half(&mut self, loss_scale: f32) -> Result<(), Error> {
        let mut parameters: Vec<(usize, Vec<Use>)> = Vec::new();
        for (root, uses) in self.uses() {
            let Some(info) = self.lowered.tensors.get(root).cloned() else { continue };
            match info.role {
                Role::Computed if info.dtype == DType::F32 && self.may_round(root, &uses) => {
                    let backward = uses.iter().any(|of| {
                        let work = &self.lowered.work[of.work];
                        of.is_written && work.pass == Pass::Backward
                    });
                    let scale = if backward { loss_scale } else { 1.0 };
                    for of in uses {
                        let launch = &mut self.lowered.work[of.work].launch;
                        half::store(launch, of.binding, Stored { scale, first: 0 })?;
                    }
                    let views = self.lowered.tensors.iter_mut().zip(&self.lowered.roots);
                    for (info, _) in views.filter(|(_, of)| of.index() == root) {
                        info.dtype = DType::F16;
                    }
                }
                Role::Parameter(number) => parameters.push((number, uses)),
                Role::Computed | Role::Input | Role::Constant(_) => {}
            }
        }
        for (number, uses) in parameters {
            self.read_copy(number, &uses)?;
        }
        Ok(())
    }

    /// Which dispatches have each tensor bound, by that whose memory it shares.
    pub(super) fn uses(&self) -> BTreeMap<usize, Vec<Use>> {
        let mut all: BTreeMap<usize, Vec<Use>> = BTreeMap::new();
        for (work, of) in self.lowered.work.iter().enumerate() {
            let bindings = reflect::bindings(&of.launch.parts);
            for &(binding, operand) in &of.launch.operands {
                let Operand::Tensor(tensor) = operand else { continue };
                let is_written = bindings
                    .iter()
                    .any(|other| other.name == binding && other.access == Access::ReadWrite);
                let uses = all.entry(self.root(tensor).index()).or_default();
                uses.push(Use { work, binding, is_written });
            }
        }
        all
    }

    fn can(&self, of: &Use) -> bool {
        half::can_store(&self.lowered.work[of.work].launch, of.binding)
    }

    /// Whether a tensor that is computed may be rounded: neither the host nor the update wants it, and all that read
    /// and write it are able to.
    fn may_round(&self, root: usize, uses: &[Use]) -> bool {
        let wanted = self.kept.get(root).copied().unwrap_or(false)
            || self.lowered.gradients.iter().any(|(_, gradient)| gradient.index() == root)
            || self
                .lowered
                .within
                .all()
                .any(|(index, whole)| index == root || whole.index() == root);
        let is_read = uses.iter().any(|of| !of.is_written);
        let is_written = uses.iter().any(|of| of.is_written);
        !wanted && is_read && is_written && uses.iter().all(|of| self.can(of))
    }

    /// Gives the copy of a parameter in 16 bits to the dispatches that can read it.
    fn read_copy(&mut self, number: usize, uses: &[Use]) -> Result<(), Error> {
        let Some(entry) = self.lowered.arena.entries.get(number).cloned() else { return Ok(()) };
        let (_, beyond) = entry.copy_at(self.target.alignment);
        let first = word(beyond as usize / (4 * DType::F16.bytes()));
        let stored = Stored { scale: 1.0, first };
        let mut copy = None;
        for of in uses.iter().filter(|of| !of.is_written) {
            if !half::can_store_within(&self.lowered.work[of.work].launch, of.binding) {
                continue;
            }
            let copy = *copy.get_or_insert_with(|| self.copy_of(number, &entry.name, &entry.shape));
            let launch = &mut self.lowered.work[of.work].launch;
            half::store(launch, of.binding, stored)?;
            bind(launch, of.binding, copy);
        }
        Ok(())
    }

    /// A tensor for the copy of a parameter.
    fn copy_of(&mut self, number: usize, name: &str, shape: &Shape) -> Tensor {
        let copy = self.scratch(name, shape.clone());
        self.lowered.tensors[copy.index()].dtype = DType::F16;
        self.lowered.copies.push((number, copy));
        copy
    }
}

fn bind(launch: &mut Launch, binding: &str, tensor: Tensor) {
    for (name, operand) in &mut launch.operands {
        if *name == binding {
            *operand = Operand::Tensor(tensor);
        }
    }
}
