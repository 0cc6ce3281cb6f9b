//! What a lane's thread does: the instructions of its schedule, step by step.
//!
//! Commands gather in one encoder until something must be submitted: a message to send, a write that
//! must come after them, the end of a step. A [message thread](super::message_thread) waits for the device and sends
//! messages once it is done with them; nothing but a missing message, and the report of the step before
//! last, is waited for here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exchange::{Content, Exchange, RunId};
use super::lane::Lane;
use super::message_thread::{MessageThread, Report};
use super::record::Recorder;
use super::schedule::{Instruction, program};
use super::timeline::Activity;
use super::tree::{Block, Tree};
use super::work::{Ending, Job, JobQueue};
use crate::exec::{STATUS_BYTES, Step};
use crate::gpu::map;
use crate::lanes::tree;
use crate::{Error, Result};

/// How long a lane whose device did not finish in time still waits for what it did finish.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// Commands of so many micro-batches are submitted together at most.
const MOST_PENDING: usize = 64;

/// How a lane works with the others.
#[derive(Clone, Debug)]
pub(super) struct LaneSettings {
    pub(super) exchange: Arc<dyn Exchange>,
    /// Where its jobs are, and its reports go.
    pub(super) jobs: Arc<JobQueue>,
    pub(super) run: RunId,
    pub(super) lanes: usize,
    pub(super) pipeline: bool,
    pub(super) patience: Duration,
    /// Whether every step is waited for before the next is prepared.
    pub(super) serial: bool,
    /// Whether every step's state comes back, not just the last one's.
    pub(super) keeps_every_state: bool,
}

/// What a lane's arenas held after a step.
#[derive(Debug)]
pub(super) struct ArenaSnapshot {
    /// Steps completed.
    pub(super) step: u64,
    pub(super) bytes: Vec<u8>,
    /// Where they begin in `bytes`.
    pub(super) begin: usize,
}

/// What is left when a lane's thread ends.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Steps that were reported.
    pub(super) reports: usize,
    /// Training states, the latest few.
    pub(super) states: VecDeque<ArenaSnapshot>,
    pub(super) bytes_sent: u64,
    /// The error, with the step in which it happened.
    pub(super) error: Option<(u64, Error)>,
}

/// What comes back of a lane's thread.
#[derive(Debug)]
pub(super) struct LaneReturn {
    pub(super) lane: Lane,
    pub(super) recorder: Recorder,
    pub(super) outcome: Outcome,
}

pub(super) struct Runner<'a> {
    pub(super) lane: &'a mut Lane,
    pub(super) settings: &'a LaneSettings,
    pub(super) encoder: Option<wgpu::CommandEncoder>,
    pub(super) pending: usize,
    pub(super) message_thread: &'a MessageThread,
    pub(super) outcome: Outcome,
    pub(super) recorder: &'a mut Recorder,
    pub(super) tree: Tree,
    /// Number of the first step of the run, and of the one at hand.
    pub(super) first_step: u64,
    pub(super) step: u64,
    /// Steps whose update was submitted, or may have been.
    pub(super) updates: usize,
    last_job: bool,
}

impl Outcome {
    /// What comes of a lane that has no thread.
    pub(super) fn not_started(step: u64, error: Error) -> Self {
        Self { error: Some((step, error)), ..Self::default() }
    }

    /// What is left of a lane whose thread panicked.
    pub(super) fn panicked(lane: usize, step: u64) -> Self {
        let waiting_for = "the end of its work".into();
        let reason = "its thread panicked".into();
        let error = Error::LaneStopped { lane, waiting_for, reason };
        Self { error: Some((step, error)), ..Self::default() }
    }
}

/// Tells the other lanes if this one's thread panics.
struct Alarm<'a>(&'a LaneSettings, usize);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.exchange.stop(self.0.run, self.1, "its thread panicked");
        }
    }
}

