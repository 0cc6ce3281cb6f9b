//! Orders dispatches by dependency level.
//!
//! WebGPU puts a barrier before a dispatch that touches what an earlier one wrote, and a barrier
//! holds back everything after it. So dispatches that do not depend on each other stand together:
//! the weight gradient of a layer beside its input gradient.

use std::collections::VecDeque;

use super::Dispatch;
use super::lower::Work;
use super::within::Within;
use crate::Error;
use crate::graph::{Pass, Tensor};
use crate::kernel::reflect::{self, Access};
use crate::kernel::{Arena, Launch, Operand};

/// Kahn's algorithm. The level of a dispatch is the longest chain before it; dispatches of one
/// level keep the order in which they were lowered.
pub(super) fn order(
    work: Vec<Work>,
    roots: &[Tensor],
    within: &Within,
    gradients: &[(usize, Tensor)],
) -> Result<Vec<Dispatch>, Error> {
    let mut dispatches: Vec<Dispatch> =
        work.into_iter().map(|work| dispatch(work, roots)).collect();
    for (position, dispatch) in dispatches.iter_mut().enumerate() {
        dispatch.position = position;
    }
    let before = dependencies(&dispatches, roots.len(), within, gradients);
    put_forward(&mut dispatches, &before);
    let mut after: Vec<Vec<usize>> = vec![Vec::new(); dispatches.len()];
    let mut waiting: Vec<usize> = before.iter().map(Vec::len).collect();
    for (index, earlier) in before.iter().enumerate() {
        for &other in earlier {
            after[other].push(index);
        }
    }
    let mut ready: VecDeque<usize> = (0..dispatches.len()).filter(|&i| waiting[i] == 0).collect();
    let mut done = 0;
    while let Some(index) = ready.pop_front() {
        done += 1;
        for &next in &after[index] {
            dispatches[next].level = dispatches[next].level.max(dispatches[index].level + 1);
            waiting[next] -= 1;
            if waiting[next] == 0 {
                ready.push_back(next);
            }
        }
    }
    if done < dispatches.len() {
        return Err(Error::bug("the dispatches of a plan depend on each other in a circle"));
    }
    // By keys apart: code that sorts whole dispatches is large, and pages download it.
    dispatches.sort_by_cached_key(|dispatch| dispatch.level);
    Ok(dispatches)
}

/// A forward pass may hold gradients, those of a layer that computes with the slope of a function. What it reads
/// belongs to it.
fn put_forward(dispatches: &mut [Dispatch], before: &[Vec<usize>]) {
    let is_forward = |dispatch: &Dispatch| dispatch.pass == Pass::Forward;
    let mut reached: Vec<usize> =
        (0..dispatches.len()).filter(|&i| is_forward(&dispatches[i])).collect();
    while let Some(index) = reached.pop() {
        for &other in &before[index] {
            if !is_forward(&dispatches[other]) {
                dispatches[other].pass = Pass::Forward;
                reached.push(other);
            }
        }
    }
}

/// Moves the backward pass behind the forward pass.
pub(super) fn split_passes(dispatches: &mut [Dispatch]) {
    let forward = dispatches.iter().filter(|d| d.pass == Pass::Forward).map(|d| d.level + 1).max();
    for dispatch in dispatches.iter_mut().filter(|d| d.pass != Pass::Forward) {
        dispatch.level += forward.unwrap_or(0);
    }
    dispatches.sort_by_cached_key(|dispatch| dispatch.level);
}

/// For each dispatch, those that must come before it, each once.
fn dependencies(
    dispatches: &[Dispatch],
    tensors: usize,
    within: &Within,
    gradients: &[(usize, Tensor)],
) -> Vec<Vec<usize>> {
    // Scratch may have several writers, each of a part of its own.
    let mut writers_of: Vec<Vec<usize>> = vec![Vec::new(); tensors];
    for (index, dispatch) in dispatches.iter().enumerate() {
        for tensor in &dispatch.writes {
            writers_of[within.whole(*tensor).0.index()].push(index);
        }
    }
    let gradient_writers: Vec<usize> =
        gradients.iter().flat_map(|(_, t)| writers_of[t.index()].iter().copied()).collect();
    let moves_parameters = |d: &Dispatch| touches(&d.launch, Arena::Values);
    let all_others: Vec<usize> =
        (0..dispatches.len()).filter(|&i| !moves_parameters(&dispatches[i])).collect();
    let is_update = |d: &Dispatch| moves_parameters(d) && touches(&d.launch, Arena::Gradients);
    let updates: Vec<usize> =
        (0..dispatches.len()).filter(|&i| is_update(&dispatches[i])).collect();
    dispatches
        .iter()
        .map(|dispatch| {
            let mut before: Vec<usize> =
                dispatch.reads.iter().flat_map(|t| writers_of[t.index()].iter().copied()).collect();
            if touches(&dispatch.launch, Arena::Gradients) {
                before.extend(&gradient_writers);
            }
            // Parameters move when everything that reads them is done.
            if moves_parameters(dispatch) {
                before.extend(&all_others);
                // What is assigned takes its value after the update, whose weight decay would change it.
                if !touches(&dispatch.launch, Arena::Gradients) {
                    before.extend(&updates);
                }
            }
            before.sort_unstable();
            before.dedup();
            before
        })
        .collect()
}

fn touches(launch: &Launch, arena: Arena) -> bool {
    launch
        .operands
        .iter()
        .any(|(_, operand)| matches!(operand, Operand::Arena(a, _) if *a == arena))
}

/// Sorts the tensors of a launch into those it reads and those it writes, as its WGSL declares them.
fn dispatch(work: Work, roots: &[Tensor]) -> Dispatch {
    let bindings = reflect::bindings(&work.launch.parts);
    let (mut reads, mut writes) = (Vec::new(), Vec::new());
    for (name, operand) in &work.launch.operands {
        let Operand::Tensor(tensor) = *operand else { continue };
        let root = roots.get(tensor.index()).copied().unwrap_or(tensor);
        let written = bindings.iter().any(|b| b.name == *name && b.access == Access::ReadWrite);
        if written { writes.push(root) } else { reads.push(root) }
    }
    let Work { launch, pass, missed } = work;
    Dispatch { launch, pass, level: 0, position: 0, reads, writes, missed }
}
