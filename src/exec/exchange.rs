//! What crosses lanes: messages from one lane to another, by name.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The bytes of a message.
pub type Payload = Arc<[u8]>;

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Activations of a micro-batch, for the next stage.
    Activations(usize),
    /// Gradients of a micro-batch's activations, for the stage before.
    Gradients(usize),
    /// A lane's sums of parameter gradients, of this bucket.
    Sums(usize),
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Activations(m) => write!(f, "the activations of micro-batch {m}"),
            Content::Gradients(m) => write!(f, "the gradients of micro-batch {m}"),
            Content::Sums(bucket) => write!(f, "the gradient sums of bucket {bucket}"),
        }
    }
}

/// The name of a message; each is sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The lane that sends it.
    pub from: usize,
    /// The lane that it is for.
    pub to: usize,
    /// The training step.
    pub step: u64,
    /// What it holds.
    pub content: Content,
}

/// Takes messages from lane to lane. Lanes in one process use [`LocalExchange`]; lanes in other
/// processes can stand behind another implementation.
///
/// An all-reduce is [`Exchange::broadcast`] of a lane's sums followed by [`Exchange::receive`] of
/// everyone else's; each lane then adds them up on its own device in the order of
/// [`tree`](super::tree), so that all have the same bits.
pub trait Exchange: Send + Sync + fmt::Debug {
    /// Sends; does not wait for the receiver.
    ///
    /// # Errors
    /// If the message cannot be taken on.
    fn send(&self, message: Message, payload: Payload) -> Result<()>;

    /// Takes a message, waiting for it for at most `within`; `None` if it is not there by then.
    ///
    /// # Errors
    /// If it cannot come any more, since the sender [stopped](Exchange::stop).
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>>;

    /// Says that `lane` sends nothing more, and why: whoever waits for it need not.
    fn stop(&self, lane: usize, reason: &str);

    /// Forgets all messages and stops.
    fn clear(&self);

    /// Sends the same to all of `lanes` lanes but the sender.
    ///
    /// # Errors
    /// As for [`Exchange::send`].
    fn broadcast(&self, message: Message, lanes: usize, payload: &Payload) -> Result<()> {
        (0..lanes)
            .filter(|&to| to != message.from)
            .try_for_each(|to| self.send(Message { to, ..message }, payload.clone()))
    }
}

/// The exchange within a process: a table of messages.
#[derive(Debug, Default)]
pub struct LocalExchange {
    table: Mutex<Table>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    messages: HashMap<Message, Payload>,
    stopped: HashMap<usize, String>,
}

impl LocalExchange {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for LocalExchange {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.table().messages.insert(message, payload);
        self.arrived.notify_all();
        Ok(())
    }

    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        let until = Instant::now() + within;
        let mut table = self.table();
        loop {
            if let Some(payload) = table.messages.remove(&message) {
                return Ok(Some(payload));
            }
            if let Some(reason) = table.stopped.get(&message.from) {
                return Err(Error::LaneStopped {
                    lane: message.from,
                    waiting_for: message.content.to_string(),
                    reason: reason.clone(),
                });
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            table =
                self.arrived.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop(&self, lane: usize, reason: &str) {
        self.table().stopped.entry(lane).or_insert_with(|| reason.into());
        self.arrived.notify_all();
    }

    fn clear(&self) {
        let mut table = self.table();
        table.messages.clear();
        table.stopped.clear();
    }
}
