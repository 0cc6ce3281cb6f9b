//! All lanes of all processes.
#![deny(clippy::arithmetic_side_effects)]

use std::ops::Range;

use crate::{Error, Result};

/// Which lanes of all there are belong to this process. Every process of a training has one of the same
/// lanes, with a rank of its own; in the field's word, a *world* is all of them.
///
/// Lanes are counted over all processes: those of rank 0 come first. The training is that of one process with
/// all the lanes, to the same bits, and every process makes the same calls; [`Parallel`](super::Parallel) says
/// what each of them sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct World {
    rank: usize,
    lanes: Vec<usize>,
}

impl World {
    /// That of the process `rank`, where process `n` has `lanes[n]` lanes.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no such process, or one has no lane.
    pub fn new(rank: usize, lanes: impl Into<Vec<usize>>) -> Result<Self> {
        let lanes = lanes.into();
        if rank >= lanes.len() {
            let rule = format!("below {}, the number of processes", lanes.len());
            return Err(Error::argument("rank", rank, &rule));
        }
        if let Some(none) = lanes.iter().position(|&lanes| lanes == 0) {
            let rule = "at least 1; start fewer processes, or give this one a device";
            return Err(Error::argument(&format!("number of lanes of rank {none}"), 0, rule));
        }
        let total = lanes.iter().try_fold(0_usize, |sum, &lanes| sum.checked_add(lanes));
        match total {
            Some(_) => Ok(Self { rank, lanes }),
            None => Err(Error::argument("number of lanes", format!("{lanes:?}"), "countable")),
        }
    }

    /// The number of this process, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn ranks(&self) -> usize {
        self.lanes.len()
    }

    /// How many lanes there are in all processes.
    pub fn lanes(&self) -> usize {
        self.lanes.iter().fold(0, |sum, &lanes| sum.saturating_add(lanes))
    }

    /// The number of this process's first lane.
    pub fn first(&self) -> usize {
        self.first_of(self.rank)
    }

    /// How many lanes each process has.
    pub fn lanes_of(&self) -> &[usize] {
        &self.lanes
    }

    /// The lanes of this process.
    pub fn own(&self) -> Range<usize> {
        let first = self.first();
        first..first.saturating_add(self.lanes.get(self.rank).copied().unwrap_or(0))
    }

    /// Whether this is the first process: the one that prints and writes, and whose callbacks are asked.
    pub fn is_first(&self) -> bool {
        self.rank == 0
    }

    /// The process that a lane belongs to.
    pub fn rank_of(&self, lane: usize) -> Option<usize> {
        let mut end = 0_usize;
        self.lanes.iter().position(|&lanes| {
            end = end.saturating_add(lanes);
            lane < end
        })
    }

    /// The first lane of a process, which speaks for it.
    pub(super) fn first_of(&self, rank: usize) -> usize {
        self.lanes.iter().take(rank).fold(0, |sum, &lanes| sum.saturating_add(lanes))
    }

    /// The first lanes of all processes but this one.
    pub(super) fn others(&self) -> Vec<usize> {
        let others = (0..self.ranks()).filter(|&rank| rank != self.rank);
        others.map(|rank| self.first_of(rank)).collect()
    }

    /// An error of a wait for another lane, with the process that the lane belongs to.
    pub(super) fn located(&self, error: Error) -> Error {
        let of = |lane: usize, what: String| match self.rank_of(lane) {
            Some(rank) => format!("{what} by rank {rank}"),
            None => what,
        };
        match error {
            Error::LaneTimeout { lane, step, waiting_for, seconds } => {
                Error::LaneTimeout { lane, step, waiting_for: of(lane, waiting_for), seconds }
            }
            Error::LaneStopped { lane, waiting_for, reason } => {
                Error::LaneStopped { lane, waiting_for: of(lane, waiting_for), reason }
            }
            Error::LaneMessage { lane, step, what, bytes, expected } => {
                Error::LaneMessage { lane, step, what: of(lane, what), bytes, expected }
            }
            error => error,
        }
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_is_of_one_process() {
        let lanes = vec![2, 1, 3];
        let mut seen = Vec::new();
        for rank in 0..3 {
            let world = World::new(rank, lanes.clone()).unwrap();
            assert_eq!((world.ranks(), world.lanes(), world.own().len()), (3, 6, lanes[rank]));
            assert!(world.own().all(|lane| world.rank_of(lane) == Some(rank)));
            assert_eq!(world.others().len(), 2);
            assert_eq!(world.is_first(), rank == 0);
            seen.extend(world.own());
        }
        assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
        assert_eq!(World::new(0, lanes).unwrap().rank_of(6), None);
    }

    #[test]
    fn worlds_that_cannot_be_are_refused() {
        for (rank, lanes, said) in [
            (0, vec![], "rank is 0; it must be below 0"),
            (2, vec![1, 1], "rank is 2; it must be below 2"),
            (0, vec![1, 0], "number of lanes of rank 1 is 0"),
            (0, vec![usize::MAX, 1], "countable"),
        ] {
            let error = World::new(rank, lanes).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}
