//! What lanes hold, and how many barriers a step needs.

use std::ops::Range;

use super::commands::{Command, StepCommands, StepOptions, Transfer};
use super::lane::{Lane, MicroBatch, Slot};
use super::work::{Job, Work};
use super::{LaneMemory, Parallel, RowsRead};
use crate::Result;
use crate::gpu::Buffer;
use crate::graph::Tensor;
use crate::kernel::Arena;
use crate::plan::{Barriers, Count, Order, Plan, SharedBuffer};

impl Parallel {
    /// What each lane holds on its device.
    pub fn memory(&self) -> Vec<LaneMemory> {
        self.lanes.iter().map(Lane::memory).collect()
    }

    /// What this process read of a source for its lanes. In a [`World`](super::World) these are the rows of its own
    /// lanes alone. Nothing of a data set, which is in memory, or if no lane needs rows.
    pub fn rows_read(&self) -> Option<RowsRead> {
        let tally = self.lanes.iter().find_map(|lane| lane.feed.as_ref()?.tally())?;
        Some(RowsRead { rows: tally.rows_read(), most_bytes: tally.most_bytes() })
    }

    /// The barriers that each lane needs for a step of a full batch: for the passes of all its
    /// micro-batches, the sums of gradients and the update, with the copies between them, in the order
    /// in which they are submitted; and in an order that takes each pass's operations as the graph
    /// lists them. [`Plan::barriers`](crate::plan::Plan::barriers) says what counts as one.
    ///
    /// # Errors
    /// As for [`Parallel::commands`].
    pub fn barriers(&self) -> Result<Vec<Barriers>> {
        let barriers = |(lane, commands): (&Lane, StepCommands)| -> Result<Barriers> {
            let by_level = count(lane, &commands, Order::ByLevel)?;
            Ok(Barriers {
                by_level: by_level.barriers,
                naive: count(lane, &commands, Order::Naive)?.barriers,
                one_at_a_time: by_level.operations.saturating_sub(1),
            })
        };
        self.lanes.iter().zip(self.commands()?).map(barriers).collect()
    }

    /// What each lane does in a step of a full batch that is not recorded, with the state brought back
    /// by the lanes that have it.
    ///
    /// # Errors
    /// [`Error::Bug`](crate::Error::Bug) only.
    pub fn commands(&self) -> Result<Vec<StepCommands>> {
        self.commands_of(&Work::new(self).job(0, 0, None))
    }

    /// What each lane does for `job`, if it is not recorded.
    pub(super) fn commands_of(&self, job: &Job) -> Result<Vec<StepCommands>> {
        let commands = |lane: &Lane| {
            let state = lane.role.keeps_state;
            StepCommands::new(lane, job, StepOptions { passes_apart: false, state })
        };
        self.lanes.iter().map(commands).collect()
    }
}

/// A buffer of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum LaneBuffer {
    /// Of the executor of a micro-batch in flight.
    Own(usize, SharedBuffer),
    Arena(Arena, usize),
    Status,
    Scalars,
    /// A chunk of a block of the sums.
    Block(usize, usize),
}

/// Counts along the commands of a step of `lane`, in their order.
fn count(lane: &Lane, commands: &StepCommands, order: Order) -> Result<Count<LaneBuffer>> {
    let mut count = Count::default();
    for command in commands.list() {
        match command {
            Command::Forward { at, dispatches, .. } | Command::Backward { at, dispatches } => {
                let place = |&buffer: &SharedBuffer| place(number(*at), buffer);
                let plan = lane.slot(*at)?.executor.plan();
                dispatched(&mut count, plan, dispatches.clone(), order, place);
            }
            Command::Update { dispatches } => {
                // The update's one input is the batch's loss.
                let place = |&buffer: &SharedBuffer| match buffer {
                    SharedBuffer::Input(_) => LaneBuffer::Scalars,
                    other => place(usize::MAX, other),
                };
                dispatched(&mut count, lane.update.plan(), 0..*dispatches, order, place);
            }
            Command::CopyScalars(at) => {
                let slot = lane.slot(*at)?;
                for &scalar in &slot.scalars {
                    let from = buffer_of(slot, *at, Some(scalar));
                    count.next(from.as_slice(), &[LaneBuffer::Scalars]);
                }
            }
            Command::Add { block, buckets, .. } => {
                for (sum, chunk) in pieces(lane, buckets.clone()) {
                    count.next(&[LaneBuffer::Block(*block, chunk)], &[sum]);
                }
            }
            Command::Store { block, buckets } => {
                for (sum, chunk) in pieces(lane, buckets.clone()) {
                    count.next(&[sum], &[LaneBuffer::Block(*block, chunk)]);
                }
            }
            Command::Load { block, buckets } => {
                for (sum, chunk) in pieces(lane, buckets.clone()) {
                    count.next(&[LaneBuffer::Block(*block, chunk)], &[sum]);
                }
            }
            Command::Stage(transfer) => staged(&mut count, lane, transfer)?,
            Command::Report { state } => {
                count.next(&[LaneBuffer::Status], &[]);
                count.next(&[LaneBuffer::Scalars], &[]);
                let kept = if *state { lane.kept_arenas() } else { Vec::new() };
                for (arena, chunk, _) in kept {
                    count.next(&[LaneBuffer::Arena(arena, chunk)], &[]);
                }
            }
            Command::Upload(_)
            | Command::Receive { .. }
            | Command::Send { .. }
            | Command::Submit
            | Command::ReadReport => {}
        }
    }
    Ok(count)
}

