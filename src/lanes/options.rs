//! How to train over lanes, and what that holds.
#![deny(clippy::arithmetic_side_effects)]

use std::sync::Arc;
use std::time::Duration;

use super::exchange::{Exchange, LocalExchange};
use super::schedule::{Grid, Schedule};
use super::wire::Wire;
use super::world::World;
use crate::train::Residency;
use crate::{Error, Result};

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
    /// Parts in which replicas exchange their sums, at most, the first while the last backward pass runs:
    /// never more than the model has parameters; 0 is 1, all in one.
    pub buckets: usize,
    /// Whether every step copies parameters and optimizer state to the host. With it, a device that is
    /// lost takes no completed step along: in a pipeline a step is completed when the copies of all
    /// stages have arrived, and what is lost are the steps that some stage had not finished, one or
    /// two. Without it, the last step of each run makes the copy, and a pipeline that loses a device
    /// goes back to the state before the run. Replicas do not depend on it: each has everything, and
    /// one that is left says what it holds.
    pub keep_state: bool,
    /// Longest wait for another lane; `Duration::MAX` waits for ever. While a lane of the same process waits for rows of a
    /// source it does not count.
    pub patience: Duration,
    /// What carries messages from lane to lane. Clones of these options share it; trainings at the same
    /// time may, since [messages](crate::lanes::exchange::Message) name the run that they belong to. That of a
    /// world is for one training.
    pub exchange: Arc<dyn Exchange>,
    /// Which of the lanes of several processes are this one's; `None` where it has all of them.
    pub world: Option<World>,
    /// As what sums of gradients cross the processes of a world.
    pub wire: Wire,
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
            world: None,
            wire: Wire::F32,
        }
    }

    /// How `devices` devices of this process are laid out, with those of all others.
    pub(super) fn grid(&self, devices: usize) -> Grid {
        Grid::new(&self.schedule, self.world.as_ref().map_or(devices, World::lanes))
    }

    /// The number of this process's first lane.
    pub(super) fn first_lane(&self) -> usize {
        self.world.as_ref().map_or(0, World::first)
    }

    /// Whether they fit each other, a data set of `rows` rows and `devices` devices of this process. Each number is bounded
    /// here, so that what is computed from it later has room.
    pub(super) fn check(&self, rows: usize, devices: usize) -> Result<()> {
        let lanes = match &self.world {
            None => devices,
            Some(world) if world.own().len() == devices => world.lanes(),
            Some(world) => {
                let (own, rank) = (world.own().len(), world.rank());
                let rule = format!("{own}, the lanes that the world has on rank {rank}");
                return Err(Error::argument("number of devices", devices, &rule));
            }
        };
        if self.wire != Wire::F32 && self.world.is_none() {
            let rule = "F32 within a process, where lanes share memory; F16 is for the processes of a `World`";
            return Err(Error::argument("wire", format!("{:?}", self.wire), rule));
        }
        for (name, value) in [("batch size", self.batch), ("micro-batches", self.micro_batches)] {
            if value == 0 {
                return Err(Error::argument(name, value, "at least 1"));
            }
        }
        let most = self.batch.min(rows);
        if self.micro_batches > most {
            let rule = format!("at most {most}, the rows of a batch");
            return Err(Error::argument("micro-batches", self.micro_batches, &rule));
        }
        let lanes_rule = match &self.schedule {
            Schedule::Serial | Schedule::Overlapped if lanes != 1 => {
                format!("1 for the schedule {}; give one device", self.schedule.name())
            }
            Schedule::Pipeline { stages } if !stages.is_empty() && stages.len() != lanes => {
                format!("{}, the number of stages; give a device for each", stages.len())
            }
            Schedule::Replicated { replicas, .. } if !lanes.is_multiple_of(*replicas) => {
                format!(
                    "a multiple of {replicas}, the number of replicas; give a device for each stage of each"
                )
            }
            Schedule::Replicated { stages, replicas }
                if !stages.is_empty() && Some(lanes) != stages.len().checked_mul(*replicas) =>
            {
                format!(
                    "{} stages of each of {replicas} replicas; give a device for each",
                    stages.len()
                )
            }
            Schedule::Pipeline { .. }
            | Schedule::DataParallel { .. }
            | Schedule::Replicated { .. }
                if lanes == 0 =>
            {
                "at least 1; give a device for each lane".into()
            }
            _ => String::new(),
        };
        if !lanes_rule.is_empty() {
            return Err(Error::argument("number of lanes", lanes, &lanes_rule));
        }
        if let Schedule::DataParallel { shares } = &self.schedule
            && !shares.is_empty()
            && (shares.len() != lanes || shares.iter().all(|&share| share == 0))
        {
            let rule = format!("{lanes} numbers, one per lane, not all 0");
            return Err(Error::argument("shares", format!("{shares:?}"), &rule));
        }
        Ok(())
    }
}

/// Rows of a [`Source`](crate::data::Source) that a process read for its lanes, since they were laid out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowsRead {
    /// Rows, each as often as it was read; windows that were read ahead are among them.
    pub rows: u64,
    /// Bytes of rows and their targets that were in memory at once, at most.
    pub most_bytes: u64,
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
        let parts = [activations, sums, parameters, data, tables, staging];
        parts.into_iter().fold(0, |total, bytes| total.saturating_add(*bytes))
    }
}
