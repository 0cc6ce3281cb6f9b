//! A lane's second thread: it sleeps until the device is done with a submission, and hands on what was
//! waiting for that: messages to other lanes, reports to the lane's own thread. So messages leave as
//! soon as they can, whatever the first thread does, and the state after a step is on the host as soon
//! as the step is done.
//!
//! It is the one thread that waits inside wgpu, and it waits without a limit: wgpu-core 30 panics if
//! such a wait times out while another thread takes the finished submission from the queue. What has a
//! limit is the first thread's wait for this one. If the device hangs, the first thread gives up and
//! leaves this one behind, asleep in the driver, with nothing that anybody needs.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::exchange::{Content, Exchange, LONGEST_WAIT, Message, Payload};
use super::record::HostRecorder;
use super::timeline::Activity;
use super::wire::{Coding, Residuals};
use crate::gpu::{Arrival, Buffer, Gpu};
use crate::{Error, Result};

/// A message whose payload the device still has to copy.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: Message,
    /// The lanes that it goes to.
    pub(super) to: Vec<usize>,
    pub(super) staging: Buffer,
    pub(super) bytes: u64,
    pub(super) arrival: Arrival,
    /// How it is coded, if it is.
    pub(super) coding: Option<Coding>,
}

/// A step's report that the device still has to copy.
#[derive(Debug)]
pub(super) struct Report {
    /// Steps completed with it.
    pub(super) step: u64,
    pub(super) staging: Buffer,
    pub(super) arrival: Arrival,
}

/// A report that has come: status, scalars, and perhaps parameters and optimizer states.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) step: u64,
    pub(super) bytes: Vec<u8>,
}

#[derive(Debug)]
enum Task {
    Send(Outgoing),
    Read(Report),
}

/// What a message thread leaves behind.
#[derive(Debug)]
pub(super) struct Delivered {
    /// Staging buffers that are free again.
    pub(super) free: Vec<Buffer>,
    pub(super) bytes_sent: u64,
    pub(super) host_recorder: HostRecorder,
}

/// The first thread's hold on the second.
#[derive(Debug)]
pub(super) struct MessageThread(Arc<Channel>, Option<JoinHandle<()>>);

#[derive(Debug)]
struct Channel {
    gpu: Gpu,
    exchange: Arc<dyn Exchange>,
    lane: usize,
    residuals: Arc<Mutex<Residuals>>,
    queues: Mutex<Queues>,
    changed: Condvar,
}

#[derive(Debug)]
struct Queues {
    /// What to do after the submissions of these numbers, in their order.
    tasks: VecDeque<(u64, Task)>,
    /// Submissions to wait for.
    watched: VecDeque<(u64, wgpu::SubmissionIndex)>,
    submitted: u64,
    done: u64,
    /// Whether a task is in hand, and the message if it is one.
    busy: bool,
    sending: Option<Message>,
    reports: VecDeque<Read>,
    /// Whether messages are dropped.
    mute: bool,
    closed: bool,
    ended: bool,
    error: Option<Error>,
    /// The step of the first message or report that failed.
    failed_in: Option<u64>,
    delivered: Delivered,
}

impl MessageThread {
    /// Starts the thread of lane `lane`.
    ///
    /// # Errors
    /// [`Error::Thread`] if the system has no more.
    pub(super) fn start(
        gpu: Gpu,
        exchange: Arc<dyn Exchange>,
        (lane, residuals): (usize, Arc<Mutex<Residuals>>),
        host_recorder: HostRecorder,
    ) -> Result<Self> {
        let queues = Queues {
            tasks: VecDeque::new(),
            watched: VecDeque::new(),
            submitted: 0,
            done: 0,
            busy: false,
            sending: None,
            reports: VecDeque::new(),
            mute: false,
            closed: false,
            ended: false,
            error: None,
            failed_in: None,
            delivered: Delivered { free: Vec::new(), bytes_sent: 0, host_recorder },
        };
        let (queues, changed) = (Mutex::new(queues), Condvar::new());
        let shared = Arc::new(Channel { gpu, exchange, lane, residuals, queues, changed });
        let its = shared.clone();
        let thread = std::thread::Builder::new().name(format!("wgrad messages {lane}"));
        match thread.spawn(move || its.work()) {
            Ok(thread) => Ok(Self(shared, Some(thread))),
            Err(source) => {
                let purpose = format!("the wait of lane {lane} for its device");
                Err(Error::Thread { purpose, source })
            }
        }
    }

    /// Watches a submission.
    pub(super) fn submitted(&self, index: wgpu::SubmissionIndex) {
        let mut queues = self.0.queues();
        queues.submitted += 1;
        let number = queues.submitted;
        queues.watched.push_back((number, index));
        self.0.changed.notify_all();
    }

