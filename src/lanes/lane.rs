//! A lane: a device with its queue and what one stage or replica needs on it.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use super::gradient_sum::{Blocks, GradientSum, Piece};
use super::room::Room;
use super::schedule::Grid;
use super::stage::{Rows, Stage, StageGraph};
use super::wire::{Coding, Residuals, Wire};
use crate::data::{AsData, Form, OwnedData, Windows};
use crate::exec::{Executor, ExecutorOptions, Parameters, STATUS_BYTES};
use crate::gpu::{Buffer, Gpu};
use crate::graph::Tensor;
use crate::kernel::Arena;
use crate::plan::{ArenaLayout, Place, Plan, Target};
use crate::train::TrainingState;
use crate::train::feed::{Bringing, Feed, Order};
use crate::train::task::Task;
use crate::{Error, Result};

/// What tells a lane which part of the work is its own.
#[derive(Clone, Debug)]
pub(super) struct Role {
    /// Its number among the lanes of all processes, and among this one's.
    pub(super) number: usize,
    pub(super) local: usize,
    /// The device, with a lay-out of parameters that all lanes share.
    pub(super) target: Target,
    pub(super) stage: Stage,
    /// Micro-batches in flight.
    pub(super) in_flight: usize,
    pub(super) grid: Grid,
    pub(super) replica: usize,
    pub(super) stage_number: usize,
    /// Whether each replica sums a part of every bucket for all, as between processes; else each sums
    /// everything for itself.
    pub(super) has_owners: bool,
    /// As what sums cross lanes that have owners.
    pub(super) wire: Wire,
    pub(super) buckets: usize,
    /// Whether its reports are the ones that hold parameters and optimizer states.
    pub(super) keeps_state: bool,
}

/// A stage's executors for micro-batches of one size.
#[derive(Debug)]
pub(super) struct Size {
    micro_batch: usize,
    batch: usize,
    /// One per micro-batch in flight.
    pub(super) slots: Vec<Slot>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) executor: Executor,
    pub(super) x: Option<Tensor>,
    pub(super) y: Option<Tensor>,
    pub(super) dy: Option<Tensor>,
    pub(super) dx: Option<Tensor>,
    pub(super) scalars: Vec<Tensor>,
    /// Where each bucket's gradients are complete, among the plan's dispatches.
    pub(super) ready: Vec<usize>,
}

/// A micro-batch, with the executor that is its own while it is in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MicroBatch {
    /// Its number in the batch.
    pub(super) number: usize,
    /// Which of the lane's sizes it has, and which of that size's slots.
    pub(super) size: usize,
    pub(super) slot: usize,
}

impl Size {
    /// Whether it is for micro-batches of `rows` rows, of batches of `batch`.
    pub(super) fn is_for(&self, rows: usize, batch: usize) -> bool {
        self.micro_batch == rows && self.batch == batch
    }
}

impl Slot {
    /// Bytes of one of its tensors.
    pub(super) fn bytes(&self, tensor: Tensor) -> u64 {
        self.executor.plan().info(tensor).map_or(0, |info| info.bytes())
    }
}

#[derive(Debug)]
pub(super) struct Lane {
    pub(super) gpu: Gpu,
    pub(super) role: Role,
    pub(super) feed: Option<Feed<OwnedData>>,
    pub(super) parameters: Parameters,
    pub(super) sizes: Vec<Size>,
    pub(super) update: Executor,
    pub(super) sum: GradientSum,
    /// The first block in which those of other replicas are received, and the first of the stack in which all
    /// are merged.
    pub(super) received: usize,
    pub(super) merge_stack: usize,
    /// Staging buffers that are free, by size.
    pub(super) staging: Vec<Buffer>,
    /// What rounding took away from the sums that were sent.
    pub(super) residuals: Arc<Mutex<Residuals>>,
}

