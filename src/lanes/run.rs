//! What a lane's thread does: the [commands](super::commands) of its steps, one after another.
//!
//! What is recorded gathers in one encoder until the list has it submitted: before a message is sent,
//! before a write that must come after it, at the end of a step. A [message
//! thread](super::message_thread) waits for the device and sends messages once it is done with them;
//! nothing but a missing message, and the report of the step before last, is waited for here.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::commands::{Command, StepCommands, StepOptions};
use super::exchange::{Exchange, RunId};
use super::lane::{Lane, MicroBatch};
use super::message_thread::{MessageThread, Report};
use super::record::{PassNumber, Recorder};
use super::timeline::Activity;
use super::work::{Ending, Job, JobQueue};
use super::world::World;
use crate::exec::{Executor, STATUS_BYTES};
use crate::gpu::{Buffer, map};
use crate::{Error, Result};

/// How long a lane whose device did not finish in time still waits for what it did finish.
const LAST_WAIT: Duration = Duration::from_millis(100);

/// How a lane works with the others.
#[derive(Clone, Debug)]
pub(super) struct LaneSettings {
    pub(super) exchange: Arc<dyn Exchange>,
    /// Where its jobs are, and its reports go.
    pub(super) jobs: Arc<JobQueue>,
    pub(super) run: RunId,
    /// Lanes of all processes.
    pub(super) lanes: usize,
    pub(super) world: Option<World>,
    pub(super) pipeline: bool,
    pub(super) patience: Duration,
    /// Lanes of this process that wait for rows.
    pub(super) waits_for_rows: Arc<AtomicUsize>,
    /// Whether every step is waited for before the next is prepared.
    pub(super) serial: bool,
    /// Whether every step's state comes back, not just the last one's.
    pub(super) keeps_every_state: bool,
}

/// A lane that waits for rows, which may come from a slow file: that is no fault of it, and others' patience does not
/// count the time.
struct WaitsForRows<'a>(&'a AtomicUsize);

impl<'a> WaitsForRows<'a> {
    fn begin(lanes: &'a AtomicUsize) -> Self {
        lanes.fetch_add(1, Ordering::Relaxed);
        Self(lanes)
    }
}

