//! How to train over lanes, and what that holds.

use std::sync::Arc;
use std::time::Duration;

use crate::exec::exchange::{Exchange, LocalExchange};
use crate::exec::schedule::Schedule;
use crate::train::Residency;

/// How to train over lanes.
#[derive(Clone, Debug)]
pub struct ParallelOptions {
    /// Rows per step.
    pub batch: usize,
    /// Parts of a batch whose gradients are computed apart. The result depends on it, in the last
    /// digits; it does not depend on the schedule.
    pub micro_batches: usize,
    /// How the work is laid over lanes.
    pub schedule: Schedule,
    /// Where the data set lies, on each lane that needs it.
    pub residency: Residency,
    /// Parts in which replicas exchange their sums, the first while the last backward pass runs.
    pub buckets: usize,
    /// Whether every step copies parameters and optimizer state to the host, so that at most the
    /// step at hand is lost with a device. Else the last step of each run does.
    pub keep_state: bool,
    /// Longest wait for another lane.
    pub patience: Duration,
    /// What carries messages from lane to lane.
    pub exchange: Arc<dyn Exchange>,
}

impl ParallelOptions {
    /// Batches of `batch` rows in `micro_batches` parts.
    pub fn new(batch: usize, micro_batches: usize, schedule: Schedule) -> Self {
        Self {
            batch,
            micro_batches,
            schedule,
            residency: Residency::Auto,
            buckets: 2,
            keep_state: true,
            patience: Duration::from_secs(60),
            exchange: Arc::new(LocalExchange::default()),
        }
    }
}

/// Memory of one lane, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneMemory {
    /// Micro-batches whose activations it holds at once, at most.
    pub micro_batches_in_flight: usize,
    /// Intermediate tensors of those.
    pub activations: u64,
    /// Sums of gradients.
    pub sums: u64,
    /// Parameters, gradients and optimizer state.
    pub parameters: u64,
}
