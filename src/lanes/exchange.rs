//! What crosses lanes: messages from one lane to another, by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{Error, Result};

/// The bytes of a message.
pub type Payload = Arc<[u8]>;

/// A run of a training, unlike all others of this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RunId(u64);

impl RunId {
    /// The next one.
    pub fn next() -> Self {
        static RUNS: AtomicU64 = AtomicU64::new(0);
        Self(RUNS.fetch_add(1, Ordering::Relaxed))
    }

    /// Bits of a number below those that name a training.
    pub(crate) const OF_TRAINING: u32 = 40;

    /// What the runs of one training over [processes](super::World) have in common, where several are on one exchange.
    /// Within a training they are counted up.
    pub fn training(self) -> u64 {
        self.0 >> Self::OF_TRAINING
    }

    /// Its number, counted from 0 in this process; of a training over [processes](super::World) a number that
    /// all of them count alike, from 2⁶³ on.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The run of this number, for whoever carries messages from process to process.
    pub fn of(number: u64) -> Self {
        Self(number)
    }
}

/// What a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Content {
    /// Activations of a micro-batch, for the next stage.
    Activations(usize),
    /// Gradients of a micro-batch's activations, for the stage before.
    Gradients(usize),
    /// A lane's sums of parameter gradients, of this bucket.
    Sums(usize),
    /// The sum of all lanes, of this bucket.
    Totals(usize),
    /// That the first process begins a step, with its learning rate; nothing if it begins no more.
    Start,
    /// What processes compare before they go on.
    Agreement,
    /// Parameters and optimizer states of this stage.
    State(usize),
    /// What the first process came to between two runs: a validation, what callbacks want.
    Word,
    /// What lanes of a process did when, for the timeline.
    Spans,
}

impl Content {
    fn words(self) -> (u64, usize) {
        match self {
            Content::Activations(number) => (0, number),
            Content::Gradients(number) => (1, number),
            Content::Sums(number) => (2, number),
            Content::Totals(number) => (3, number),
            Content::Start => (4, 0),
            Content::Agreement => (5, 0),
            Content::State(number) => (6, number),
            Content::Word => (7, 0),
            Content::Spans => (8, 0),
        }
    }

    fn of_words(kind: u64, number: usize) -> Option<Self> {
        Some(match kind {
            0 => Content::Activations(number),
            1 => Content::Gradients(number),
            2 => Content::Sums(number),
            3 => Content::Totals(number),
            4 => Content::Start,
            5 => Content::Agreement,
            6 => Content::State(number),
            7 => Content::Word,
            8 => Content::Spans,
            _ => return None,
        })
    }
}

impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Activations(m) => write!(f, "the activations of micro-batch {m}"),
            Content::Gradients(m) => write!(f, "the gradients of micro-batch {m}"),
            Content::Sums(bucket) => write!(f, "the gradient sums of bucket {bucket}"),
            Content::Totals(bucket) => write!(f, "the sum of all lanes of bucket {bucket}"),
            Content::Start => f.write_str("the word that the step begins"),
            Content::Agreement => f.write_str("the comparison of what is trained, and how"),
            Content::State(stage) => write!(f, "the parameters of stage {stage}"),
            Content::Word => f.write_str("what the first process came to"),
            Content::Spans => f.write_str("the timeline"),
        }
    }
}

/// The name of a message; each is sent once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Message {
    /// The run that it belongs to: trainings at the same time may share an exchange, and what is left
    /// of a run that failed is nothing to the next one.
    pub run: RunId,
    /// The lane that sends it.
    pub from: usize,
    /// The lane that it is for; of a broadcast's template, the sender.
    pub to: usize,
    /// The training step.
    pub step: u64,
    /// What it holds.
    pub content: Content,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, step, content, .. } = self;
        match from == to {
            true => write!(f, "sending {content} of step {step} from lane {from} to all others"),
            false => write!(f, "sending {content} of step {step} from lane {from} to lane {to}"),
        }
    }
}

/// Takes messages from lane to lane. Lanes in one process use [`LocalExchange`]; lanes in other
/// processes stand behind another implementation, such as that of the crate `wgrad-mpi`. One that joins the
/// processes of a [`World`](super::World) is for one training of theirs.
///
/// An all-reduce is [`Exchange::broadcast`] of a lane's part followed by [`Exchange::receive`] of
/// everyone else's, added up in the same order everywhere so that all have the same bits.
/// [`Exchange::all_reduce`] does both in one call, for numbers on the host. Lanes do the two apart, so
/// that they compute in between: each broadcasts its sums of gradients while the rest of its backward
/// pass runs, and adds everyone's on its own device in the order of [`tree`](super::tree).
pub trait Exchange: Send + Sync + fmt::Debug {
    /// Sends; does not wait for the receiver.
    ///
    /// # Errors
    /// If the message cannot be taken on, as when one of its name is there already.
    fn send(&self, message: Message, payload: Payload) -> Result<()>;