impl Lane {
    /// Everything that the lane needs: for its update, by the plan `update` with its input, and for
    /// the batches that `room` has room for.
    pub(super) async fn new(
        gpu: &Gpu,
        task: &Task,
        role: &Role,
        (update_plan, loss): &(Plan, Tensor),
        (data, windows): (OwnedData, Option<Windows>),
        room: &Room,
        state: &TrainingState,
    ) -> Result<Self> {
        let states = task.compile.optimizer.rule().states();
        let form = task.form(data.as_data(), true)?;
        let (arena, precision) = (update_plan.arena(), update_plan.precision());
        let parameters = Parameters::with_precision(gpu, arena, Some(states), precision).await?;
        state.write_to(&parameters, role.stage.parameters.clone())?;
        let feed = match role.stage.first || role.stage.last {
            true => {
                let (batch, residency, loss) = (room.batch, room.residency, task.compile.loss);
                let weights = task.weighting(data.as_data(), true);
                let mixed = task.compile.precision.is_mixed();
                let how = Bringing { batch, residency, orders: 1, loss, mixed, weights, windows };
                Some(Feed::new(gpu, data, how).await?)
            }
            false => None,
        };
        let buckets = buckets(parameters.layout(), role.buckets, 4 * task.scalars() as u64);
        let parts = match role.has_owners {
            true => parts(&buckets, role.grid.replicas, u64::from(role.target.alignment)),
            false => buckets,
        };
        // Each block of another replica is one of this one's part alone.
        let (received, whole, partial) = match role.has_owners {
            true => (room.own_blocks, room.own_blocks, room.blocks + room.stack),
            false => (0, room.blocks + room.stack, 0),
        };
        let own = |part: usize| part % role.grid.replicas.max(1) == role.replica;
        let blocks = Blocks { whole, partial, own: (0..parts.len()).map(own).collect() };
        let sum = GradientSum::new(gpu, &parameters, task.scalars(), parts, blocks).await?;
        let update_options = ExecutorOptions {
            parameters: Some(parameters.clone()),
            inputs: vec![(*loss, sum.scalars().clone())],
        };
        let update = Executor::with_options(gpu, update_plan.clone(), update_options).await?;
        let mut lane = Self {
            gpu: gpu.clone(),
            role: role.clone(),
            feed,
            parameters,
            sizes: Vec::new(),
            update,
            sum,
            received,
            merge_stack: received + room.blocks,
            staging: Vec::new(),
            residuals: Arc::default(),
        };
        for &(micro_batch, batch) in &room.sizes {
            let size = lane.size(task, form, micro_batch, batch).await?;
            lane.sizes.push(size);
        }
        Ok(lane)
    }

    /// Sets the order in which rows are drawn.
    pub(super) fn set_order(&mut self, order: &Order) -> Result<()> {
        match &mut self.feed {
            Some(feed) => feed.set_order(&self.gpu, order.clone()),
            None => Ok(()),
        }
    }

    async fn size(
        &self,
        task: &Task,
        form: Form,
        micro_batch: usize,
        batch: usize,
    ) -> Result<Size> {
        let resident = self.feed.as_ref().map_or(1, |feed| feed.resident_rows);
        let rows = Rows { micro_batch, batch, resident };
        let mut slots = Vec::new();
        for _ in 0..self.role.in_flight.max(1) {
            let graph = task.stage_graph(&self.role.stage, form, rows, &self.role.target)?;
            let StageGraph { plan, features, targets, order, weights, x, y, dy, dx, scalars } =
                graph;
            let mut inputs = Vec::new();
            if let Some(feed) = &self.feed {
                let buffers = &feed.buffers;
                inputs.extend(features.map(|t| (t, buffers.features.clone())));
                inputs.extend(targets.map(|t| (t, buffers.targets.clone())));
                inputs.extend(order.map(|t| (t, buffers.order.clone())));
                inputs.extend(weights.zip(buffers.weights.as_deref().cloned()));
            }
            let parameters = Some(self.parameters.clone());
            let options = ExecutorOptions { parameters, inputs };
            let executor = Executor::with_options(&self.gpu, plan, options).await?;
            let ready = ready(&executor, self.role.buckets, dx);
            slots.push(Slot { executor, x, y, dy, dx, scalars, ready });
        }
        Ok(Size { micro_batch, batch, slots })
    }

