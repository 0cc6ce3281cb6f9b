//! What a lane's thread sends, waits for and reads back. Every wait ends, but for rows that a reader never brings.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::commands::Transfer;
use super::exchange::{Content, Message, Payload};
use super::lane::{Lane, MicroBatch, Slot};
use super::message_thread::{Outgoing, Read};
use super::run::{ArenaSnapshot, Runner};
use super::timeline::Activity;
use super::wire::Coding;
use super::work::Job;
use super::work::StepReport;
use crate::exec::{Halt, STATUS_BYTES};
use crate::gpu::{Buffer, map};
use crate::graph::Tensor;
use crate::plan::AdapterClass;
use crate::{Error, Result};

/// How often a waiting lane looks whether its second thread met an error.
const LOOK: Duration = Duration::from_micros(500);
/// How often it asks whether the device lives, which takes as long as many looks.
const ASK: Duration = Duration::from_millis(50);

impl Runner<'_> {
    /// A free staging buffer of `bytes`.
    pub(super) fn staging(&mut self, bytes: u64) -> Result<Buffer> {
        self.lane.staging.extend(self.message_thread.free());
        pollster::block_on(self.lane.staging(bytes))
    }

    /// Sends what was staged first, which the device still has to copy, to these lanes.
    pub(super) fn send(&mut self, job: &Job, to: &[usize], transfer: &Transfer) -> Result<()> {
        let (staging, bytes) = self.staged()?;
        let arrival = map(&self.lane.gpu, &staging, bytes, "sending to another lane");
        let (from, to) = (self.lane.role.number, to.to_vec());
        let (run, step, content) = (self.settings.run, job.number(), transfer.content());
        let first = match to.as_slice() {
            &[one] => one,
            _ => from,
        };
        let message = Message { run, from, to: first, step, content };
        let coding = self.coding(transfer)?;
        self.message_thread.post(Outgoing { message, to, staging, bytes, arrival, coding });
        Ok(())
    }

    /// How a message is coded, if it is.
    fn coding(&self, transfer: &Transfer) -> Result<Option<Coding>> {
        match transfer {
            Transfer::Sums { bucket, blocks } => self.lane.coding(*bucket, blocks.len()),
            Transfer::Totals { bucket } => self.lane.coding(*bucket, 1),
            _ => Ok(None),
        }
    }

    /// The buffer that was staged first.
    pub(super) fn staged(&mut self) -> Result<(Buffer, u64)> {
        self.staged.pop_front().ok_or_else(|| Error::bug("nothing was staged"))
    }

    /// Records the copy of what is sent to a staging buffer.
    pub(super) fn stage(&mut self, transfer: &Transfer) -> Result<()> {
        let of = |at, tensor: fn(&Slot) -> Option<Tensor>| -> Result<u64> {
            let slot = self.lane.slot(at)?;
            Ok(tensor(slot).map_or(0, |tensor| slot.bytes(tensor)))
        };
        let bytes = match transfer {
            Transfer::Activations(at) => of(*at, |slot| slot.y)?,
            Transfer::Gradients(at) => of(*at, |slot| slot.dx)? + self.lane.sum.scalars().size(),
            Transfer::Sums { bucket, blocks } => {
                self.lane.sum.bucket_bytes(*bucket)? * blocks.len() as u64
            }
            Transfer::Totals { bucket } => self.lane.sum.bucket_bytes(*bucket)?,
        };
        let staging = self.staging(bytes)?;
        let mut encoder = self.take_encoder();
        let mut copy = |at, tensor: fn(&Slot) -> Option<Tensor>| -> Result<u64> {
            let slot = self.lane.slot(at)?;
            let tensor = tensor(slot).ok_or_else(|| Error::bug("a stage without what it sends"))?;
            let (buffer, offset) = slot.executor.buffer_of(tensor)?;
            let bytes = slot.bytes(tensor);
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
            Ok(bytes)
        };
        match transfer {
            Transfer::Activations(at) => {
                copy(*at, |slot| slot.y)?;
            }
            Transfer::Gradients(at) => {
                let offset = copy(*at, |slot| slot.dx)?;
                let scalars = self.lane.sum.scalars();
                encoder.copy_buffer_to_buffer(scalars, 0, &staging, offset, scalars.size());
            }
            Transfer::Sums { bucket, blocks } => {
                let mut offset = 0;
                for block in blocks.clone() {
                    offset = self.lane.sum.stage(&mut encoder, block, *bucket, &staging, offset)?;
                }
            }
            Transfer::Totals { bucket } => {
                self.lane.sum.stage_total(&mut encoder, *bucket, &staging)?;
            }
        }
        self.encoder = Some(encoder);
        self.staged.push_back((staging, bytes));
        Ok(())
    }

    /// Waits for a message and writes it to the device.
    pub(super) fn receive(&mut self, job: &Job, from: usize, transfer: &Transfer) -> Result<()> {
        let scalars = self.lane.sum.scalars().size();
        let (name, micro_batch, bytes) = match transfer {
            Transfer::Activations(at) => {
                ("activations in", Some(at.number), input(self.lane, *at, |slot| slot.x)?.1)
            }
            Transfer::Gradients(at) => (
                "gradients in",
                Some(at.number),
                input(self.lane, *at, |slot| slot.dy)?.1 + scalars,
            ),
            Transfer::Sums { bucket, blocks } => {
                let bytes = self.lane.sum.bucket_bytes(*bucket)? * blocks.len() as u64;
                ("gradient sums in", None, bytes)
            }
            Transfer::Totals { bucket } => {
                ("sums of all in", None, self.lane.sum.bucket_bytes(*bucket)?)
            }
        };
        let coding = self.coding(transfer)?;
        let bytes = coding.map_or(bytes, |coding| coding.coded_bytes());
        let mut payload = self.wait(job, from, transfer.content(), bytes)?;
        let begun = Instant::now();
        if let Some(coding) = coding {
            payload = coding.decode(&payload).into();
        }
        let gpu = &self.lane.gpu;
        match transfer {
            Transfer::Activations(at) => {
                gpu.write_of_step(input(self.lane, *at, |slot| slot.x)?.0, 0, &payload)?;
            }
            Transfer::Gradients(at) => {
                let end = payload.len().saturating_sub(scalars as usize);
                let (gradient, scalars) = payload.split_at(end);
                gpu.write_of_step(input(self.lane, *at, |slot| slot.dy)?.0, 0, gradient)?;
                gpu.write_of_step(self.lane.sum.scalars(), 0, scalars)?;
            }
            Transfer::Sums { bucket, blocks } => {
                let bytes = self.lane.sum.bucket_bytes(*bucket)?.max(1);
                for (block, data) in blocks.clone().zip(payload.chunks(bytes as usize)) {
                    self.lane.sum.write(block, *bucket, data)?;
                }
            }
            Transfer::Totals { bucket } => self.lane.sum.write_total(*bucket, &payload)?,
        }
        let at = (job.number(), micro_batch);
        self.recorder.host_recorder.note(Activity::Exchange, name, at, begun, bytes);
        Ok(())
    }

    pub(super) fn take_encoder(&mut self) -> wgpu::CommandEncoder {
        let device = self.lane.gpu.device();
        self.encoder.take().unwrap_or_else(|| device.create_command_encoder(&Default::default()))
    }

    /// Submits what is recorded.
    pub(super) fn flush(&mut self) -> Result<()> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        let gpu = self.lane.gpu.clone();
        // Software drivers hold a submission back until the one before has run, and wgpu keeps the
        // message thread from looking at the device meanwhile. So the wait is here.
        if self.settings.lanes > 1 && gpu.target().class == AdapterClass::Software {
            self.message_thread.wait_for_submissions(self.step, self.settings.patience)?;
        }
        let begun = Instant::now();
        let submit = || {
            gpu.tally().submissions.add(1);
            gpu.queue().submit([encoder.finish()])
        };
        let index = pollster::block_on(gpu.scoped_of_step("a submission", submit))?;
        self.message_thread.submitted(index);
        self.recorder.submitted(&gpu, begun, self.settings.patience)
    }

    /// Waits for a message to this lane, of `bytes` bytes.
    fn wait(&mut self, job: &Job, from: usize, content: Content, bytes: u64) -> Result<Payload> {
        let received = self.wait_for(job, from, content, bytes);
        received.map_err(|error| match &self.settings.world {
            Some(world) => world.located(error),
            None => error,
        })
    }

    fn wait_for(
        &mut self,
        job: &Job,
        from: usize,
        content: Content,
        bytes: u64,
    ) -> Result<Payload> {
        let (run, to, step) = (self.settings.run, self.lane.role.number, job.number());
        let message = Message { run, from, to, step, content };
        let since = Instant::now();
        let (mut asks, mut for_rows) = (ASK, Duration::ZERO);
        loop {
            self.message_thread.check()?;
            let looked = Instant::now();
            if let Some(payload) = self.settings.exchange.receive(message, LOOK)? {
                message.check(&payload, bytes as usize)?;
                return Ok(payload);
            }
            if since.elapsed() >= asks {
                asks = asks.saturating_add(ASK);
                self.lane.gpu.ask("waiting for another lane")?;
            }
            if self.settings.waits_for_rows.load(Ordering::Relaxed) > 0 {
                for_rows += looked.elapsed();
            }
            let is_late = since.elapsed().saturating_sub(for_rows) > self.settings.patience;
            if is_late || self.settings.jobs.is_given_up() {
                self.settings.jobs.give_up();
                return Err(message.timeout(since.elapsed().as_secs_f64()));
            }
        }
    }

    /// Takes reports in until at most `left` are under way.
    pub(super) fn take_reports(&mut self, left: usize) -> Result<()> {
        while self.updates > self.outcome.reports + left {
            let step = self.first_step + self.outcome.reports as u64;
            let read = self.message_thread.next_report(step, self.settings.patience)?;
            self.take_in(read)?;
        }
        Ok(())
    }

    fn take_in(&mut self, read: Read) -> Result<()> {
        let short = || Error::bug(format!("a report of {} bytes", read.bytes.len()));
        let (status, rest) =
            read.bytes.split_at_checked(STATUS_BYTES as usize).ok_or_else(short)?;
        let scalars = self.lane.sum.scalars().size() as usize;
        let (scalars, state) = rest.split_at_checked(scalars).ok_or_else(short)?;
        let report = StepReport {
            halted_at: Halt::read(status)?.map(|halt| halt.number),
            scalars: bytemuck::pod_collect_to_vec(scalars),
        };
        if !state.is_empty() {
            // It may be large: it stays where it is.
            let begin = read.bytes.len() - state.len();
            self.outcome.states.push_back(ArenaSnapshot {
                step: read.step,
                bytes: read.bytes,
                begin,
            });
            // Stages are at most one step apart.
            if self.outcome.states.len() > 3 {
                self.outcome.states.pop_front();
            }
        }
        let index = self.outcome.reports;
        self.outcome.reports += 1;
        // The state is there before anybody hears of the step.
        self.settings.jobs.report(self.lane.role.local, index, &report)
    }

    /// Waits for everything that is under way.
    pub(super) fn finish(&mut self) -> Result<()> {
        self.flush()?;
        self.take_reports(0)?;
        self.message_thread.drain(self.settings.patience)?;
        // A run that ended early did not know which step was its last.
        if self.lane.role.keeps_state && self.outcome.reports > 0 && !self.knows_state() {
            self.keep_state()?;
        }
        Ok(())
    }

    /// The number of the step after the last one that was reported.
    fn reported(&self) -> u64 {
        self.first_step + self.outcome.reports as u64
    }

    /// Whether the state after the last reported step is on the host.
    fn knows_state(&self) -> bool {
        self.outcome.states.back().is_some_and(|kept| kept.step == self.reported())
    }

    /// Reads the state after the last reported step.
    fn keep_state(&mut self) -> Result<()> {
        let bytes = pollster::block_on(self.lane.read_kept())?;
        self.outcome.states.push_back(ArenaSnapshot { step: self.reported(), bytes, begin: 0 });
        Ok(())
    }

    /// After an error: takes in the reports that can still come. A lane with all of the model also
    /// says what state it is in, if its device lives: it may be the one with the last completed step.
    pub(super) fn salvage(&mut self, patience: Duration) {
        self.encoder = None;
        for read in self.message_thread.salvage(patience) {
            // The error at hand is the one to tell.
            if self.take_in(read).is_err() {
                break;
            }
        }
        // Parameters move in steps whose reports are here, or nobody knows how far they came.
        let completed = self.outcome.reports;
        let certain = completed > 0 && completed == self.updates;
        if self.knows_state() || !certain || self.settings.pipeline || self.lane.gpu.is_lost() {
            return;
        }
        // The error at hand is the one to tell.
        drop(self.keep_state());
    }
}

/// The buffer of what comes to a stage for a micro-batch, and its bytes.
fn input(
    lane: &Lane,
    at: MicroBatch,
    tensor: fn(&Slot) -> Option<Tensor>,
) -> Result<(&wgpu::Buffer, u64)> {
    let slot = lane.slot(at)?;
    let tensor = tensor(slot).ok_or_else(|| Error::bug("a stage without what comes"))?;
    Ok((slot.executor.buffer_of(tensor)?.0, slot.bytes(tensor)))
}
