//! Processes of a world as threads of one process, with the messages of all in one table.

use std::sync::Arc;
use std::time::Duration;

use crate::common::lanes;
use wgrad::lanes::exchange::{Exchange, LocalExchange, Message, Payload, RunId};
use wgrad::lanes::{ParallelOptions, World};
use wgrad::{Gpu, Result};

/// A table of which no process clears what is on its way to another.
#[derive(Debug, Default)]
struct Joined(LocalExchange);

impl Exchange for Joined {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.0.send(message, payload)
    }
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.0.receive(message, within)
    }
    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.0.stop(run, lane, reason);
    }
    fn clear(&self, _run: RunId) {}
}

/// Runs `work` in a thread for each rank, with options and devices of its own; what each came to.
pub fn world<T: Send>(
    options: &ParallelOptions,
    of_ranks: &[usize],
    work: impl Fn(ParallelOptions, Vec<Gpu>) -> Result<T> + Sync,
) -> Vec<Result<T>> {
    let all = lanes(of_ranks.iter().sum());
    let (exchange, patience) = (Arc::new(Joined::default()), Duration::from_secs(100));
    let shared = ParallelOptions { exchange, patience, ..options.clone() };
    let (work, shared) = (&work, &shared);
    std::thread::scope(|scope| {
        let process = |rank: usize| {
            let own = World::new(rank, of_ranks).unwrap();
            let gpus = all[own.own()].to_vec();
            let options = ParallelOptions { world: Some(own), ..shared.clone() };
            scope.spawn(move || work(options, gpus))
        };
        let threads: Vec<_> = (0..of_ranks.len()).map(process).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}
