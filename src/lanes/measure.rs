//! What lanes hold, and how many barriers a step needs.

use std::ops::Range;

use super::lane::{Lane, Slot};
use super::schedule::{Instruction, program};
use super::tree::{self, Block, Tree};
use super::work::{Job, Work};
use super::{LaneMemory, Parallel};
use crate::gpu::Buffer;
use crate::kernel::Arena;
use crate::plan::{Barriers, Count, Order, SharedBuffer};

impl Parallel {
    /// What each lane holds on its device.
    pub fn memory(&self) -> Vec<LaneMemory> {
        self.lanes.iter().map(Lane::memory).collect()
    }

    /// The barriers that each lane needs for a step of a full batch: for the passes of all its
    /// micro-batches, the sums of gradients and the update, with the copies between them, in the order
    /// in which they are submitted; and in an order that takes each pass's operations as the graph
    /// lists them. [`Plan::barriers`](crate::plan::Plan::barriers) says what counts as one.
    pub fn barriers(&self) -> Vec<Barriers> {
        let job = Work::new(self).job(0, 0, None);
        let count = |lane: &Lane, order| {
            let stages = if self.options.schedule.is_pipeline() { self.lanes.len() } else { 1 };
            Walk::new(lane, &job, stages).count(order)
        };
        let barriers = |lane| {
            let by_level = count(lane, Order::ByLevel);
            Barriers {
                by_level: by_level.barriers,
                naive: count(lane, Order::Naive).barriers,
                one_at_a_time: by_level.operations.saturating_sub(1),
            }
        };
        self.lanes.iter().map(barriers).collect()
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

/// A walk along what [`Runner`](super::run::Runner) records in a step.
struct Walk<'a> {
    lane: &'a Lane,
    job: &'a Job,
    stages: usize,
    own: usize,
    count: Count<LaneBuffer>,
    tree: Tree,
}

impl<'a> Walk<'a> {
    fn new(lane: &'a Lane, job: &'a Job, stages: usize) -> Self {
        let own = if stages > 1 { 0 } else { lane.role.number };
        Self { lane, job, stages, own, count: Count::default(), tree: Tree::default() }
    }

    fn count(mut self, order: Order) -> Count<LaneBuffer> {
        let share = self.job.shares.get(self.own).cloned().unwrap_or(0..0);
        let stage = if self.stages > 1 { self.lane.role.number } else { 0 };
        for instruction in program(stage, self.stages, share.clone()) {
            match instruction {
                Instruction::Forward(m) => self.forward(m, m - share.start, order),
                Instruction::Backward(m) => {
                    self.backward(m, m - share.start, m + 1 == share.end, order);
                }
                Instruction::Update => self.update(order),
            }
        }
        self.count
    }

    /// The executor of a micro-batch, with its number.
    fn slot(&self, m: usize, slot: usize) -> Option<(usize, &'a Slot)> {
        let (rows, batch) = (self.job.micro_batches.get(m)?.len(), self.job.rows.len());
        let mut sizes = self.lane.sizes.iter().enumerate();
        let (number, size) = sizes.find(|(_, size)| size.is_for(rows, batch))?;
        let slot = slot % size.slots.len().max(1);
        Some((number << 16 | slot, size.slots.get(slot)?))
    }

    fn forward(&mut self, m: usize, slot: usize, order: Order) {
        let Some((number, slot)) = self.slot(m, slot) else { return };
        self.dispatches(number, slot, slot.executor.passes().0, order);
        self.copy_out(number, slot, slot.y);
    }

    fn backward(&mut self, m: usize, slot: usize, last: bool, order: Order) {
        let Some((number, slot)) = self.slot(m, slot) else { return };
        let buckets = self.lane.sum.buckets();
        let sends = last && self.lane.role.replicas > 1;
        let push = self.tree.push(Block::leaf(m));
        let (first, range) = (self.first_block(), slot.executor.passes().1);
        let mut from = range.start;
        // Only the last micro-batch completes sums that others wait for.
        for part in 0..if sends { buckets } else { 1 } {
            let these = if sends { part..part + 1 } else { 0..buckets };
            let end = if sends { slot.ready.get(part).copied() } else { None };
            let end = end.unwrap_or(range.end);
            self.dispatches(number, slot, from..end, order);
            from = end;
            if part == 0 {
                for &scalar in &slot.scalars {
                    if let Some(buffer) = slot.executor.plan().buffer(scalar) {
                        self.count.next(&[place(number, buffer)], &[LaneBuffer::Scalars]);
                    }
                }
                self.copy_out(number, slot, slot.dx);
            }
            for &block in &push.adds {
                self.add(first + block, these.clone());
            }
            self.copy(first + push.store, these.clone(), true);
            for block in first..first + if sends { self.tree.blocks().len() } else { 0 } {
                for (_, chunk) in self.pieces(these.clone()) {
                    self.count.next(&[LaneBuffer::Block(block, chunk)], &[]);
                }
            }
        }
    }

