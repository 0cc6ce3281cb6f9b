//! Handles on tensors, and who gave them.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

/// A handle on a tensor of one [`Graph`](super::Graph). Every other graph refuses it, also one that
/// was built alike. A clone of a graph takes the handles of what the two have in common.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tensor {
    index: usize,
    /// The issuer that gave it, so that no two tensors of a process have equal handles.
    issuer: u64,
}

impl Tensor {
    /// Position in the graph's list of tensors.
    pub fn index(self) -> usize {
        self.index
    }
}

/// Shows the position alone: what is built alike is shown alike.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tensor").field(&self.index).finish()
    }
}

/// Gives out handles. A clone gives out others, so of what two clones of a graph add from then on,
/// neither takes the other's.
pub(crate) struct Issuer(u64);

impl Issuer {
    /// The handle on the tensor at position `index`; asked for once per position.
    pub(crate) fn handle(&self, index: usize) -> Tensor {
        Tensor { index, issuer: self.0 }
    }
}

impl Default for Issuer {
    fn default() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl Clone for Issuer {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Issuer")
    }
}