    /// Takes a message on, to be sent after the last submission.
    pub(super) fn post(&self, outgoing: Outgoing) {
        self.add(Task::Send(outgoing));
    }

    /// Takes a report on, to be read after the last submission.
    pub(super) fn await_report(&self, report: Report) {
        self.add(Task::Read(report));
    }

    fn add(&self, task: Task) {
        let mut queues = self.0.queues();
        let number = queues.submitted;
        queues.tasks.push_back((number, task));
        self.0.changed.notify_all();
    }

    /// Staging buffers that are free again.
    pub(super) fn free(&self) -> Vec<Buffer> {
        std::mem::take(&mut self.0.queues().delivered.free)
    }

    /// An error of the thread, once.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<()> {
        self.0.queues().error.take().map_or(Ok(()), Err)
    }

    /// The step of the first message or report that failed. The first thread may be in a later one.
    pub(super) fn failed_in(&self) -> Option<u64> {
        self.0.queues().failed_in
    }

    /// Waits until the device is done with everything submitted before this, in `step`.
    ///
    /// # Errors
    /// Those of the thread; [`Error::Timeout`] after `patience`.
    pub(super) fn wait_for_submissions(&self, step: u64, patience: Duration) -> Result<()> {
        let last = self.0.queues().submitted;
        let is_done = |queues: &mut Queues| (queues.done >= last).then_some(());
        let lane = self.0.lane;
        let what = |_: &Queues| format!("the submission before, in step {step} on lane {lane}");
        self.0.until(patience, is_done, what)
    }

    /// The next report, for which it waits.
    ///
    /// # Errors
    /// Those of the thread; [`Error::Timeout`] after `patience`.
    pub(super) fn next_report(&self, step: u64, patience: Duration) -> Result<Read> {
        let lane = self.0.lane;
        let what = |_: &Queues| format!("step {step} on lane {lane}");
        self.0.until(patience, |queues| queues.reports.pop_front(), what)
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    /// Those of the thread; [`Error::Timeout`] after `patience`.
    pub(super) fn drain(&self, patience: Duration) -> Result<()> {
        let is_idle = |queues: &mut Queues| queues.is_idle().then_some(());
        self.0.until(patience, is_idle, |queues| match queues.next_message() {
            Some(message) => message.to_string(),
            None => format!("the last report of lane {}", self.0.lane),
        })
    }

    /// After an error: drops all messages and waits for the reports that can still come.
    pub(super) fn salvage(&self, patience: Duration) -> VecDeque<Read> {
        self.0.queues().mute = true;
        let is_idle = |queues: &mut Queues| queues.is_idle().then_some(());
        // Errors are old news now, and there may be several.
        let since = Instant::now();
        while self.0.until(patience, is_idle, |_| String::new()).is_err() {
            if since.elapsed() > patience || self.0.queues().ended {
                break;
            }
        }
        std::mem::take(&mut self.0.queues().reports)
    }

    /// Ends the thread, waiting for it for at most `patience`; what was not sent never is.
    pub(super) fn end(mut self, patience: Duration) -> Delivered {
        let thread = self.1.take();
        let mut queues = self.0.queues();
        queues.closed = true;
        self.0.changed.notify_all();
        let since = Instant::now();
        while !queues.ended {
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() {
                break;
            }
            queues = self.0.pause(queues, left);
        }
        let host_recorder = queues.delivered.host_recorder.another();
        let nothing = Delivered { free: Vec::new(), bytes_sent: 0, host_recorder };
        let delivered = std::mem::replace(&mut queues.delivered, nothing);
        let ended = queues.ended;
        drop(queues);
        if let Some(thread) = thread
            && ended
        {
            // It has nothing left to do; if it panicked, it said so.
            let _ = thread.join();
        }
        delivered
    }
}

/// Nobody hears of the thread any more.
impl Drop for MessageThread {
    fn drop(&mut self) {
        self.0.queues().closed = true;
        self.0.changed.notify_all();
    }
}

impl Queues {
    fn is_idle(&self) -> bool {
        self.tasks.is_empty() && !self.busy
    }

    /// The message that is sent next, or just now.
    fn next_message(&self) -> Option<Message> {
        let waiting = self.tasks.iter().find_map(|(_, task)| match task {
            Task::Send(outgoing) => Some(outgoing.message),
            Task::Read(_) => None,
        });
        self.sending.or(waiting)
    }
}

/// Says that the thread is at its end, also if it panics.
struct Ending<'a>(&'a Channel);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut queues = self.0.queues();
        queues.ended = true;
        if std::thread::panicking() {
            let waiting_for = "its device".into();
            let reason = "the thread that waits for it panicked".into();
            let error = Error::LaneStopped { lane: self.0.lane, waiting_for, reason };
            queues.error.get_or_insert(error);
        }
        self.0.changed.notify_all();
    }
}