    fn update(&mut self, order: Order) {
        let all = 0..self.lane.sum.buckets();
        if self.lane.role.replicas > 1 {
            let mut tree = Tree::default();
            let stack = self.lane.merge_stack;
            let blocks = self.job.shares.iter().flat_map(|share| tree::blocks(share.clone()));
            for (number, block) in blocks.enumerate() {
                self.copy(number, all.clone(), false);
                let push = tree.push(block);
                for above in push.adds {
                    self.add(stack + above, all.clone());
                }
                self.copy(stack + push.store, all.clone(), true);
            }
            for above in tree.finish() {
                self.add(stack + above, all.clone());
            }
        } else {
            let first = self.first_block();
            for above in self.tree.finish() {
                self.add(first + above, all.clone());
            }
        }
        let update = &self.lane.update;
        let dispatches = 0..update.plan().dispatches().len();
        let count = &mut self.count;
        // The update's one input is the batch's loss.
        let place = |&buffer: &SharedBuffer| match buffer {
            SharedBuffer::Input(_) => LaneBuffer::Scalars,
            other => place(usize::MAX, other),
        };
        update.plan().footprints(dispatches, order, |reads, writes| {
            let (reads, writes): (Vec<_>, Vec<_>) =
                (reads.iter().map(place).collect(), writes.iter().map(place).collect());
            count.next(&reads, &writes);
        });
        count.next(&[LaneBuffer::Status], &[]);
        count.next(&[LaneBuffer::Scalars], &[]);
        if self.lane.role.keeps_state {
            for (arena, chunk, _) in self.lane.kept_arenas() {
                count.next(&[LaneBuffer::Arena(arena, chunk)], &[]);
            }
        }
    }

    fn dispatches(&mut self, number: usize, slot: &Slot, range: Range<usize>, order: Order) {
        let count = &mut self.count;
        slot.executor.plan().footprints(range, order, |reads, writes| {
            let places = |buffers: &[SharedBuffer]| -> Vec<LaneBuffer> {
                buffers.iter().map(|&buffer| place(number, buffer)).collect()
            };
            count.next(&places(reads), &places(writes));
        });
    }

    fn copy_out(&mut self, number: usize, slot: &Slot, tensor: Option<crate::graph::Tensor>) {
        if let Some(buffer) = tensor.and_then(|tensor| slot.executor.plan().buffer(tensor)) {
            self.count.next(&[place(number, buffer)], &[]);
        }
    }

    fn first_block(&self) -> usize {
        let before = self.job.shares.iter().take(self.own);
        before.map(|share| tree::blocks(share.clone()).len()).sum()
    }

    /// Adds buckets of a block to the sum at hand.
    fn add(&mut self, block: usize, buckets: Range<usize>) {
        for (sum, chunk) in self.pieces(buckets) {
            self.count.next(&[LaneBuffer::Block(block, chunk)], &[sum]);
        }
    }

    /// Copies buckets of the sum at hand to a block, or back.
    fn copy(&mut self, block: usize, buckets: Range<usize>, stores: bool) {
        for (sum, chunk) in self.pieces(buckets) {
            let block = LaneBuffer::Block(block, chunk);
            let (from, to) = if stores { (sum, block) } else { (block, sum) };
            self.count.next(&[from], &[to]);
        }
    }

    /// For each piece of the sums: the buffer of the sum at hand, and the number of its chunk.
    fn pieces(&self, buckets: Range<usize>) -> Vec<(LaneBuffer, usize)> {
        let chunks = self.lane.parameters.layout().chunks.len();
        let piece = |chunk: usize| match chunk == chunks {
            true => (LaneBuffer::Scalars, chunk),
            false => (LaneBuffer::Arena(Arena::Gradients, chunk), chunk),
        };
        self.lane.sum.chunks(buckets).map(piece).collect()
    }
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
