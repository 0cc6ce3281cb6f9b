//! How many barriers an order of dispatches needs.
//!
//! A barrier stands before a dispatch that touches a buffer which one since the last barrier wrote, or
//! writes a buffer which one since then read; it holds back everything after it. wgpu looks at whole
//! buffers, so that two dispatches that write different gradients of one arena are kept apart too.

use std::collections::HashSet;

use super::{Dispatch, Place, Plan};
use crate::graph::Tensor;
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
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Shared {
    Slot(usize),
    Input(usize),
    Arena(Arena, usize),
    Results,
    Status,
}

impl Plan {
    /// The barriers that a step needs.
    pub fn barriers(&self) -> Barriers {
        let mut naive: Vec<&Dispatch> = self.dispatches.iter().collect();
        naive.sort_by_key(|dispatch| dispatch.position);
        Barriers {
            by_level: self.count(self.dispatches.iter()),
            naive: self.count(naive.into_iter()),
            one_at_a_time: self.dispatches.len().saturating_sub(1),
        }
    }

    fn count<'a>(&self, order: impl Iterator<Item = &'a Dispatch>) -> usize {
        let (mut read, mut written) = (HashSet::new(), HashSet::new());
        let mut barriers = 0;
        for dispatch in order {
            let (reads, writes) = self.touched(dispatch);
            let waits = reads.iter().any(|r| written.contains(r))
                || writes.iter().any(|w| written.contains(w) || read.contains(w));
            if waits {
                barriers += 1;
                read.clear();
                written.clear();
            }
            read.extend(reads);
            written.extend(writes);
        }
        barriers
    }

    /// Buffers that a dispatch reads, and those that it writes.
    fn touched(&self, dispatch: &Dispatch) -> (Vec<Shared>, Vec<Shared>) {
        let buffers = |tensors: &[Tensor]| -> Vec<Shared> {
            tensors.iter().filter_map(|&tensor| self.buffer(tensor)).collect()
        };
        let (mut reads, mut writes) = (buffers(&dispatch.reads), buffers(&dispatch.writes));
        for (_, operand) in &dispatch.launch.operands {
            match *operand {
                Operand::Arena(Arena::Gradients, chunk) => {
                    reads.push(Shared::Arena(Arena::Gradients, chunk));
                }
                Operand::Arena(arena, chunk) => writes.push(Shared::Arena(arena, chunk)),
                Operand::Results => writes.push(Shared::Results),
                Operand::Status => writes.push(Shared::Status),
                Operand::Tensor(_) => {}
            }
        }
        (reads, writes)
    }

    fn buffer(&self, tensor: Tensor) -> Option<Shared> {
        let chunk = |number: usize| self.arena().entries.get(number).map(|entry| entry.chunk);
        match self.place(tensor) {
            Place::Slot(slot) => Some(Shared::Slot(slot)),
            Place::Input(number) => Some(Shared::Input(number)),
            Place::Parameter(number) => Some(Shared::Arena(Arena::Values, chunk(number)?)),
            Place::Gradient(number) => Some(Shared::Arena(Arena::Gradients, chunk(number)?)),
            Place::Constant(_) | Place::Result(_) | Place::Nowhere => None,
        }
    }
}
