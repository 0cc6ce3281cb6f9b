//! What came of a run: results, the state after the last completed step, and which error to tell.

use super::running::FinishedLane;
use super::work::JobQueue;
use super::{Parallel, named};
use crate::train::fit::Completed;
use crate::{Error, Result};

impl Parallel {
    /// Takes the lanes back, with the state after the last completed step; the results that nobody has
    /// heard of.
    pub(super) fn take_back(
        &mut self,
        jobs: &JobQueue,
        returned: Vec<FinishedLane>,
    ) -> Result<Vec<Completed>> {
        self.stale = true;
        let before = self.state.step;
        let (grid, first) = (self.options.grid(self.gpus.len()), self.options.first_lane());
        // A step is done when all stages are, and a stage is when one of its replicas is.
        let latest = |stage: usize| {
            let own = returned.iter().zip(first..);
            let own = own.filter(|(_, lane)| grid.place(*lane).1 == stage);
            let states = own.map(|(r, _)| r.outcome.states.back());
            states.map(|kept| kept.map_or(before, |kept| kept.step)).max()
        };
        let done = (0..grid.stages).filter_map(latest).min().unwrap_or(before);
        for FinishedLane { lane, outcome, .. } in &returned {
            let kept = outcome.states.iter().find(|kept| kept.step == done);
            if let (Some(lane), Some(kept)) = (lane, kept) {
                let bytes = kept.bytes.get(kept.begin..);
                let bytes = bytes.ok_or_else(|| Error::bug("a report without a state"))?;
                let numbers = lane.role.stage.parameters.clone();
                self.state.read_from(&lane.parameters, numbers, bytes)?;
            }
        }
        self.state.go_to(done, &self.task.architecture);
        let (completed, halted) = jobs.take_rest(done);
        self.stale = halted.is_some() || returned.iter().any(|r| r.outcome.error.is_some());
        let (lanes, outcomes): (Vec<_>, Vec<_>) =
            returned.into_iter().map(|r| (r.lane, r.outcome)).unzip();
        // One that is missing has an error.
        self.lanes = lanes.into_iter().flatten().collect();
        if let Some((step, loss)) = halted {
            self.state.go_to(step, &self.task.architecture);
            let mixed = self.task.compile.precision.is_mixed();
            return Err(Error::NotFinite { step, epoch: 0, loss, mixed });
        }
        // The lane that failed first made others stop: its error is the one to tell.
        let mut errors: Vec<_> =
            outcomes.into_iter().zip(first..).filter_map(|(o, n)| Some((n, o.error?))).collect();
        // Of lanes that waited in vain, those that waited longest waited for the cause: the others gave up with them.
        errors.sort_by(|(a, (_, one)), (b, (_, other))| {
            let rank = |own: &usize, error: &Error| match error {
                Error::LaneTimeout { seconds, .. } => (false, -seconds),
                Error::LaneStopped { lane, .. } => (lane != own, f64::NEG_INFINITY),
                _ => (false, f64::NEG_INFINITY),
            };
            let ((stopped, waited), (other_stopped, other_waited)) = (rank(a, one), rank(b, other));
            stopped.cmp(&other_stopped).then(waited.total_cmp(&other_waited))
        });
        match errors.into_iter().next() {
            Some((number, (step, error))) => {
                // Each outcome is a lane's, and each lane has a device.
                let gpu = self.gpus.get(number.saturating_sub(first));
                let gpu = gpu.ok_or_else(|| Error::bug(format!("lane {number} has no device")))?;
                Err(named(number, self.name(number, gpu), step, error))
            }
            None => Ok(completed),
        }
    }
}
