//! What a lane's thread does: the instructions of its schedule, step by step.
//!
//! Commands gather in one encoder until something must be submitted: a message to send, a write that
//! must come after them, the end of a step. Messages leave from an outbox once the device is done
//! with them; nothing but a missing message, and the reports of the step before last, is waited for,
//! and every wait ends.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::lane::{Lane, Report};
use super::record::{Activity, PassTimes, Recorder};
use crate::exec::exchange::{Content, Exchange, Message, Payload};
use crate::exec::schedule::{Instruction, program};
use crate::exec::tree::{Block, Tree};
use crate::exec::{STATUS_BYTES, Step, tree};
use crate::gpu::{Arrival, Buffer, map};
use crate::{Error, Result};

/// How often a waiting lane looks after its own outbox.
const LOOK: Duration = Duration::from_micros(50);
/// Commands of so many micro-batches are submitted together at most.
const MOST_PENDING: usize = 64;

/// One step's work, the same for all lanes.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Number, learning rate and corrections.
    pub(super) step: Step,
    /// Positions of the batch in the order of rows.
    pub(super) rows: Range<usize>,
    /// Rows of each micro-batch, from the batch's first.
    pub(super) micro_batches: Vec<Range<usize>>,
    /// Micro-batches of each replica; a single entry in a pipeline.
    pub(super) shares: Vec<Range<usize>>,
}

/// How a lane works with the others.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner<'a> {
    pub(super) exchange: &'a dyn Exchange,
    pub(super) lanes: usize,
    pub(super) pipeline: bool,
    pub(super) patience: Duration,
    /// Whether every pass is a submission of its own and every step is waited for.
    pub(super) serial: bool,
    /// Whether every step's state comes back, not just the last one's.
    pub(super) keeps_every_state: bool,
}

/// What a lane says of one step.
#[derive(Clone, Debug)]
pub(super) struct StepReport {
    /// The first step that was not finite, if one was.
    pub(super) halted_at: Option<u32>,
    pub(super) scalars: Vec<f32>,
}

/// What is left when a lane's thread ends.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) reports: Vec<StepReport>,
    /// Training states after the steps of these numbers, the latest few.
    pub(super) states: VecDeque<(u64, Vec<u8>)>,
    pub(super) bytes_sent: u64,
    /// The error, with the step in which it happened.
    pub(super) error: Option<(u64, Error)>,
}

#[derive(Debug)]
struct Outgoing {
    message: Message,
    broadcast: bool,
    staging: Buffer,
    bytes: u64,
    arrival: Arrival,
}

pub(super) struct Runner<'a> {
    lane: &'a mut Lane,
    manner: Manner<'a>,
    encoder: Option<wgpu::CommandEncoder>,
    pending: usize,
    outbox: VecDeque<Outgoing>,
    outcome: Outcome,
    recorder: &'a mut Recorder,
    tree: Tree,
    last_job: bool,
}

impl Outcome {
    /// What is left of a lane whose thread panicked.
    pub(super) fn panicked(lane: usize, step: u64) -> Self {
        let waiting_for = "the end of its work".into();
        let reason = "its thread panicked".into();
        let error = Error::LaneStopped { lane, waiting_for, reason };
        Self { error: Some((step, error)), ..Self::default() }
    }
}

/// Tells the other lanes if this one's thread panics.
struct Alarm<'a>(&'a dyn Exchange, usize);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.stop(self.1, "its thread panicked");
        }
    }
}

/// Runs `jobs` on `lane` and says how it went.
pub(super) fn run(
    lane: &mut Lane,
    manner: Manner<'_>,
    jobs: &[Job],
    recorder: &mut Recorder,
) -> Outcome {
    let number = lane.role.number;
    let _alarm = Alarm(manner.exchange, number);
    lane.reports.clear();
    let mut runner = Runner {
        lane,
        manner,
        encoder: None,
        pending: 0,
        outbox: VecDeque::new(),
        outcome: Outcome::default(),
        recorder,
        tree: Tree::default(),
        last_job: false,
    };
    let mut current = jobs.first().map_or(0, |job| u64::from(job.step.number));
    let mut all = || {
        for (index, job) in jobs.iter().enumerate() {
            current = u64::from(job.step.number);
            runner.last_job = index + 1 == jobs.len();
            runner.step(job)?;
        }
        runner.finish()
    };
    if let Err(error) = all() {
        manner.exchange.stop(number, &error.to_string());
        // Steps that this lane completed are not lost if its device can still say so.
        let _ = runner.take_reports(0);
        runner.outcome.error = Some((current, error));
    }
    runner.outcome
}