    /// Micro-batch `number`, of `rows` rows of a batch of `batch`, the `index`th of its lane.
    pub(super) fn micro_batch(
        &self,
        number: usize,
        rows: usize,
        batch: usize,
        index: usize,
    ) -> Result<MicroBatch> {
        let found = self.sizes.iter().enumerate().find(|(_, size)| size.is_for(rows, batch));
        let (size, of) = found.ok_or_else(|| {
            Error::argument("rows of a micro-batch", rows, "of a batch this lane was made for")
        })?;
        Ok(MicroBatch { number, size, slot: index % of.slots.len().max(1) })
    }

    /// The executor of a micro-batch.
    pub(super) fn slot(&self, at: MicroBatch) -> Result<&Slot> {
        let slot = self.sizes.get(at.size).and_then(|size| size.slots.get(at.slot));
        slot.ok_or_else(|| Error::bug(format!("no executor for {at:?}")))
    }

    /// The same, to write to its tables.
    pub(super) fn slot_mut(&mut self, at: MicroBatch) -> Result<&mut Slot> {
        let slot = self.sizes.get_mut(at.size).and_then(|size| size.slots.get_mut(at.slot));
        slot.ok_or_else(|| Error::bug(format!("no executor for {at:?}")))
    }

    /// A free staging buffer of `bytes`.
    pub(super) async fn staging(&mut self, bytes: u64) -> Result<Buffer> {
        use wgpu::BufferUsages as Usage;
        let bytes = bytes.max(4);
        match self.staging.iter().position(|buffer| buffer.size() == bytes) {
            Some(position) => Ok(self.staging.swap_remove(position)),
            None => self.gpu.buffer_for("staging", bytes, Usage::COPY_DST | Usage::MAP_READ).await,
        }
    }

    /// What was rounded away so far is not added to what comes.
    pub(super) fn forget_residuals(&self) {
        *self.residuals.lock().unwrap_or_else(PoisonError::into_inner) = Residuals::default();
    }

    /// How a message with sums of `blocks` blocks is coded, if it is.
    pub(super) fn coding(&self, bucket: usize, blocks: usize) -> Result<Option<Coding>> {
        Ok(match self.role.wire {
            Wire::F32 => None,
            Wire::F16 => {
                let (bytes, exact) =
                    (self.sum.bucket_bytes(bucket)?, self.sum.scalar_bytes(bucket)?);
                Some(Coding { blocks, bytes, exact })
            }
        })
    }

    /// The arenas whose contents make up a training state: values, then states.
    pub(super) fn kept_arenas(&self) -> Vec<(Arena, usize, u64)> {
        let states = self.parameters.states().unwrap_or(0);
        let arenas = std::iter::once(Arena::Values).chain((0..states).map(Arena::State));
        let chunks = self.parameters.layout().chunks.clone();
        arenas
            .flat_map(|arena| {
                let chunks = chunks.clone().into_iter().enumerate();
                chunks.map(move |(chunk, bytes)| (arena, chunk, bytes))
            })
            .collect()
    }

    /// Reads the arenas of [`Lane::kept_arenas`], one after another.
    pub(super) async fn read_kept(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        for (arena, chunk, bytes) in self.kept_arenas() {
            let buffer = self.parameters.buffer(arena, chunk)?;
            all.extend(self.gpu.read(buffer, 0, bytes).await?);
        }
        Ok(all)
    }

