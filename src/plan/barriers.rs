//! How many barriers an order of dispatches needs.
//!
//! A barrier stands before a dispatch that touches a buffer which one since the last barrier wrote, or
//! writes a buffer which one since then read; it holds back everything after it. wgpu looks at whole
//! buffers, so that two dispatches that write different gradients of one arena are kept apart too.

use std::collections::HashSet;
use std::hash::Hash;
use std::ops::Range;

use super::{Dispatch, Place, Plan};
use crate::graph::Tensor;
use crate::kernel::reflect::{self, Access};
use crate::kernel::{Arena, Operand};

/// Barriers of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barriers {
    /// In the plan's order, by level.
    pub by_level: usize,
    /// In the order in which the graph lists its operations.
    pub naive: usize,
    /// One between any two dispatches: what a runner needs that does not look at what they touch.
    pub one_at_a_time: usize,
}

/// A buffer that dispatches share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SharedBuffer {
    Slot(usize),
    Input(usize),
    Arena(Arena, usize),
    Results,
    Status,
}

/// The order in which a plan's dispatches are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The plan's own.
    ByLevel,
    /// That of the graph's operations.
    Naive,
}

/// Counts barriers along an order of dispatches and copies.
#[derive(Debug)]
pub(crate) struct Count<K> {
    read: HashSet<K>,
    written: HashSet<K>,
    pub(crate) barriers: usize,
    /// Dispatches and copies so far.
    pub(crate) operations: usize,
}

impl<K> Default for Count<K> {
    fn default() -> Self {
        let (read, written) = (HashSet::new(), HashSet::new());
        Self { read, written, barriers: 0, operations: 0 }
    }
}

impl<K: Copy + Eq + Hash> Count<K> {
    /// The next dispatch or copy.
    pub(crate) fn next(&mut self, reads: &[K], writes: &[K]) {
        self.operations += 1;
        let waits = reads.iter().any(|r| self.written.contains(r))
            || writes.iter().any(|w| self.written.contains(w) || self.read.contains(w));
        if waits {
            self.barriers += 1;
            self.read.clear();
            self.written.clear();
        }
        self.read.extend(reads);
        self.written.extend(writes);
    }
}

impl Plan {
    /// The barriers that a step needs.
    pub fn barriers(&self) -> Barriers {
        let count = |order| {
            let mut count = Count::default();
            self.footprints(0..self.dispatches.len(), order, |reads, writes| {
                count.next(reads, writes);
            });
            count.barriers
        };
        Barriers {
            by_level: count(Order::ByLevel),
            naive: count(Order::Naive),
            one_at_a_time: self.dispatches.len().saturating_sub(1),
        }
    }

    /// Says of each dispatch of `range`, in this order, which buffers it reads and which it writes.
    pub(crate) fn footprints(
        &self,
        range: Range<usize>,
        order: Order,
        mut say: impl FnMut(&[SharedBuffer], &[SharedBuffer]),
    ) {
        let mut dispatches: Vec<&Dispatch> =
            self.dispatches.get(range).unwrap_or_default().iter().collect();
        if order == Order::Naive {
            dispatches.sort_by_cached_key(|dispatch| dispatch.position);
        }
        for dispatch in dispatches {
            let (reads, writes) = self.touched(dispatch);
            say(&reads, &writes);
        }
    }

    /// Buffers that a dispatch reads, and those that it writes.
    fn touched(&self, dispatch: &Dispatch) -> (Vec<SharedBuffer>, Vec<SharedBuffer>) {
        let buffers = |tensors: &[Tensor]| -> Vec<SharedBuffer> {
            tensors.iter().filter_map(|&tensor| self.buffer(tensor)).collect()
        };
        let (mut reads, mut writes) = (buffers(&dispatch.reads), buffers(&dispatch.writes));
        let bindings = reflect::bindings(&dispatch.launch.parts);
        let is_read = |name| {
            bindings.iter().any(|binding| binding.name == name && binding.access == Access::Read)
        };
        for (name, operand) in &dispatch.launch.operands {
            match *operand {
                Operand::Arena(Arena::Gradients, chunk) if is_read(*name) => {
                    reads.push(SharedBuffer::Arena(Arena::Gradients, chunk));
                }
                Operand::Arena(arena, chunk) => writes.push(SharedBuffer::Arena(arena, chunk)),
                Operand::Results => writes.push(SharedBuffer::Results),
                Operand::Status => writes.push(SharedBuffer::Status),
                Operand::Tensor(_) => {}
            }
        }
        (reads, writes)
    }

    /// The buffer that a tensor lies in.
    pub(crate) fn buffer(&self, tensor: Tensor) -> Option<SharedBuffer> {
        let chunk = |number: usize| self.arena().entries.get(number).map(|entry| entry.chunk);
        match self.place(tensor) {
            Place::Slot(slot) => Some(SharedBuffer::Slot(slot)),
            Place::Input(number) => Some(SharedBuffer::Input(number)),
            Place::Parameter(number) => Some(SharedBuffer::Arena(Arena::Values, chunk(number)?)),
            Place::Gradient(number) => Some(SharedBuffer::Arena(Arena::Gradients, chunk(number)?)),
            Place::Copy(number) => Some(SharedBuffer::Arena(Arena::Copies, chunk(number)?)),
            Place::Constant(_) | Place::Result(_) | Place::Nowhere => None,
        }
    }
}
