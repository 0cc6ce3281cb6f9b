//! Scratch tensors that lie in another one, so that a dispatch can bind all of them at once.

use crate::graph::Tensor;

/// For some tensors, the one that they lie in and at which byte of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Within(Vec<(usize, Tensor, u64)>);

impl Within {
    /// `tensor` lies in `whole`, from byte `offset` on.
    pub(super) fn put(&mut self, tensor: Tensor, whole: Tensor, offset: u64) {
        self.0.push((tensor.index(), whole, offset));
    }

    /// The tensor that has a place of its own, in which `tensor` lies, and at which byte.
    pub(crate) fn whole(&self, tensor: Tensor) -> (Tensor, u64) {
        let found = self.0.iter().find(|(index, ..)| *index == tensor.index());
        found.map_or((tensor, 0), |&(_, whole, offset)| (whole, offset))
    }

    /// The tensors that lie in others, by their index, and the others.
    pub(super) fn all(&self) -> impl Iterator<Item = (usize, Tensor)> {
        self.0.iter().map(|&(index, whole, _)| (index, whole))
    }
}
