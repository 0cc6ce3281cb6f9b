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
    /// Whether every step copies parameters and optimizer state to the host. With it, a device that is
    /// lost takes no completed step along: in a pipeline a step is completed when the copies of all
    /// stages have arrived, and what is lost are the steps that some stage had not finished, one or
    /// two. Without it, the last step of each run makes the copy, and a pipeline that loses a device
    /// goes back to the state before the run. Replicas do not depend on it: each has everything, and
    /// one that is left says what it holds.
    pub keep_state: bool,
    /// Longest wait for another lane.
    pub patience: Duration,
    /// What carries messages from lane to lane. Clones of these options share it; trainings at the same
    /// time may, since [messages](crate::exec::exchange::Message) name the run that they belong to.
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

/// Memory of one lane, in bytes: all that it has allocated on its device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LaneMemory {
    /// Micro-batches whose activations it holds at once, at most.
    pub micro_batches_in_flight: usize,
    /// Inputs and intermediate tensors of those, for every size of micro-batch that occurs.
    pub activations: u64,
    /// Sums of gradients.
    pub sums: u64,
    /// Parameters, gradients and optimizer state.
    pub parameters: u64,
    /// Rows of the data set, with the order in which they are drawn.
    pub data: u64,
    /// Records of steps, constants and sizes that kernels read, and the ring for results.
    pub tables: u64,
    /// Buffers that the host reads: reports, and messages to other lanes. More may come while lanes
    /// run, as many as messages are under way at once.
    pub staging: u64,
}

impl LaneMemory {
    /// All of it.
    pub fn total(&self) -> u64 {
        let Self { activations, sums, parameters, data, tables, staging, .. } = self;
        activations + sums + parameters + data + tables + staging
    }
}