/// Copies to a staging buffer, which nothing else touches.
fn staged(count: &mut Count<LaneBuffer>, lane: &Lane, transfer: &Transfer) -> Result<()> {
    match transfer {
        Transfer::Activations(at) => {
            let slot = lane.slot(*at)?;
            count.next(buffer_of(slot, *at, slot.y).as_slice(), &[]);
        }
        Transfer::Gradients(at) => {
            let slot = lane.slot(*at)?;
            count.next(buffer_of(slot, *at, slot.dx).as_slice(), &[]);
            count.next(&[LaneBuffer::Scalars], &[]);
        }
        Transfer::Sums { bucket, blocks } => {
            for block in blocks.clone() {
                for (_, chunk) in pieces(lane, *bucket..*bucket + 1) {
                    count.next(&[LaneBuffer::Block(block, chunk)], &[]);
                }
            }
        }
        Transfer::Totals { bucket } => {
            for (sum, _) in pieces(lane, *bucket..*bucket + 1) {
                count.next(&[sum], &[]);
            }
        }
    }
    Ok(())
}

fn dispatched(
    count: &mut Count<LaneBuffer>,
    plan: &Plan,
    dispatches: Range<usize>,
    order: Order,
    place: impl Fn(&SharedBuffer) -> LaneBuffer,
) {
    plan.footprints(dispatches, order, |reads, writes| {
        let places = |buffers: &[SharedBuffer]| buffers.iter().map(&place).collect::<Vec<_>>();
        count.next(&places(reads), &places(writes));
    });
}

/// The buffer of a tensor of a micro-batch.
fn buffer_of(slot: &Slot, at: MicroBatch, tensor: Option<Tensor>) -> Option<LaneBuffer> {
    let buffer = slot.executor.plan().buffer(tensor?)?;
    Some(place(number(at), buffer))
}

/// For each piece of the sums: the buffer of the sum at hand, and the number of its chunk.
fn pieces(lane: &Lane, buckets: Range<usize>) -> impl Iterator<Item = (LaneBuffer, usize)> {
    let chunks = lane.parameters.layout().chunks.len();
    lane.sum.chunks(buckets).map(move |chunk| match chunk == chunks {
        true => (LaneBuffer::Scalars, chunk),
        false => (LaneBuffer::Arena(Arena::Gradients, chunk), chunk),
    })
}

/// The number of a micro-batch's executor.
fn number(at: MicroBatch) -> usize {
    at.size << 16 | at.slot
}

fn place(number: usize, buffer: SharedBuffer) -> LaneBuffer {
    match buffer {
        SharedBuffer::Arena(arena, chunk) => LaneBuffer::Arena(arena, chunk),
        SharedBuffer::Status => LaneBuffer::Status,
        other => LaneBuffer::Own(number, other),
    }
}

impl Lane {
    fn memory(&self) -> LaneMemory {
        let slots = || self.sizes.iter().flat_map(|size| &size.slots);
        let bytes = |buffers: &[Buffer]| buffers.iter().map(|buffer| buffer.size()).sum::<u64>();
        let tensors = slots().map(|slot| slot.executor.tensor_bytes());
        let tables = slots().map(|slot| slot.executor.table_bytes());
        LaneMemory {
            micro_batches_in_flight: self.role.in_flight.max(1),
            activations: tensors.sum::<u64>() + self.update.tensor_bytes(),
            sums: self.sum.bytes(),
            parameters: self.parameters.bytes(),
            data: self.feed.as_ref().map_or(0, |feed| feed.buffers.bytes()),
            tables: tables.sum::<u64>() + self.update.table_bytes(),
            staging: bytes(&self.staging),
        }
    }
}