/// Lets `lane` work on the jobs of its queue, on a thread of its own.
///
/// # Errors
/// [`Error::Thread`] if the system has none; the other lanes hear of it.
pub(super) fn start(
    mut lane: Lane,
    settings: LaneSettings,
    mut recorder: Recorder,
) -> Result<JoinHandle<LaneReturn>> {
    let number = lane.role.number;
    let (exchange, run_id, jobs) = (settings.exchange.clone(), settings.run, settings.jobs.clone());
    let thread = std::thread::Builder::new().name(format!("wgrad lane {number}"));
    let work = move || {
        let _ending = Ending(settings.jobs.clone());
        let outcome = run(&mut lane, &settings, &mut recorder);
        LaneReturn { lane, recorder, outcome }
    };
    thread.spawn(work).map_err(|source| {
        let error = Error::Thread { purpose: format!("lane {number}"), source };
        exchange.stop(run_id, number, &error.to_string());
        jobs.end();
        error
    })
}

/// Runs the jobs on `lane` and says how it went.
fn run(lane: &mut Lane, settings: &LaneSettings, recorder: &mut Recorder) -> Outcome {
    let number = lane.role.number;
    let _alarm = Alarm(settings, number);
    let (gpu, exchange) = (lane.gpu.clone(), settings.exchange.clone());
    let host_recorder = recorder.host_recorder.another();
    let message_thread =
        match MessageThread::start(gpu, exchange, (number, settings.lanes), host_recorder) {
            Ok(message_thread) => message_thread,
            Err(error) => {
                settings.exchange.stop(settings.run, number, &error.to_string());
                return Outcome::not_started(settings.jobs.first(), error);
            }
        };
    let mut outcome = run_with(&message_thread, lane, settings, recorder);
    let hangs = matches!(outcome.error, Some((_, Error::Timeout { .. })));
    let delivered = message_thread.end(if hangs { LAST_WAIT } else { settings.patience });
    lane.staging.extend(delivered.free);
    recorder.take(delivered.host_recorder);
    outcome.bytes_sent = delivered.bytes_sent;
    outcome
}

fn run_with(
    message_thread: &MessageThread,
    lane: &mut Lane,
    settings: &LaneSettings,
    recorder: &mut Recorder,
) -> Outcome {
    let number = lane.role.number;
    let first_step = settings.jobs.first();
    let mut runner = Runner {
        lane,
        settings,
        message_thread,
        encoder: None,
        pending: 0,
        outcome: Outcome::default(),
        recorder,
        tree: Tree::default(),
        first_step,
        step: first_step,
        updates: 0,
        last_job: false,
    };
    let mut all = || {
        for index in 0.. {
            let Some((job, is_last)) = settings.jobs.job(index) else { break };
            runner.step = job.number();
            runner.last_job = is_last;
            runner.step(&job)?;
        }
        runner.finish()
    };
    if let Err(error) = all() {
        settings.exchange.stop(settings.run, number, &error.to_string());
        let hangs = matches!(error, Error::Timeout { .. });
        runner.salvage(if hangs { LAST_WAIT } else { settings.patience });
        let step = runner.step.min(runner.message_thread.failed_in().unwrap_or(u64::MAX));
        runner.outcome.error = Some((step, error));
    }
    runner.outcome
}

