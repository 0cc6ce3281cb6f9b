//! What came of a run: results, the state after the last completed step, and which error to tell.

use super::run::{Job, Outcome};
use super::{Parallel, named};
use crate::train::StepResult;
use crate::{Error, Result};

impl Parallel {
    /// Results of the steps, and the state after the last completed one.
    pub(super) fn settle(
        &mut self,
        jobs: &[Job],
        outcomes: Vec<Outcome>,
    ) -> Result<Vec<StepResult>> {
        let before = self.state.step;
        let keeping = || outcomes.iter().zip(&self.lanes);
        // A step is done when all stages are, or when a replica is.
        let latest = || keeping().map(|(o, _)| o.states.back().map_or(before, |kept| kept.step));
        let done = match self.options.schedule.is_pipeline() {
            true => latest().min(),
            false => latest().max(),
        };
        let done = done.unwrap_or(before);
        for (outcome, lane) in keeping() {
            if let Some(kept) = outcome.states.iter().find(|kept| kept.step == done) {
                let bytes = kept.bytes.get(kept.begin..);
                let bytes = bytes.ok_or_else(|| Error::bug("a report without a state"))?;
                let numbers = lane.role.stage.parameters.clone();
                self.state.read_from(&lane.parameters, numbers, bytes)?;
            }
        }
        self.state.step = done;
        let done = self.state.step.saturating_sub(before) as usize;
        let last = outcomes.last();
        let reports = last.map(|o| o.reports.as_slice()).unwrap_or_default();
        let results: Vec<StepResult> = reports
            .iter()
            .take(done)
            .zip(jobs)
            .map(|(report, job)| StepResult {
                rows: job.rows.len(),
                loss: report.scalars.first().copied().unwrap_or(f32::NAN),
                sums: report.scalars.get(1..).unwrap_or_default().to_vec(),
            })
            .collect();
        let halted = outcomes.iter().flat_map(|o| &o.reports).filter_map(|r| r.halted_at).min();
        self.stale = halted.is_some() || outcomes.iter().any(|o| o.error.is_some());
        if let Some(step) = halted {
            let behind = step.saturating_sub(before) as usize;
            let loss = results.get(behind).map_or(f32::NAN, |result| result.loss);
            self.state.step = step;
            return Err(Error::NotFinite { step, epoch: 0, loss });
        }
        // The lane that failed first made others stop: its error is the one to tell.
        let mut errors: Vec<_> =
            outcomes.into_iter().enumerate().filter_map(|(n, o)| Some((n, o.error?))).collect();
        errors.sort_by_key(
            |(own, (_, error))| matches!(error, Error::LaneStopped { lane, .. } if lane != own),
        );
        match errors.into_iter().next() {
            Some((number, (step, error))) => {
                // Each outcome is a lane's, and each lane has a device.
                let gpu = self.gpus.get(number);
                let gpu = gpu.ok_or_else(|| Error::bug(format!("lane {number} has no device")))?;
                Err(named(number, gpu, step, error))
            }
            None => Ok(results),
        }
    }
}