    /// Bytes of a report with the contents of these arenas.
    pub(super) fn report_bytes(&self, kept: &[(Arena, usize, u64)]) -> u64 {
        let kept: u64 = kept.iter().map(|(_, _, bytes)| bytes).sum();
        STATUS_BYTES + self.sum.scalars().size() + kept
    }
}

/// Cuts the parameters into `count` ranges of about equal bytes, the last layers first; the scalars
/// go with the first.
pub(super) fn buckets(layout: &ArenaLayout, count: usize, scalar_bytes: u64) -> Vec<Vec<Piece>> {
    (0..count.max(1))
        .map(|bucket| {
            let numbers = bucket_parameters(layout, count, bucket);
            let mut pieces: Vec<Piece> = Vec::new();
            for entry in layout.entries.get(numbers).unwrap_or_default() {
                let end = entry.offset + entry.shape.bytes() as u64;
                match pieces.last_mut() {
                    Some(piece) if piece.chunk == entry.chunk => piece.bytes = end - piece.offset,
                    _ => pieces.push(Piece {
                        chunk: entry.chunk,
                        offset: entry.offset,
                        bytes: end - entry.offset,
                    }),
                }
            }
            if bucket == 0 {
                let chunk = layout.chunks.len();
                pieces.push(Piece { chunk, offset: 0, bytes: scalar_bytes });
            }
            pieces
        })
        .collect()
}

/// Cuts each bucket into `count` parts of about equal bytes, one after another, that begin where a binding may.
pub(super) fn parts(buckets: &[Vec<Piece>], count: usize, alignment: u64) -> Vec<Vec<Piece>> {
    let count = count.max(1) as u64;
    let mut parts = Vec::new();
    for bucket in buckets {
        let units = |piece: &Piece| piece.bytes.div_ceil(alignment);
        let total: u64 = bucket.iter().map(units).sum();
        for part in 0..count {
            let (begin, end) = (total * part / count, total * (part + 1) / count);
            let mut before = 0;
            let mut pieces = Vec::new();
            for piece in bucket {
                let within = |unit: u64| (unit.saturating_sub(before) * alignment).min(piece.bytes);
                let (from, to) = (within(begin), within(end));
                before += units(piece);
                if from < to {
                    let (offset, bytes) = (piece.offset + from, to - from);
                    pieces.push(Piece { chunk: piece.chunk, offset, bytes });
                }
            }
            parts.push(pieces);
        }
    }
    parts
}

/// The numbers of a bucket's parameters.
fn bucket_parameters(layout: &ArenaLayout, count: usize, bucket: usize) -> Range<usize> {
    let total: u64 = layout.entries.iter().map(|entry| entry.shape.bytes() as u64).sum();
    let count = count.max(1) as u64;
    let layer = |number: usize| {
        let name = layout.entries.get(number).map_or("", |entry| entry.name.as_str());
        name.rsplit_once('.').map_or(name, |(layer, _)| layer)
    };
    // The first parameter that lies behind the given share of the bytes, counted from the end. One dispatch computes
    // the gradients of a layer's weights and of its biases: to send the biases earlier would be to wait for all.
    // Unless nothing would be left.
    let begin = |bucket: u64| {
        let wanted = total - total * bucket / count;
        let mut before = 0;
        let behind = layout.entries.iter().position(|entry| {
            let begins_behind = before >= wanted;
            before += entry.shape.bytes() as u64;
            begins_behind
        });
        let all = layout.entries.len();
        let behind = behind.unwrap_or(all);
        let of_layer = |&number: &usize| number == 0 || layer(number) != layer(number - 1);
        (behind..all).find(of_layer).unwrap_or(behind)
    };
    let bucket = bucket as u64;
    let end = begin(bucket);
    let start = if bucket + 1 == count { 0 } else { begin(bucket + 1) };
    start..end.max(start)
}