    /// Takes a message, waiting for it for at most `within`; `None` if it is not there by then.
    ///
    /// # Errors
    /// If it cannot come any more, since the sender [stopped](Exchange::stop).
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>>;

    /// Says that `lane` sends nothing more in `run`, and why: whoever waits for it need not.
    fn stop(&self, run: RunId, lane: usize, reason: &str);

    /// Forgets all messages and stops of `run`; between processes those that came to this one.
    fn clear(&self, run: RunId);

    /// Sends the same to each of the lanes `to`. Between processes it goes to each process once.
    ///
    /// # Errors
    /// As for [`Exchange::send`].
    fn multicast(&self, message: Message, to: &[usize], payload: &Payload) -> Result<()> {
        to.iter().try_for_each(|&to| self.send(Message { to, ..message }, payload.clone()))
    }

    /// Sends the same to all of `lanes` lanes but the sender.
    ///
    /// # Errors
    /// As for [`Exchange::send`].
    fn broadcast(&self, message: Message, lanes: usize, payload: &Payload) -> Result<()> {
        let others: Vec<usize> = (0..lanes).filter(|&to| to != message.from).collect();
        self.multicast(message, &others, payload)
    }

    /// Sends `own`, the part of lane `message.from`, to all other of `lanes` lanes, and gives the parts
    /// of all lanes to `add` in their order, the own one at its place. Every lane calls it, with the
    /// same `run`, `step` and `content`.
    ///
    /// # Errors
    /// As for [`Exchange::send`] and [`Exchange::receive`]; [`Error::LaneTimeout`] if a part is not
    /// there after `patience`; [`Error::LaneMessage`] if it has not the length of the own one; those
    /// of `add`.
    fn all_reduce(
        &self,
        message: Message,
        lanes: usize,
        own: &Payload,
        patience: Duration,
        add: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        self.broadcast(message, lanes, own)?;
        for from in 0..lanes {
            if from == message.from {
                add(own)?;
                continue;
            }
            let theirs = Message { from, to: message.from, ..message };
            let part = self.receive(theirs, patience)?;
            let part = part.ok_or_else(|| theirs.timeout(patience.as_secs_f64()))?;
            theirs.check(&part, own.len())?;
            add(&part)?;
        }
        Ok(())
    }
}

impl Message {
    /// Bytes of a name.
    pub const BYTES: usize = 48;

    /// The name as bytes, for whoever carries messages from process to process.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let (kind, number) = self.content.words();
        let words = [self.run.0, self.from as u64, self.to as u64, self.step, kind, number as u64];
        let mut bytes = [0; Self::BYTES];
        for (place, word) in bytes.chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// The name that these bytes are, if they are one.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let words: Vec<u64> = match bytes.len() {
            Self::BYTES => bytes.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect(),
            _ => return None,
        };
        let &[run, from, to, step, kind, number] = words.as_slice() else { return None };
        let content = Content::of_words(u64::from_le(kind), u64::from_le(number).try_into().ok()?)?;
        let lane = |word: u64| u64::from_le(word).try_into().ok();
        let (from, to) = (lane(from)?, lane(to)?);
        Some(Self { run: RunId(u64::from_le(run)), from, to, step: u64::from_le(step), content })
    }

    /// The error of a payload that is not `expected` bytes long.
    pub(crate) fn check(&self, payload: &[u8], expected: usize) -> Result<()> {
        if payload.len() == expected {
            return Ok(());
        }
        let (lane, step, what) = (self.from, self.step, self.content.to_string());
        Err(Error::LaneMessage { lane, step, what, bytes: payload.len(), expected })
    }

    /// The error of a message that did not come.
    pub(crate) fn timeout(&self, seconds: f64) -> Error {
        let waiting_for = self.content.to_string();
        Error::LaneTimeout { lane: self.from, step: self.step, waiting_for, seconds }
    }
}

/// Whoever waits looks again so often, at least: no system's clock has to count to the end of the
/// longest times there are.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// The exchange within a process: a table of messages.
#[derive(Debug, Default)]
pub struct LocalExchange {
    table: Mutex<Table>,
    arrived: Condvar,
}

#[derive(Debug, Default)]
struct Table {
    messages: HashMap<Message, Payload>,
    stopped: HashMap<(RunId, usize), String>,
}

