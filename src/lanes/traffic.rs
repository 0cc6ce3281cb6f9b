//! What crosses lanes in a step, from shapes and options alone: for figures of networks that are not here.

use super::ParallelOptions;
use super::exchange::Content;
use super::lane::{buckets, parts};
use super::layout::batch_rows;
use super::schedule::{self, Schedule};
use super::tree;
use super::wire::{Coding, Wire};
use crate::nn::Sequential;
use crate::plan::Target;
use crate::train::TrainingConfig;
use crate::train::task::Task;
use crate::{Error, Result};

/// A message of a training step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepMessage {
    /// The lane that sends it.
    pub from: usize,
    /// The lane that it is for.
    pub to: usize,
    /// What it holds; of sums and totals which bucket. In a [`World`](super::World) of `r` replicas each bucket
    /// is cut into `r` parts, and those of the `n`th bucket have the numbers `n × r` to `n × r + r − 1`.
    pub content: Content,
    /// Its length.
    pub bytes: u64,
}

/// The messages of a step on a full batch of `model`, over `lanes` lanes on devices like `target`: those of each
/// lane one after another, in the order in which it sends them, from the first lane to the last. Nothing is run,
/// and no device is needed. Where [`ParallelOptions::world`] is given they are those between processes, whose
/// lanes are then the world's.
///
/// # Errors
/// Those of [`Parallel::new`](super::Parallel::new) that model and options alone can have.
pub fn step_messages(
    model: &Sequential,
    config: &TrainingConfig,
    options: &ParallelOptions,
    lanes: usize,
    target: &Target,
) -> Result<Vec<StepMessage>> {
    let own = options.world.as_ref().map_or(lanes, |world| world.own().len());
    options.check(options.batch, own)?;
    let task = Task::new(model.clone(), config.clone())?;
    let grid = options.grid(lanes);
    let sizes = match &options.schedule {
        Schedule::Pipeline { stages } | Schedule::Replicated { stages, .. }
            if !stages.is_empty() =>
        {
            stages.clone()
        }
        _ => schedule::cut(&task.costs(), grid.stages)?,
    };
    let weights = match &options.schedule {
        Schedule::DataParallel { shares } if !shares.is_empty() => shares.clone(),
        _ => vec![1; grid.replicas],
    };
    let stages = task.stages(&sizes)?;
    let has_owners = grid.replicas > 1 && options.world.is_some();
    let rows = batch_rows(options.batch, options.batch, 0).len();
    let micro_batches = schedule::micro_batches(rows, options.micro_batches);
    let shares = schedule::shares(micro_batches.len(), &weights);
    let scalar_bytes = 4 * task.scalars() as u64;
    let of_stages = stages.iter().map(|stage| {
        let (plan, _) = task.update_plan(stage, target, &[])?;
        let count = options.buckets.clamp(1, task.parameter_count().max(1));
        let all = buckets(plan.arena(), count, scalar_bytes);
        let all = match has_owners {
            true => parts(&all, grid.replicas, u64::from(target.alignment)),
            false => all,
        };
        let scalars = plan.arena().chunks.len();
        let coding = all.iter().map(|pieces| {
            let bytes = |exact: bool| {
                let pieces = pieces.iter().filter(|piece| !exact || piece.chunk == scalars);
                pieces.map(|piece| piece.bytes).sum()
            };
            Coding { blocks: 1, bytes: bytes(false), exact: bytes(true) }
        });
        let on_wire = |coding: Coding| match options.wire {
            Wire::F16 if coding.bytes > 0 => coding.coded_bytes(),
            _ => coding.bytes,
        };
        Ok(coding.map(on_wire).collect::<Vec<u64>>())
    });
    let of_stages = of_stages.collect::<Result<Vec<_>>>()?;
    let mut all = Vec::new();
    for from in 0..grid.replicas.saturating_mul(grid.stages) {
        let (replica, number) = grid.place(from);
        let (Some(share), Some(bytes), Some(stage)) =
            (shares.get(replica), of_stages.get(number), stages.get(number))
        else {
            return Err(Error::bug("a lane without a share of the step"));
        };
        let rows_of = |m: usize| micro_batches.get(m).map_or(0, std::ops::Range::len);
        for instruction in schedule::program(number, grid.stages, share.clone()) {
            use schedule::Instruction as Do;
            let (to, content, bytes) = match instruction {
                Do::Forward(m) if !stage.last => {
                    let next = stages.get(number + 1);
                    let next = next.ok_or_else(|| Error::bug("a stage without the next"))?;
                    let bytes = task.input_bytes(next, rows_of(m))?;
                    (from + 1, Content::Activations(m), bytes)
                }
                Do::Backward(m) if !stage.first => {
                    let bytes = task.input_bytes(stage, rows_of(m))? + scalar_bytes;
                    (from.saturating_sub(1), Content::Gradients(m), bytes)
                }
                _ => continue,
            };
            all.push(StepMessage { from, to, content, bytes });
        }
        let others = (0..grid.replicas).filter(|&other| other != replica);
        let others: Vec<usize> = others.map(|other| grid.lane(other, number)).collect();
        let blocks = tree::blocks(share.clone()).len() as u64;
        let owner = |part: usize| grid.lane(part % grid.replicas.max(1), number);
        for (part, &bytes) in bytes.iter().enumerate() {
            let to = others.iter().filter(|&&to| !has_owners || to == owner(part));
            if grid.replicas > 1 && bytes * blocks > 0 {
                all.extend(to.map(|&to| {
                    let content = Content::Sums(part);
                    StepMessage { from, to, content, bytes: bytes * blocks }
                }));
            }
        }
        for (part, &bytes) in bytes.iter().enumerate() {
            if has_owners && owner(part) == from && bytes > 0 {
                let content = Content::Totals(part);
                all.extend(others.iter().map(|&to| StepMessage { from, to, content, bytes }));
            }
        }
    }
    Ok(all)
}
