//! A lane's second thread: it sends messages as soon as the device is done with them, whatever the
//! first one does. It sleeps until then: a thread that looks again and again takes the processor from a
//! software driver.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::record::Scribe;
use crate::exec::exchange::{Content, Exchange, Message, Payload};
use crate::exec::timeline::Activity;
use crate::gpu::{Arrival, Buffer, Gpu};
use crate::{Error, Result};

/// After so long it looks whether it is still needed.
const LOOK: Duration = Duration::from_millis(20);

/// A message whose payload the device still has to copy.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) message: Message,
    /// Whether it goes to all other lanes.
    pub(super) broadcast: bool,
    pub(super) staging: Buffer,
    pub(super) bytes: u64,
    pub(super) arrival: Arrival,
    /// After which the payload is there.
    pub(super) submission: Option<wgpu::SubmissionIndex>,
}

#[derive(Debug)]
pub(super) struct Courier<'a> {
    gpu: Gpu,
    exchange: &'a dyn Exchange,
    lanes: usize,
    desk: Mutex<Desk>,
    changed: Condvar,
}

#[derive(Debug)]
struct Desk {
    outbox: VecDeque<Outgoing>,
    /// Whether a message is on its way between the outbox and the exchange.
    sending: bool,
    closed: bool,
    done: Delivered,
    error: Option<Error>,
}

/// What a courier leaves behind.
#[derive(Debug)]
pub(super) struct Delivered {
    /// Staging buffers that are free again.
    pub(super) free: Vec<Buffer>,
    pub(super) bytes_sent: u64,
    pub(super) scribe: Scribe,
}

impl<'a> Courier<'a> {
    pub(super) fn new(gpu: Gpu, exchange: &'a dyn Exchange, lanes: usize, scribe: Scribe) -> Self {
        let done = Delivered { free: Vec::new(), bytes_sent: 0, scribe };
        let (outbox, error) = Default::default();
        let desk = Desk { outbox, sending: false, closed: false, done, error };
        Self { gpu, exchange, lanes, desk: Mutex::new(desk), changed: Condvar::new() }
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a message on.
    pub(super) fn post(&self, outgoing: Outgoing) {
        self.desk().outbox.push_back(outgoing);
        self.changed.notify_all();
    }

    /// Staging buffers that are free again.
    pub(super) fn free(&self) -> Vec<Buffer> {
        std::mem::take(&mut self.desk().done.free)
    }

    /// An error of sending, once.
    ///
    /// # Errors
    /// That error.
    pub(super) fn check(&self) -> Result<()> {
        self.desk().error.take().map_or(Ok(()), Err)
    }

    /// Waits until everything is sent.
    ///
    /// # Errors
    /// Those of sending; [`Error::Timeout`].
    pub(super) fn drain(&self, patience: Duration) -> Result<()> {
        let since = Instant::now();
        let mut desk = self.desk();
        while (!desk.outbox.is_empty() || desk.sending) && desk.error.is_none() {
            if since.elapsed() > patience {
                let seconds = since.elapsed().as_secs();
                return Err(Error::Timeout { during: "sending to another lane".into(), seconds });
            }
            desk = self.changed.wait_timeout(desk, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        desk.error.take().map_or(Ok(()), Err)
    }

    /// Ends [`Courier::work`]; what was not sent never is.
    pub(super) fn close(&self) {
        self.desk().closed = true;
        self.changed.notify_all();
    }

    /// Sends messages in order until closed or failed.
    pub(super) fn work(&self) {
        loop {
            let mut desk = self.desk();
            if desk.closed || desk.error.is_some() {
                return;
            }
            let Some(front) = desk.outbox.front() else {
                drop(self.changed.wait(desk));
                continue;
            };
            if !front.arrival.is_ready() {
                let submission = front.submission.clone();
                drop(desk);
                if let Err(error) = self.gpu.wait_for(submission, LOOK) {
                    self.desk().error = Some(error);
                    self.changed.notify_all();
                }
                continue;
            }
            let Some(outgoing) = desk.outbox.pop_front() else { continue };
            desk.sending = true;
            drop(desk);
            let sent = self.send(outgoing);
            desk = self.desk();
            desk.sending = false;
            desk.error = sent.err();
            self.changed.notify_all();
        }
    }

    fn send(&self, outgoing: Outgoing) -> Result<()> {
        let Outgoing { message, broadcast, staging, bytes, arrival, .. } = outgoing;
        pollster::block_on(arrival)?;
        let begun = Instant::now();
        let payload: Payload = self.gpu.mapped(&staging, bytes)?.into();
        let receivers = if broadcast { (self.lanes as u64).saturating_sub(1) } else { 1 };
        match broadcast {
            true => self.exchange.broadcast(message, self.lanes, &payload)?,
            false => self.exchange.send(message, payload)?,
        }
        let (name, micro_batch) = match message.content {
            Content::Activations(m) => ("activations out", Some(m)),
            Content::Gradients(m) => ("gradients out", Some(m)),
            Content::Sums(_) => ("gradient sums out", None),
        };
        let mut desk = self.desk();
        let done = &mut desk.done;
        done.free.push(staging);
        done.bytes_sent += bytes * receivers;
        let at = (message.step, micro_batch);
        done.scribe.note(Activity::Exchange, name, at, begun, bytes * receivers);
        Ok(())
    }

    pub(super) fn into_delivered(self) -> Delivered {
        self.desk.into_inner().unwrap_or_else(PoisonError::into_inner).done
    }
}