impl Drop for WaitsForRows<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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
    /// Buffers that the device copies to, before they are sent or read.
    pub(super) staged: VecDeque<(Buffer, u64)>,
    pub(super) message_thread: &'a MessageThread,
    pub(super) outcome: Outcome,
    pub(super) recorder: &'a mut Recorder,
    /// The commands of steps so far, by the rows of the batch and whether the state comes back.
    known: Vec<((usize, bool), Arc<StepCommands>)>,
    /// Where the rows of the step begin on the device.
    on_device: usize,
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
    let own = (number, lane.residuals.clone());
    let message_thread = match MessageThread::start(gpu, exchange, own, host_recorder) {
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
        staged: VecDeque::new(),
        outcome: Outcome::default(),
        recorder,
        known: Vec::new(),
        on_device: 0,
        first_step,
        step: first_step,
        updates: 0,
        last_job: false,
    };
    let mut all = || {
        for index in 0.. {
            let Some((job, is_last)) = settings.jobs.job(index)? else { break };
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
        let commands = self.commands(job)?;
        commands.list().iter().try_for_each(|command| self.execute(job, command))
    }

    /// The commands of a step, which are the same for all batches of one size.
    fn commands(&mut self, job: &Job) -> Result<Arc<StepCommands>> {
        let keeps_state = self.settings.keeps_every_state || self.last_job;
        let state = self.lane.role.keeps_state && keeps_state;
        let key = (job.rows.len(), state);
        if let Some((_, known)) = self.known.iter().find(|(known, _)| *known == key) {
            return Ok(known.clone());
        }
        let options = StepOptions { passes_apart: self.recorder.is_host(), state };
        let commands = Arc::new(StepCommands::new(self.lane, job, options)?);
        self.known.push((key, commands.clone()));
        Ok(commands)
    }

    fn execute(&mut self, job: &Job, command: &Command) -> Result<()> {
        match command {
            Command::Upload(rows) => self.upload(job, rows),
            Command::Receive { from, transfer } => self.receive(job, *from, transfer),
            Command::Forward { at, row, dispatches } => {
                let mut step = job.step;
                step.batch_start = crate::kernel::word(self.on_device + row);
                let rows = job.micro_batches.get(at.number);
                step.first_row = crate::kernel::word(rows.map_or(0, |rows| rows.start));
                let timed = self.pass(Activity::Forward, "forward", Some(at.number));
                let row = self.lane.slot_mut(*at)?.executor.write_step(&step)?;
                self.dispatch(
                    "forward",
                    timed,
                    row,
                    |lane| Ok(&lane.slot(*at)?.executor),
                    dispatches,
                )
            }
            Command::Backward { at, dispatches } => {
                let timed = self.pass(Activity::Backward, "backward", Some(at.number));
                let row = self.lane.slot(*at)?.executor.last_row();
                self.dispatch(
                    "backward",
                    timed,
                    row,
                    |lane| Ok(&lane.slot(*at)?.executor),
                    dispatches,
                )
            }
            Command::Update { dispatches } => {
                let timed = self.pass(Activity::Update, "update", None);
                let row = self.lane.update.write_step(&job.step)?;
                self.dispatch("update", timed, row, |lane| Ok(&lane.update), &(0..*dispatches))
            }
            Command::CopyScalars(at) => self.copy_scalars(*at),
            Command::Add { block, buckets, micro_batch, .. } => {
                let activity =
                    if micro_batch.is_some() { Activity::Backward } else { Activity::Update };
                let timed = self.pass(activity, "sum", *micro_batch);
                let mut encoder = self.take_encoder();
                let times = self.recorder.writes(timed);
                self.lane.sum.add(&mut encoder, *block, buckets.clone(), times)?;
                self.encoder = Some(encoder);
                Ok(())
            }
            Command::Store { block, buckets } => {
                let mut encoder = self.take_encoder();
                self.lane.sum.store(&mut encoder, *block, buckets.clone())?;
                self.encoder = Some(encoder);
                Ok(())
            }
            Command::Load { block, buckets } => {
                let mut encoder = self.take_encoder();
                self.lane.sum.load(&mut encoder, *block, buckets.clone())?;
                self.encoder = Some(encoder);
                Ok(())
            }
            Command::Stage(transfer) => self.stage(transfer),
            Command::Send { to, transfer } => self.send(job, to, transfer),
            Command::Report { state } => self.stage_report(*state),
            Command::Submit => self.flush(),
            Command::ReadReport => self.read_report(job),
        }
    }

    fn upload(&mut self, job: &Job, rows: &Range<usize>) -> Result<()> {
        let (begun, before) = (Instant::now(), self.lane.gpu.counters());
        let drawn = job.rows.start + rows.start..job.rows.start + rows.end;
        let at = (job.number(), None);
        if let Some(feed) = &mut self.lane.feed {
            let waits = WaitsForRows::begin(&self.settings.waits_for_rows);
            self.on_device = feed.bring(&self.lane.gpu, drawn)?;
            drop(waits);
            for reading in feed.take_readings() {
                self.recorder.host_recorder.note_reading(reading, job.number());
            }
        }
        let bytes = (self.lane.gpu.counters() - before).bytes_uploaded;
        self.recorder.host_recorder.note(Activity::Upload, "batch", at, begun, bytes);
        Ok(())
    }

    fn pass(
        &mut self,
        activity: Activity,
        name: &'static str,
        micro_batch: Option<usize>,
    ) -> Option<PassNumber> {
        self.recorder.pass(activity, name, self.step, micro_batch)
    }

    /// Records dispatches of an executor in a pass of their own, with the record of the step in `row`.
    fn dispatch(
        &mut self,
        name: &str,
        timed: Option<PassNumber>,
        row: usize,
        executor: impl FnOnce(&Lane) -> Result<&Executor>,
        dispatches: &Range<usize>,
    ) -> Result<()> {
        let mut encoder = self.take_encoder();
        let timestamp_writes = self.recorder.writes(timed);
        let described = wgpu::ComputePassDescriptor { label: Some(name), timestamp_writes };
        executor(self.lane)?.record_range(&mut encoder, &described, row, dispatches.clone())?;
        self.encoder = Some(encoder);
        Ok(())
    }

    fn copy_scalars(&mut self, at: MicroBatch) -> Result<()> {
        let mut encoder = self.take_encoder();
        let (slot, sums) = (self.lane.slot(at)?, self.lane.sum.scalars());
        for (number, &scalar) in slot.scalars.iter().enumerate() {
            let (buffer, offset) = slot.executor.buffer_of(scalar)?;
            encoder.copy_buffer_to_buffer(buffer, offset, sums, 4 * number as u64, 4);
        }
        self.encoder = Some(encoder);
        Ok(())
    }

    fn stage_report(&mut self, state: bool) -> Result<()> {
        let kept = if state { self.lane.kept_arenas() } else { Vec::new() };
        let bytes = self.lane.report_bytes(&kept);
        let staging = self.staging(bytes)?;
        let mut encoder = self.take_encoder();
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
        self.staged.push_back((staging, bytes));
        self.updates += 1;
        Ok(())
    }

    fn read_report(&mut self, job: &Job) -> Result<()> {
        let (staging, bytes) = self.staged()?;
        let arrival = map(&self.lane.gpu, &staging, bytes, "reading a step's report");
        self.message_thread.await_report(Report { step: job.number() + 1, staging, arrival });
        // One step may be under way while the next is recorded.
        self.take_reports(if self.settings.serial { 0 } else { 1 })
    }
}