impl LocalExchange {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Exchange for LocalExchange {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        match self.table().messages.entry(message) {
            Entry::Vacant(place) => drop(place.insert(payload)),
            Entry::Occupied(_) => {
                let rule = "sent once: take the first one before, or name another step or content";
                return Err(Error::argument("the message", message, rule));
            }
        }
        self.arrived.notify_all();
        Ok(())
    }

    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        let since = Instant::now();
        let mut table = self.table();
        loop {
            if let Some(payload) = table.messages.remove(&message) {
                return Ok(Some(payload));
            }
            if let Some(reason) = table.stopped.get(&(message.run, message.from)) {
                return Err(Error::LaneStopped {
                    lane: message.from,
                    waiting_for: message.content.to_string(),
                    reason: reason.clone(),
                });
            }
            // Not the moment of the end: for the longest times there is none.
            let left = within.saturating_sub(since.elapsed()).min(LONGEST_WAIT);
            if left.is_zero() {
                return Ok(None);
            }
            table =
                self.arrived.wait_timeout(table, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.table().stopped.entry((run, lane)).or_insert_with(|| reason.into());
        self.arrived.notify_all();
    }

    fn clear(&self, run: RunId) {
        let mut table = self.table();
        table.messages.retain(|message, _| message.run != run);
        table.stopped.retain(|(stopped, _), _| *stopped != run);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(run: RunId, lane: usize) -> Message {
        Message { run, from: lane, to: lane, step: 3, content: Content::Sums(0) }
    }

    /// All-reduces one number per lane, each lane in a thread; what each lane came to.
    fn reduced(exchange: &LocalExchange, run: RunId, numbers: &[f32]) -> Vec<Result<f32>> {
        std::thread::scope(|scope| {
            let lane = |(lane, number): (usize, &f32)| {
                let own: Payload = number.to_le_bytes().to_vec().into();
                scope.spawn(move || {
                    let mut sum = 0.0;
                    let mut add = |part: &[u8]| {
                        sum += bytemuck::pod_read_unaligned::<f32>(part);
                        Ok(())
                    };
                    let (message, patience) = (sums(run, lane), Duration::from_secs(10));
                    exchange.all_reduce(message, numbers.len(), &own, patience, &mut add)?;
                    Ok(sum)
                })
            };
            let threads: Vec<_> = numbers.iter().enumerate().map(lane).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn an_all_reduce_gives_all_lanes_the_same_bits() {
        let exchange = LocalExchange::default();
        // Added in another order, these give other bits.
        let numbers = [1e8_f32, 1.0, -1e8, 1.0];
        let expected = numbers.iter().fold(0.0_f32, |sum, number| sum + number);
        for sum in reduced(&exchange, RunId::next(), &numbers) {
            assert_eq!(sum.unwrap().to_bits(), expected.to_bits());
        }
        // Nothing is left behind.
        assert!(exchange.table().messages.is_empty());
    }

    #[test]
    fn names_are_what_they_were_after_a_journey() {
        let contents =
            (0..9).map(|kind| Content::of_words(kind, if kind < 4 || kind == 6 { 7 } else { 0 }));
        for content in contents {
            let content = content.unwrap();
            let run = RunId::of(1 << 63 | 5);
            let message = Message { run, from: 3, to: usize::MAX, step: u64::MAX, content };
            let bytes = message.to_bytes();
            assert_eq!(Message::from_bytes(&bytes), Some(message));
            assert_eq!(Message::from_bytes(&bytes[1..]), None);
        }
        assert_eq!(Content::of_words(9, 0), None);
    }

    #[test]
    fn runs_do_not_mix() {
        let exchange = LocalExchange::default();
        let (one, other) = (RunId::next(), RunId::next());
        let payload: Payload = vec![7; 4].into();
        exchange.send(sums(one, 0), payload.clone()).unwrap();
        exchange.stop(one, 1, "gone");
        let at_once = Duration::ZERO;
        assert_eq!(exchange.receive(sums(other, 0), at_once).unwrap(), None);
        assert_eq!(exchange.receive(sums(other, 1), at_once).unwrap(), None);
        exchange.clear(other);
        assert!(exchange.receive(sums(one, 1), at_once).is_err());
        assert_eq!(exchange.receive(sums(one, 0), at_once).unwrap(), Some(payload));
        exchange.clear(one);
        assert_eq!(exchange.receive(sums(one, 1), at_once).unwrap(), None);
    }

    /// The first one is not lost for a second of its name.
    #[test]
    fn a_message_is_sent_once() {
        let exchange = LocalExchange::default();
        let message = sums(RunId::next(), 0);
        let payload = |byte: u8| -> Payload { vec![byte; 4].into() };
        exchange.send(message, payload(1)).unwrap();
        let error = exchange.send(message, payload(2)).unwrap_err().to_string();
        assert!(error.contains("step 3 from lane 0") && error.contains("once"), "{error}");
        assert_eq!(exchange.receive(message, Duration::ZERO).unwrap(), Some(payload(1)));
        exchange.send(message, payload(3)).unwrap();
    }

    #[test]
    fn parts_of_another_length_are_refused() {
        let exchange = LocalExchange::default();
        let run = RunId::next();
        exchange.send(Message { to: 0, ..sums(run, 1) }, vec![0; 3].into()).unwrap();
        let (own, patience): (Payload, _) = (vec![0; 4].into(), Duration::from_secs(1));
        let refused = exchange.all_reduce(sums(run, 0), 2, &own, patience, &mut |_| Ok(()));
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("lane 1") && error.contains("step 3"), "{error}");
        assert!(error.contains("3 bytes") && error.contains('4'), "{error}");
    }
}