/// The number of dispatches after which `tensor`, an output, is complete.
fn written(executor: &Executor, tensor: Tensor) -> usize {
    let plan = executor.plan();
    let place = plan.place(tensor);
    let writes = |d: &crate::plan::Dispatch| d.writes.iter().any(|&t| plan.place(t) == place);
    plan.dispatches().iter().rposition(writes).map_or(plan.dispatches().len(), |last| last + 1)
}

/// For each bucket, the number of dispatches after which its gradients are complete, and the gradient `dx` of the
/// stage's input: that goes first, since the stage before waits for it, with scalars to which nothing was added yet.
fn ready(executor: &Executor, buckets: usize, dx: Option<Tensor>) -> Vec<usize> {
    let plan = executor.plan();
    let total = plan.dispatches().len();
    let mut ready: Vec<usize> = (0..buckets.max(1))
        .map(|bucket| {
            let numbers = bucket_parameters(plan.arena(), buckets, bucket);
            let writes = |d: &crate::plan::Dispatch| {
                d.writes.iter().any(|&tensor| match plan.place(tensor) {
                    Place::Gradient(number) => numbers.contains(&number),
                    _ => false,
                })
            };
            plan.dispatches().iter().rposition(writes).map_or(0, |last| last + 1)
        })
        .collect();
    // Buckets are sent one after another, and the last one waits for everything.
    let mut most = executor.passes().0.end.max(dx.map_or(0, |dx| written(executor, dx)));
    for end in &mut ready {
        most = most.max(*end);
        *end = most;
    }
    if let Some(last) = ready.last_mut() {
        *last = total;
    }
    ready
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer's weights and biases stay together, where there is another layer to be sent first.
    #[test]
    fn buckets_are_cut_between_layers() {
        let layout = |widths: &[usize]| {
            let mut graph = crate::graph::Graph::new();
            for (number, pair) in widths.windows(2).enumerate() {
                graph.parameter(&format!("dense_{number}.weight"), [pair[0], pair[1]]).unwrap();
                graph.parameter(&format!("dense_{number}.bias"), [pair[1]]).unwrap();
            }
            ArenaLayout::new(&graph, &Target::default()).unwrap()
        };
        let net = layout(&[784, 512, 512, 10]);
        assert_eq!([0, 1].map(|bucket| bucket_parameters(&net, 2, bucket)), [2..6, 0..2]);
        assert_eq!(bucket_parameters(&net, 1, 0), 0..6);
        let one = layout(&[9, 9]);
        assert_eq!([0, 1].map(|bucket| bucket_parameters(&one, 2, bucket)), [1..2, 0..1]);
    }

    /// Parts are the bucket in another cut, each from where a binding may begin.
    #[test]
    fn parts_cover_a_bucket_once() {
        let piece = |chunk, offset, bytes| Piece { chunk, offset, bytes };
        let buckets = vec![
            vec![piece(0, 512, 1300), piece(1, 0, 256), piece(2, 0, 12)],
            vec![piece(0, 0, 260)],
            vec![],
        ];
        for count in 1..20 {
            let parts = parts(&buckets, count, 256);
            assert_eq!(parts.len(), buckets.len() * count);
            for (bucket, own) in buckets.iter().zip(parts.chunks(count)) {
                assert!(own.iter().flatten().all(|p| p.offset % 256 == 0 && p.bytes > 0));
                let mut joined: Vec<Piece> = Vec::new();
                for &piece in own.iter().flatten() {
                    match joined.last_mut() {
                        Some(last)
                            if last.chunk == piece.chunk
                                && last.offset + last.bytes == piece.offset =>
                        {
                            last.bytes += piece.bytes;
                        }
                        _ => joined.push(piece),
                    }
                }
                assert_eq!(&joined, bucket, "{count} parts");
                let bytes = |part: &Vec<Piece>| part.iter().map(|p| p.bytes).sum::<u64>();
                let (most, least) = (own.iter().map(bytes).max(), own.iter().map(bytes).min());
                assert!(most <= least.map(|least| least + 3 * 256), "{most:?}, {least:?}");
            }
        }
    }
}
