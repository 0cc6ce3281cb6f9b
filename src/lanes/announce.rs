//! How the processes of a world come to the same steps: the first one says of each that it begins, and with
//! which learning rate. What callbacks want while lanes are out, and where a run ends early, is then the same
//! everywhere, however fast each process is.

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Content, Exchange, Message, Payload, RunId};
use super::world::World;
use crate::{Error, Result};

/// The line from the first process to the others.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) exchange: Arc<dyn Exchange>,
    pub(super) world: World,
    pub(super) run: RunId,
    pub(super) patience: Duration,
}

impl Line {
    /// Whether this process says what is done.
    pub(super) fn leads(&self) -> bool {
        self.world.is_first()
    }

    /// Says that step `number` begins with this learning rate, or that none begins any more.
    pub(super) fn say(&self, number: u64, learning_rate: Option<f32>) -> Result<()> {
        let payload: Payload =
            learning_rate.map_or_else(Vec::new, |rate| rate.to_le_bytes().to_vec()).into();
        let message =
            Message { run: self.run, from: 0, to: 0, step: number, content: Content::Start };
        self.exchange.multicast(message, &self.world.others(), &payload)
    }

    /// Waits for what the first process says of step `number`.
    pub(super) fn hear(&self, number: u64) -> Result<Option<f32>> {
        let to = self.world.first();
        let message = Message { run: self.run, from: 0, to, step: number, content: Content::Start };
        let received = self.exchange.receive(message, self.patience);
        let payload = received.map_err(|error| self.world.located(error))?;
        let late = || self.world.located(message.timeout(self.patience.as_secs_f64()));
        let payload = payload.ok_or_else(late)?;
        match <[u8; 4]>::try_from(&*payload) {
            Ok(bytes) => Ok(Some(f32::from_le_bytes(bytes))),
            Err(_) if payload.is_empty() => Ok(None),
            Err(_) => {
                let checked = message.check(&payload, 4).map_err(|error| self.world.located(error));
                checked.and(Err(Error::bug("a message of four bytes that is not")))
            }
        }
    }
}