impl Runner<'_> {
    fn step(&mut self, job: &Job) -> Result<()> {
        let role = &self.lane.role;
        let (stage, stages, own) = match self.settings.pipeline {
            true => (role.number, self.settings.lanes, 0),
            false => (0, 1, role.number),
        };
        let share = job.shares.get(own).cloned();
        let share = share.ok_or_else(|| Error::bug("a lane without a share of the step"))?;
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
            let (begun, before) = (Instant::now(), self.lane.gpu.counters());
            if let Some(feed) = &self.lane.feed {
                on_device = feed.bring(&self.lane.gpu, drawn.clone())?;
            }
            let bytes = (self.lane.gpu.counters() - before).bytes_uploaded;
            self.recorder.host_recorder.note(
                Activity::Upload,
                "batch",
                (job.number(), None),
                begun,
                bytes,
            );
        }
        self.tree = Tree::default();
        for instruction in program(stage, stages, share.clone()) {
            match instruction {
                Instruction::Forward(m) => {
                    let start = on_device + rows(m..m + 1).start - drawn.start;
                    let mut step = job.step;
                    step.batch_start = crate::kernel::word(start);
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
        let slot_of = self.lane.slot(rows, batch, slot)?;
        if let Some(x) = slot_of.x {
            let bytes = slot_of.bytes(x);
            let content = Content::Activations(m);
            let payload = self.wait(job, number.wrapping_sub(1), content, bytes)?;
            self.flush()?;
            let gpu = self.lane.gpu.clone();
            let begun = Instant::now();
            let slot_of = self.lane.slot(rows, batch, slot)?;
            gpu.write_of_step(slot_of.executor.buffer_of(x)?.0, 0, &payload)?;
            let at = (job.number(), Some(m));
            self.recorder.host_recorder.note(
                Activity::Exchange,
                "activations in",
                at,
                begun,
                bytes,
            );
        }
        let timed = self.recorder.pass(Activity::Forward, "forward", job.number(), Some(m));
        let mut encoder = self.take_encoder();
        let slot_of = self.lane.slot(rows, batch, slot)?;
        let row = slot_of.executor.write_step(step)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("forward"),
                timestamp_writes: self.recorder.writes(timed),
            });
            slot_of.executor.record_range(&mut pass, row, slot_of.executor.passes().0)?;
        }
        let mut outgoing = None;
        if let Some(y) = slot_of.y {
            let bytes = slot_of.bytes(y);
            let staging = self.staging(bytes)?;
            let slot_of = self.lane.slot(rows, batch, slot)?;
            let (buffer, offset) = slot_of.executor.buffer_of(y)?;
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
            outgoing = Some((staging, bytes));
        }
        self.encoder = Some(encoder);
        self.pending += 1;
        if let Some((staging, bytes)) = outgoing {
            self.flush()?;
            self.post(job, Some(number + 1), Content::Activations(m), staging, bytes);
        } else if self.recorder.is_host() {
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
        let slot_of = self.lane.slot(rows, batch, slot)?;
        let has_scalars = slot_of.dy.is_none();
        if let Some(dy) = slot_of.dy {
            let bytes = slot_of.bytes(dy) + self.lane.sum.scalars().size();
            let payload = self.wait(job, number + 1, Content::Gradients(m), bytes)?;
            self.flush()?;
            let begun = Instant::now();
            let scalar_bytes = self.lane.sum.scalars().size() as usize;
            let (gradient, scalars) = payload.split_at(payload.len().saturating_sub(scalar_bytes));
            let slot_of = self.lane.slot(rows, batch, slot)?;
            gpu.write_of_step(slot_of.executor.buffer_of(dy)?.0, 0, gradient)?;
            gpu.write_of_step(self.lane.sum.scalars(), 0, scalars)?;
            let at = (job.number(), Some(m));
            self.recorder.host_recorder.note(Activity::Exchange, "gradients in", at, begun, bytes);
        }
        let replicas = self.lane.role.replicas;
        let buckets = self.lane.sum.buckets();
        // Only the last micro-batch completes sums that others wait for.
        let parts = if last_of_share && replicas > 1 { buckets } else { 1 };
        let push = self.tree.push(Block::leaf(m));
        let mut from = self.lane.slot(rows, batch, slot)?.executor.passes().0.end;
        for part in 0..parts {
            let these = if parts == 1 { 0..buckets } else { part..part + 1 };
            let timed = self.recorder.pass(Activity::Backward, "backward", job.number(), Some(m));
            let mut encoder = self.take_encoder();
            let slot_of = self.lane.slot(rows, batch, slot)?;
            let end = match parts {
                1 => slot_of.executor.plan().dispatches().len(),
                _ => {
                    slot_of.ready.get(part).copied().ok_or_else(|| Error::bug("no such bucket"))?
                }
            };
            let row = slot_of.executor.last_row();
            {
                let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                    label: Some("backward"),
                    timestamp_writes: self.recorder.writes(timed),
                });
                slot_of.executor.record_range(&mut pass, row, from..end)?;
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
            self.encoder = Some(encoder);
            self.pending += 1;
            if let Some((staging, bytes)) = outgoing {
                self.flush()?;
                let to = Some(number.wrapping_sub(1));
                self.post(job, to, Content::Gradients(m), staging, bytes);
            }
            // The stage before need not wait for this.
            let mut encoder = self.take_encoder();
            for &block in &push.adds {
                let timed = self.recorder.pass(Activity::Backward, "sum", job.number(), Some(m));
                let times = self.recorder.writes(timed);
                self.lane.sum.add(&mut encoder, first_block + block, these.clone(), times)?;
            }
            self.lane.sum.store(&mut encoder, first_block + push.store, these)?;
            self.encoder = Some(encoder);
            if last_of_share && replicas > 1 {
                self.send_sums(
                    job,
                    if parts == 1 { 0..buckets } else { part..part + 1 },
                    first_block,
                )?;
            } else if self.recorder.is_host() || self.pending >= MOST_PENDING {
                self.flush()?;
            }
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
        let mut encoder = self.take_encoder();
        let sum = &self.lane.sum;
        let mut add = |encoder: &mut wgpu::CommandEncoder, block: usize| {
            let timed = self.recorder.pass(Activity::Update, "sum", job.number(), None);
            sum.add(encoder, block, 0..sum.buckets(), self.recorder.writes(timed))
        };
        let all = 0..sum.buckets();
        if self.lane.role.replicas > 1 {
            let mut tree = Tree::default();
            let stack = self.lane.merge_stack;
            for (number, block) in blocks.iter().flatten().enumerate() {
                sum.load(&mut encoder, number)?;
                let push = tree.push(*block);
                for above in push.adds {
                    add(&mut encoder, stack + above)?;
                }
                sum.store(&mut encoder, stack + push.store, all.clone())?;
            }
            for above in tree.finish() {
                add(&mut encoder, stack + above)?;
            }
        } else {
            for above in self.tree.finish() {
                add(&mut encoder, first_block + above)?;
            }
        }
        let timed = self.recorder.pass(Activity::Update, "update", job.number(), None);
        let row = self.lane.update.write_step(&job.step)?;
        {
            let mut pass = encoder.begin_compute_pass(&wgpu::ComputePassDescriptor {
                label: Some("update"),
                timestamp_writes: self.recorder.writes(timed),
            });
            let dispatches = self.lane.update.plan().dispatches().len();
            self.lane.update.record_range(&mut pass, row, 0..dispatches)?;
        }
        let keeps_state =
            self.lane.role.keeps_state && (self.settings.keeps_every_state || self.last_job);
        let kept = if keeps_state { self.lane.kept_arenas() } else { Vec::new() };
        let bytes = self.lane.report_bytes(&kept);
        let staging = self.staging(bytes)?;
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
        self.updates += 1;
        self.flush()?;
        let gpu = self.lane.gpu.clone();
        let arrival = map(&gpu, &staging, bytes, "reading a step's report");
        self.message_thread.await_report(Report { step: job.number() + 1, staging, arrival });
        // One step may be under way while the next is recorded.
        self.take_reports(if self.settings.serial { 0 } else { 1 })
    }
}

/// Rows of a micro-batch and of its batch.
fn sizes(job: &Job, m: usize) -> (usize, usize) {
    (job.micro_batches.get(m).map_or(0, Range::len), job.rows.len())
}
