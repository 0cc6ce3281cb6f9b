//! How many barriers an order of dispatches needs.
//!
//! A barrier stands before a dispatch that touches what one since the last barrier wrote, or writes
//! what one since then read; it holds back everything after it.

use std::collections::HashSet;

use super::{Dispatch, Plan};
use crate::kernel::{Arena, Operand};

/// Barriers of one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barriers {
    /// In the plan's order, by level.
    pub by_level: usize,
    /// In the order in which the graph lists its operations.
    pub naive: usize,
}

/// Something that dispatches share.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Resource {
    Tensor(usize),
    Arena(Arena, usize),
}

impl Plan {
    /// The barriers that a step needs in the plan's order, and in a naive one. Counted from what
    /// dispatches read and write; memory that tensors share may add some.
    pub fn barriers(&self) -> Barriers {
        let mut naive: Vec<&Dispatch> = self.dispatches.iter().collect();
        naive.sort_by_key(|dispatch| dispatch.position);
        Barriers { by_level: count(self.dispatches.iter()), naive: count(naive.into_iter()) }
    }
}

fn count<'a>(order: impl Iterator<Item = &'a Dispatch>) -> usize {
    let (mut read, mut written) = (HashSet::new(), HashSet::new());
    let mut barriers = 0;
    for dispatch in order {
        let (reads, writes) = resources(dispatch);
        let waits = reads.iter().any(|r| written.contains(r))
            || writes.iter().any(|r| written.contains(r) || read.contains(r));
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

fn resources(dispatch: &Dispatch) -> (Vec<Resource>, Vec<Resource>) {
    let tensors = |list: &[crate::graph::Tensor]| -> Vec<Resource> {
        list.iter().map(|tensor| Resource::Tensor(tensor.index())).collect()
    };
    let (mut reads, mut writes) = (tensors(&dispatch.reads), tensors(&dispatch.writes));
    for (_, operand) in &dispatch.launch.operands {
        match *operand {
            Operand::Arena(Arena::Gradients, chunk) => {
                reads.push(Resource::Arena(Arena::Gradients, chunk));
            }
            Operand::Arena(arena, chunk) => writes.push(Resource::Arena(arena, chunk)),
            Operand::Tensor(_) | Operand::Results | Operand::Status => {}
        }
    }
    (reads, writes)
}