impl Channel {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pause<'a>(&self, queues: MutexGuard<'a, Queues>, most: Duration) -> MutexGuard<'a, Queues> {
        let most = most.min(LONGEST_WAIT);
        self.changed.wait_timeout(queues, most).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits, for the first thread, for what `found` looks for.
    fn until<T>(
        &self,
        patience: Duration,
        mut found: impl FnMut(&mut Queues) -> Option<T>,
        during: impl Fn(&Queues) -> String,
    ) -> Result<T> {
        let since = Instant::now();
        let mut queues = self.queues();
        let mut waits = false;
        loop {
            if let Some(found) = found(&mut queues) {
                return Ok(found);
            }
            if let Some(error) = queues.error.take() {
                return Err(error);
            }
            let left = patience.saturating_sub(since.elapsed());
            if left.is_zero() || queues.ended {
                let seconds = since.elapsed().as_secs();
                return Err(Error::Timeout { during: during(&queues), seconds });
            }
            if !std::mem::replace(&mut waits, true) {
                self.gpu.tally().host_waits.add(1);
            }
            queues = self.pause(queues, left);
        }
    }

    /// Waits for submissions in order, and does what was to be done after each, until closed.
    fn work(&self) {
        let _ending = Ending(self);
        let mut queues = self.queues();
        loop {
            let done = queues.done;
            if queues.closed {
                return;
            }
            let is_due = queues.tasks.front().is_some_and(|(after, _)| *after <= done);
            let due = if is_due { queues.tasks.pop_front() } else { None };
            if let Some((_, task)) = due {
                if let Task::Send(_) = task
                    && queues.mute
                {
                    self.changed.notify_all();
                    continue;
                }
                queues.busy = true;
                queues.sending = match &task {
                    Task::Send(outgoing) => Some(outgoing.message),
                    Task::Read(_) => None,
                };
                drop(queues);
                let step = match &task {
                    Task::Send(outgoing) => outgoing.message.step,
                    Task::Read(report) => report.step.saturating_sub(1),
                };
                let result = match task {
                    Task::Send(outgoing) => self.send(outgoing),
                    Task::Read(report) => self.read(report),
                };
                queues = self.queues();
                (queues.busy, queues.sending) = (false, None);
                if let Err(error) = result {
                    // What comes after a message that is missing is of no use to anybody.
                    queues.mute = true;
                    queues.error.get_or_insert(error);
                    queues.failed_in.get_or_insert(step);
                }
                self.changed.notify_all();
            } else if let Some((number, index)) = queues.watched.pop_front() {
                drop(queues);
                let waited = self.gpu.wait_for(index);
                queues = self.queues();
                queues.done = number;
                if let Err(error) = waited {
                    queues.error.get_or_insert(error);
                }
                self.changed.notify_all();
            } else {
                queues = self.changed.wait(queues).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn send(&self, outgoing: Outgoing) -> Result<()> {
        let Outgoing { message, to, staging, bytes, arrival, coding } = outgoing;
        pollster::block_on(arrival)?;
        let begun = Instant::now();
        let mut payload = self.gpu.mapped(&staging, bytes)?;
        if let Some(coding) = coding {
            let mut residuals = self.residuals.lock().unwrap_or_else(PoisonError::into_inner);
            payload = residuals.encode(message.content, &payload, coding);
        }
        let payload: Payload = payload.into();
        let bytes = payload.len() as u64;
        let receivers = to.iter().filter(|&&to| to != self.lane).count() as u64;
        match to.as_slice() {
            &[to] => self.exchange.send(Message { to, ..message }, payload)?,
            to => self.exchange.multicast(message, to, &payload)?,
        }
        let (name, micro_batch) = match message.content {
            Content::Activations(m) => ("activations out", Some(m)),
            Content::Gradients(m) => ("gradients out", Some(m)),
            Content::Totals(_) => ("sums of all out", None),
            _ => ("gradient sums out", None),
        };
        let mut queues = self.queues();
        let done = &mut queues.delivered;
        done.free.push(staging);
        done.bytes_sent += bytes * receivers;
        let at = (message.step, micro_batch);
        done.host_recorder.note(Activity::Exchange, name, at, begun, bytes * receivers);
        Ok(())
    }

    fn read(&self, report: Report) -> Result<()> {
        let Report { step, staging, arrival } = report;
        pollster::block_on(arrival)?;
        let begun = Instant::now();
        let bytes = self.gpu.mapped(&staging, staging.size())?;
        let mut queues = self.queues();
        let done = &mut queues.delivered;
        done.free.push(staging);
        let at = (step.saturating_sub(1), None);
        done.host_recorder.note(Activity::Readback, "report", at, begun, bytes.len() as u64);
        queues.reports.push_back(Read { step, bytes });
        Ok(())
    }
}