impl Runner<'_> {
    fn step(&mut self, job: &Job) -> Result<()> {
        let role = &self.lane.role;
        let (stage, stages, own) = match self.manner.pipeline {
            true => (role.number, self.manner.lanes, 0),
            false => (0, 1, role.number),
        };
        let share = job.shares.get(own).cloned().unwrap_or(0..0);
        let rows = |part: Range<usize>| -> Range<usize> {
            let begin = job.micro_batches.get(part.start).map_or(0, |rows| rows.start);
            let end = job.micro_batches.get(part.end.wrapping_sub(1)).map_or(0, |rows| rows.end);
            job.rows.start + begin..job.rows.start + end.max(begin)
        };
        let blocks: Vec<Vec<Block>> = job.shares.iter().map(|s| tree::blocks(s.clone())).collect();
        let first_block = blocks.iter().take(own).map(Vec::len).sum();
        let drawn = rows(share.clone());
        let mut on_device = 0;
        if self.lane.feed.is_some() && !share.is_empty() {
            self.flush()?;
            let begun = Instant::now();
            if let Some(feed) = &self.lane.feed {
                on_device = feed.bring(&self.lane.gpu, drawn.clone())?;
            }
            self.recorder.host(Activity::Upload, "batch", job.step.number, None, begun, 0);
        }
        self.tree = Tree::default();
        for instruction in program(stage, stages, share.clone()) {
            match instruction {
                Instruction::Forward(m) => {
                    let start = on_device + rows(m..m + 1).start - drawn.start;
                    let step = Step { batch_start: crate::kernel::word(start), ..job.step };
                    self.forward(job, m, m - share.start, &step)?;
                }
                Instruction::Backward(m) => {
                    let last = m + 1 == share.end;
                    self.backward(job, m, m - share.start, first_block, last)?;
                }
                Instruction::Update => self.update(job, &blocks, own, first_block)?,
            }
        }
        Ok(())
    }

    fn forward(&mut self, job: &Job, m: usize, slot: usize, step: &Step) -> Result<()> {
        let number = self.lane.role.number;
        let (rows, batch) = sizes(job, m);
        if self.lane.slot(rows, batch, slot)?.x.is_some() {
            let payload = self.wait(Message {
                from: number.wrapping_sub(1),
                to: number,
                step: u64::from(job.step.number),
                content: Content::Activations(m),
            })?;
            self.flush()?;
            let gpu = self.lane.gpu.clone();
            let begun = Instant::now();
            let slot = self.lane.slot(rows, batch, slot)?;
            if let Some(x) = slot.x {
                gpu.write(slot.executor.buffer_of(x)?.0, 0, &payload)?;
            }
            let bytes = payload.len() as u64;
            self.recorder.host(Activity::Exchange, "in", job.step.number, Some(m), begun, bytes);
        }
        let timestamps = self.recorder.pass(Activity::Forward, "forward", job.step.number, Some(m));
        let mut encoder = self.take_encoder();
        let gpu = self.lane.gpu.clone();
        let slot_of = self.lane.slot(rows, batch, slot)?;
        let row = slot_of.executor.write_step(step)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("forward"),
                timestamp_writes: timestamps.as_ref().map(PassTimes::writes),
            });
            slot_of.executor.record_range(&mut pass, row, slot_of.executor.passes().0);
        }
        let mut outgoing = None;
        if let Some(y) = slot_of.y {
            let bytes = slot_of.executor.plan().info(y).map_or(0, |i| i.shape.bytes() as u64);
            let staging = pollster::block_on(self.lane.staging(bytes))?;
            let slot_of = self.lane.slot(rows, batch, slot)?;
            let (buffer, offset) = slot_of.executor.buffer_of(y)?;
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
            outgoing = Some((staging, bytes));
        }
        self.encoder = Some(encoder);
        self.pending += 1;
        if let Some((staging, bytes)) = outgoing {
            self.flush()?;
            let arrival = map(&gpu, &staging, bytes, "sending activations");
            let content = Content::Activations(m);
            let message =
                Message { from: number, to: number + 1, step: job.step.number.into(), content };
            let broadcast = false;
            self.outbox.push_back(Outgoing { message, broadcast, staging, bytes, arrival });
        } else if self.manner.serial || self.recorder.is_host() {
            self.flush()?;
        }
        Ok(())
    }

    fn backward(
        &mut self,
        job: &Job,
        m: usize,
        slot: usize,
        first_block: usize,
        last_of_share: bool,
    ) -> Result<()> {
        let number = self.lane.role.number;
        let gpu = self.lane.gpu.clone();
        let (rows, batch) = sizes(job, m);
        let has_scalars = self.lane.slot(rows, batch, slot)?.dy.is_none();
        if !has_scalars {
            let payload = self.wait(Message {
                from: number + 1,
                to: number,
                step: u64::from(job.step.number),
                content: Content::Gradients(m),
            })?;
            self.flush()?;
            let begun = Instant::now();
            let scalar_bytes = self.lane.sum.scalars().size() as usize;
            let (gradient, scalars) = payload.split_at(payload.len().saturating_sub(scalar_bytes));
            let slot_of = self.lane.slot(rows, batch, slot)?;
            if let Some(dy) = slot_of.dy {
                gpu.write(slot_of.executor.buffer_of(dy)?.0, 0, gradient)?;
            }
            gpu.write(self.lane.sum.scalars(), 0, scalars)?;
            let bytes = payload.len() as u64;
            self.recorder.host(Activity::Exchange, "in", job.step.number, Some(m), begun, bytes);
        }
        let replicas = self.lane.role.replicas;
        let buckets = self.lane.sum.buckets();
        // Only the last micro-batch completes sums that others wait for.
        let parts = if last_of_share && replicas > 1 { buckets } else { 1 };
        let push = self.tree.push(Block::leaf(m));
        let mut from = self.lane.slot(rows, batch, slot)?.executor.passes().0.end;
        for part in 0..parts {
            let these = if parts == 1 { 0..buckets } else { part..part + 1 };
            let timestamps =
                self.recorder.pass(Activity::Backward, "backward", job.step.number, Some(m));
            let mut encoder = self.take_encoder();
            let slot_of = self.lane.slot(rows, batch, slot)?;
            let end = match parts {
                1 => slot_of.executor.plan().dispatches().len(),
                _ => slot_of.ready.get(part).copied().unwrap_or(from),
            };
            let row = slot_of.executor.last_row();
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some("backward"),
                    timestamp_writes: timestamps.as_ref().map(PassTimes::writes),
                });
                slot_of.executor.record_range(&mut pass, row, from..end);
            }
            from = end;
            if has_scalars && part == 0 {
                let scalars = slot_of.scalars.clone();
                for (at, scalar) in scalars.into_iter().enumerate() {
                    let slot_of = self.lane.slot(rows, batch, slot)?;
                    let (buffer, offset) = slot_of.executor.buffer_of(scalar)?;
                    let buffer = buffer.clone();
                    let sums = self.lane.sum.scalars();
                    encoder.copy_buffer_to_buffer(&buffer, offset, sums, 4 * at as u64, 4);
                }
            }
            let outgoing = match part {
                0 => self.stage_gradient(&mut encoder, rows, batch, slot)?,
                _ => None,
            };
            for &block in &push.adds {
                self.lane.sum.add(&mut encoder, first_block + block, these.clone(), None);
            }
            self.lane.sum.store(&mut encoder, first_block + push.store, these)?;
            self.encoder = Some(encoder);
            self.pending += 1;
            if let Some((staging, bytes)) = outgoing {
                self.flush()?;
                let arrival = map(&gpu, &staging, bytes, "sending gradients");
                let content = Content::Gradients(m);
                let to = number.wrapping_sub(1);
                let message = Message { from: number, to, step: job.step.number.into(), content };
                let broadcast = false;
                self.outbox.push_back(Outgoing { message, broadcast, staging, bytes, arrival });
            }
            if last_of_share && replicas > 1 {
                self.send_sums(
                    job,
                    if parts == 1 { 0..buckets } else { part..part + 1 },
                    first_block,
                )?;
            } else if self.manner.serial || self.recorder.is_host() || self.pending >= MOST_PENDING
            {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Records the copy of what the stage before waits for: the gradient, and the scalars.
    fn stage_gradient(
        &mut self,
        encoder: &mut wgpu::CommandEncoder,
        rows: usize,
        batch: usize,
        slot: usize,
    ) -> Result<Option<(Buffer, u64)>> {
        let slot_of = self.lane.slot(rows, batch, slot)?;
        let Some(dx) = slot_of.dx else { return Ok(None) };
        let bytes = slot_of.executor.plan().info(dx).map_or(0, |info| info.shape.bytes() as u64);
        let scalar_bytes = self.lane.sum.scalars().size();
        let staging = pollster::block_on(self.lane.staging(bytes + scalar_bytes))?;
        let slot_of = self.lane.slot(rows, batch, slot)?;
        let (buffer, offset) = slot_of.executor.buffer_of(dx)?;
        encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
        let scalars = self.lane.sum.scalars();
        encoder.copy_buffer_to_buffer(scalars, 0, &staging, bytes, scalar_bytes);
        Ok(Some((staging, bytes + scalar_bytes)))
    }

    /// Sends this lane's blocks of some buckets to all others.
    fn send_sums(&mut self, job: &Job, buckets: Range<usize>, first_block: usize) -> Result<()> {
        let own = self.tree.blocks().len();
        let gpu = self.lane.gpu.clone();
        let mut staged = Vec::new();
        for bucket in buckets {
            let bytes = self.lane.sum.bucket_bytes(bucket) * own as u64;
            if bytes == 0 {
                continue;
            }
            let staging = pollster::block_on(self.lane.staging(bytes))?;
            let mut encoder = self.take_encoder();
            let mut offset = 0;
            for block in first_block..first_block + own {
                offset = self.lane.sum.stage(&mut encoder, block, bucket, &staging, offset)?;
            }
            self.encoder = Some(encoder);
            staged.push((bucket, staging, bytes));
        }
        self.flush()?;
        for (bucket, staging, bytes) in staged {
            let arrival = map(&gpu, &staging, bytes, "sending gradient sums");
            let from = self.lane.role.number;
            let content = Content::Sums(bucket);
            let message = Message { from, to: from, step: job.step.number.into(), content };
            let broadcast = true;
            self.outbox.push_back(Outgoing { message, broadcast, staging, bytes, arrival });
        }
        Ok(())
    }

    fn update(
        &mut self,
        job: &Job,
        blocks: &[Vec<Block>],
        own: usize,
        first_block: usize,
    ) -> Result<()> {
        if self.lane.role.replicas > 1 {
            self.take_sums(job, blocks, own)?;
        }
        let timestamps = self.recorder.pass(Activity::Update, "update", job.step.number, None);
        let mut encoder = self.take_encoder();
        let sum = &self.lane.sum;
        let all = 0..sum.buckets();
        if self.lane.role.replicas > 1 {
            let mut tree = Tree::default();
            let stack = self.lane.merge_stack;
            for (number, block) in blocks.iter().flatten().enumerate() {
                sum.load(&mut encoder, number)?;
                let push = tree.push(*block);
                for add in push.adds {
                    sum.add(&mut encoder, stack + add, all.clone(), None);
                }
                sum.store(&mut encoder, stack + push.store, all.clone())?;
            }
            for add in tree.finish() {
                sum.add(&mut encoder, stack + add, all.clone(), None);
            }
        } else {
            for add in self.tree.finish() {
                sum.add(&mut encoder, first_block + add, all.clone(), None);
            }
        }
        let row = self.lane.update.write_step(&job.step)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("update"),
                timestamp_writes: timestamps.as_ref().map(PassTimes::writes),
            });
            let dispatches = self.lane.update.plan().dispatches().len();
            self.lane.update.record_range(&mut pass, row, 0..dispatches);
        }
        let keeps_state =
            self.lane.role.keeps_state && (self.manner.keeps_every_state || self.last_job);
        let kept = if keeps_state { self.lane.kept_arenas() } else { Vec::new() };
        let bytes = self.lane.report_bytes(&kept);
        let staging = pollster::block_on(self.lane.staging(bytes))?;
        let status = self.lane.parameters.status();
        encoder.copy_buffer_to_buffer(status, 0, &staging, 0, STATUS_BYTES);
        let scalars = self.lane.sum.scalars();
        encoder.copy_buffer_to_buffer(scalars, 0, &staging, STATUS_BYTES, scalars.size());
        let mut offset = STATUS_BYTES + scalars.size();
        for (arena, chunk, bytes) in kept {
            let buffer = self.lane.parameters.buffer(arena, chunk)?;
            encoder.copy_buffer_to_buffer(buffer, 0, &staging, offset, bytes);
            offset += bytes;
        }
        self.encoder = Some(encoder);
        self.flush()?;
        let gpu = self.lane.gpu.clone();
        let arrival = map(&gpu, &staging, bytes, "reading a step's report");
        let step = u64::from(job.step.number) + 1;
        self.lane.reports.push_back(Report { step, keeps_state, staging, arrival });
        // One step may be under way while the next is recorded.
        self.take_reports(if self.manner.serial { 0 } else { 1 })
    }

    /// Waits for the sums of all other lanes and writes them to their blocks.
    fn take_sums(&mut self, job: &Job, blocks: &[Vec<Block>], own: usize) -> Result<()> {
        self.flush()?;
        for bucket in 0..self.lane.sum.buckets() {
            let mut first = 0;
            for (from, theirs) in blocks.iter().enumerate() {
                let here = first;
                first += theirs.len();
                let bytes = self.lane.sum.bucket_bytes(bucket) as usize;
                if from == own || theirs.is_empty() || bytes == 0 {
                    continue;
                }
                let content = Content::Sums(bucket);
                let step = u64::from(job.step.number);
                let payload = self.wait(Message { from, to: own, step, content })?;
                let begun = Instant::now();
                for (block, data) in (here..first).zip(payload.chunks(bytes)) {
                    self.lane.sum.write(block, bucket, data)?;
                }
                let bytes = payload.len() as u64;
                self.recorder.host(Activity::Exchange, "in", job.step.number, None, begun, bytes);
            }
        }
        Ok(())
    }

    fn take_encoder(&mut self) -> wgpu::CommandEncoder {
        let device = self.lane.gpu.device();
        self.encoder.take().unwrap_or_else(|| device.create_command_encoder(&Default::default()))
    }

    /// Submits what is recorded.
    fn flush(&mut self) -> Result<()> {
        self.pending = 0;
        let Some(mut encoder) = self.encoder.take() else { return Ok(()) };
        self.recorder.resolve(&mut encoder);
        let gpu = self.lane.gpu.clone();
        let begun = Instant::now();
        pollster::block_on(gpu.scoped("a submission", || {
            gpu.tally().submissions.add(1);
            gpu.queue().submit([encoder.finish()]);
        }))?;
        self.recorder.submitted(&gpu, begun, self.manner.patience)
    }

    /// Waits for a message; meanwhile the outbox empties.
    fn wait(&mut self, message: Message) -> Result<Payload> {
        self.flush()?;
        let since = Instant::now();
        loop {
            self.send_ready()?;
            let look = if self.outbox.is_empty() { 20 * LOOK } else { LOOK };
            if let Some(payload) = self.manner.exchange.receive(message, look)? {
                return Ok(payload);
            }
            self.lane.gpu.check("waiting for another lane")?;
            if since.elapsed() > self.manner.patience {
                return Err(Error::LaneTimeout {
                    lane: message.from,
                    waiting_for: message.content.to_string(),
                    seconds: since.elapsed().as_secs_f64(),
                });
            }
        }
    }

    /// Sends what the device is done with.
    fn send_ready(&mut self) -> Result<()> {
        while let Some(outgoing) = self.outbox.pop_front_if(|front| front.arrival.is_ready()) {
            let Outgoing { message, broadcast, staging, bytes, arrival } = outgoing;
            pollster::block_on(arrival)?;
            let begun = Instant::now();
            let payload: Payload = self.lane.gpu.mapped(&staging, bytes)?.into();
            self.lane.staging.push(staging);
            let (exchange, lanes) = (self.manner.exchange, self.manner.lanes);
            let receivers = if broadcast { lanes as u64 - 1 } else { 1 };
            match broadcast {
                true => exchange.broadcast(message, lanes, &payload)?,
                false => exchange.send(message, payload)?,
            }
            self.outcome.bytes_sent += bytes * receivers;
            let (step, micro_batch) = (message.step as u32, None);
            self.recorder.host(Activity::Exchange, "out", step, micro_batch, begun, bytes);
        }
        Ok(())
    }

    /// Takes reports in until at most `left` are under way.
    fn take_reports(&mut self, left: usize) -> Result<()> {
        while self.lane.reports.len() > left {
            let since = Instant::now();
            while self.lane.reports.front().is_some_and(|report| !report.arrival.is_ready()) {
                self.send_ready()?;
                self.lane.gpu.check("waiting for a step")?;
                if since.elapsed() > self.manner.patience {
                    let seconds = since.elapsed().as_secs();
                    return Err(Error::Timeout { during: "a training step".into(), seconds });
                }
                std::thread::sleep((since.elapsed() / 20).clamp(LOOK / 2, 20 * LOOK));
            }
            let Some(report) = self.lane.reports.pop_front() else { break };
            let Report { step, keeps_state, staging, arrival } = report;
            pollster::block_on(arrival)?;
            let begun = Instant::now();
            let bytes = self.lane.gpu.mapped(&staging, staging.size())?;
            self.recorder.host(
                Activity::Readback,
                "report",
                step.saturating_sub(1) as u32,
                None,
                begun,
                bytes.len() as u64,
            );
            self.lane.staging.push(staging);
            let (status, rest) = bytes.split_at(STATUS_BYTES as usize);
            let (scalars, state) = rest.split_at(self.lane.sum.scalars().size() as usize);
            let status: Vec<u32> = bytemuck::pod_collect_to_vec(status);
            self.outcome.reports.push(StepReport {
                halted_at: status.first().copied().unwrap_or(0).checked_sub(1),
                scalars: bytemuck::pod_collect_to_vec(scalars),
            });
            if keeps_state {
                self.outcome.states.push_back((step, state.to_vec()));
                // Stages are at most one step apart, and a report one step behind.
                if self.outcome.states.len() > 3 {
                    self.outcome.states.pop_front();
                }
            }
        }
        Ok(())
    }

    /// Waits for everything that is under way.
    fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.take_reports(0)?;
        let since = Instant::now();
        while !self.outbox.is_empty() {
            self.send_ready()?;
            self.lane.gpu.check("sending")?;
            if since.elapsed() > self.manner.patience {
                let seconds = since.elapsed().as_secs();
                return Err(Error::Timeout { during: "sending to another lane".into(), seconds });
            }
            std::thread::sleep(LOOK);
        }
        self.recorder.collect(&self.lane.gpu)
    }
}

/// Rows of a micro-batch and of its batch.
fn sizes(job: &Job, m: usize) -> (usize, usize) {
    (job.micro_batches.get(m).map_or(0, Range::len), job.rows.len())
}
