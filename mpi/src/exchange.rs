//! The exchange of one training: a table of what has come, and the way to the thread that owns MPI.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use wgrad::lanes::World;
use wgrad::lanes::exchange::{Content, Exchange, LocalExchange, Message, Payload, RunId};
use wgrad::{Error, Result};

use crate::frame::{Frame, Kind};

/// How often whoever waits looks whether the sender is gone.
const LOOK: Duration = Duration::from_millis(50);

/// What has come for one exchange.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    table: LocalExchange,
    /// Of each training that shares it the runs below which all are over: what still comes of them is dropped.
    over: Mutex<HashMap<u64, u64>>,
}

impl Inbox {
    /// # Errors
    /// What is wrong with the frame.
    pub(crate) fn take(&self, frame: Frame) -> Result<(), String> {
        let Frame { kind, message, to, payload, .. } = frame;
        let over = lock(&self.over).get(&message.run.training()).copied();
        if over.is_some_and(|over| message.run.number() < over) {
            return Ok(());
        }
        match kind {
            Kind::Payload => {
                for to in to {
                    let sent = self.table.send(Message { to, ..message }, payload.clone());
                    sent.map_err(|error| error.to_string())?;
                }
            }
            Kind::Stop => {
                let reason = String::from_utf8_lossy(&payload);
                self.table.stop(message.run, message.from, &reason);
            }
            Kind::Bye => {}
        }
        Ok(())
    }
}

/// What all exchanges of a process share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    inboxes: Mutex<HashMap<u32, Arc<Inbox>>>,
    /// Why nothing comes any more from these processes.
    gone: Mutex<HashMap<usize, String>>,
    /// How many wait for something to come.
    waiting: AtomicUsize,
    pub(crate) bytes_sent: AtomicU64,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// That of an exchange, which this process may make later than another.
    pub(crate) fn inbox(&self, channel: u32) -> Arc<Inbox> {
        lock(&self.inboxes).entry(channel).or_default().clone()
    }

    /// Whether something that comes is waited for.
    pub(crate) fn is_waited_on(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn lose(&self, rank: usize, reason: &str) {
        lock(&self.gone).entry(rank).or_insert_with(|| reason.into());
    }

    fn gone(&self, rank: usize) -> Option<String> {
        lock(&self.gone).get(&rank).cloned()
    }
}

/// Someone who waits.
struct Waits<'a>(&'a AtomicUsize);

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        waiting.fetch_add(1, Ordering::Relaxed);
        Self(waiting)
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What the thread that owns MPI is to send, to these processes.
#[derive(Debug)]
pub(crate) struct Post {
    pub(crate) ranks: Vec<usize>,
    pub(crate) frame: Frame,
}

/// The exchange of one training over the processes of an MPI job; [`Mpi::exchange`](crate::Mpi::exchange) makes it.
#[derive(Debug)]
pub struct MpiExchange {
    pub(crate) channel: u32,
    pub(crate) world: World,
    pub(crate) inbox: Arc<Inbox>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) posts: Sender<Post>,
}

impl MpiExchange {
    fn post(
        &self,
        ranks: Vec<usize>,
        kind: Kind,
        message: Message,
        to: Vec<usize>,
        payload: Payload,
    ) {
        let frame = Frame { kind, channel: self.channel, message, to, payload };
        // After the end of MPI there is nobody who could be told.
        drop(self.posts.send(Post { ranks, frame }));
    }

    fn rank_of(&self, lane: usize) -> Result<usize> {
        let rule = format!("below {}, the lanes of all processes", self.world.lanes());
        self.world.rank_of(lane).ok_or_else(|| Error::argument("lane", lane, &rule))
    }

    fn check_sender(&self, message: Message) -> Result<()> {
        let sender = self.rank_of(message.from)?;
        match self.shared.gone(sender) {
            Some(reason) => Err(Error::LaneStopped {
                lane: message.from,
                waiting_for: message.content.to_string(),
                reason: format!("rank {sender} {reason}"),
            }),
            None => Ok(()),
        }
    }
}

impl Exchange for MpiExchange {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.multicast(message, &[message.to], &payload)
    }

    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        let since = Instant::now();
        let _waits = Waits::begin(&self.shared.waiting);
        loop {
            let left = within.saturating_sub(since.elapsed());
            if let Some(payload) = self.inbox.table.receive(message, left.min(LOOK))? {
                return Ok(Some(payload));
            }
            if let Err(gone) = self.check_sender(message) {
                // What it sent before is here by now.
                let last = self.inbox.table.receive(message, Duration::ZERO)?;
                return last.map_or(Err(gone), |payload| Ok(Some(payload)));
            }
            if left <= LOOK {
                return Ok(None);
            }
        }
    }

    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.inbox.table.stop(run, lane, reason);
        let others: Vec<usize> =
            (0..self.world.ranks()).filter(|&rank| rank != self.world.rank()).collect();
        let message = Message { run, from: lane, to: lane, step: 0, content: Content::Word };
        self.post(others, Kind::Stop, message, Vec::new(), reason.as_bytes().into());
    }

    fn clear(&self, run: RunId) {
        let after = run.number().saturating_add(1);
        let mut over = lock(&self.inbox.over);
        let known = over.entry(run.training()).or_insert(after);
        *known = after.max(*known);
        drop(over);
        self.inbox.table.clear(run);
    }

    /// Every process gets it once, whatever the number of its lanes.
    fn multicast(&self, message: Message, to: &[usize], payload: &Payload) -> Result<()> {
        let mut of_ranks: Vec<(usize, Vec<usize>)> = Vec::new();
        for &lane in to {
            let rank = self.rank_of(lane)?;
            match of_ranks.iter_mut().find(|(other, _)| *other == rank) {
                Some((_, lanes)) => lanes.push(lane),
                None => of_ranks.push((rank, vec![lane])),
            }
        }
        for (rank, lanes) in of_ranks {
            if rank == self.world.rank() {
                for to in lanes {
                    self.inbox.table.send(Message { to, ..message }, payload.clone())?;
                }
            } else {
                self.post(vec![rank], Kind::Payload, message, lanes, payload.clone());
            }
        }
        Ok(())
    }
}
