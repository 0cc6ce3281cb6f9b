//! A training that is timed, round by round.

use std::sync::Arc;
use std::time::Instant;

use super::Measured;
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::lanes::{Parallel, ParallelOptions};
use crate::nn::Sequential;
use crate::train::{Model, Trainer, TrainingConfig};
use crate::{Error, Result};

/// What `fit` does, on one device.
pub(super) fn fit(
    model: &Sequential,
    compile: &TrainingConfig,
    data: &Arc<Dataset>,
    options: &ParallelOptions,
    gpu: &Gpu,
) -> Result<Course> {
    let mut model = pollster::block_on(model.clone().compile(gpu, compile.clone()))?;
    let trainer = model.trainer(data.clone(), options.batch, options.residency);
    let trainer = Box::new(pollster::block_on(trainer)?);
    Course::begin(Training::FitOptions(Box::new(model), trainer))
}

#[derive(Debug)]
pub(super) enum Training {
    Lanes(Box<Parallel>),
    FitOptions(Box<Model>, Box<Trainer<Arc<Dataset>>>),
}

/// A training that is timed.
#[derive(Debug)]
pub(super) struct Course {
    training: Training,
    /// Seconds per step of each round.
    pub(super) times: Vec<f64>,
}

impl Training {
    /// Runs steps, as many as there are, from the first batch on whenever all are through.
    fn run(&mut self, steps: usize) -> Result<()> {
        match self {
            Training::Lanes(parallel) => run_lanes(parallel, steps),
            Training::FitOptions(model, trainer) => {
                let most = trainer.batches().min(trainer.batches_per_submission());
                let mut left = steps;
                while left > 0 {
                    let some = left.min(most);
                    let submitted = trainer.submit(0..some, |index| model.next_step(index as u64));
                    pollster::block_on(submitted)?;
                    model.completed(some as u64);
                    left -= some;
                }
                while pollster::block_on(trainer.results())?.is_some() {}
                Ok(())
            }
        }
    }
}

fn run_lanes(parallel: &mut Parallel, steps: usize) -> Result<()> {
    let mut left = steps;
    while left > 0 {
        let some = left.min(parallel.batches());
        parallel.run(0..some)?;
        left -= some;
    }
    Ok(())
}

impl Course {
    /// Takes a first step, which compiles.
    pub(super) fn begin(mut training: Training) -> Result<Self> {
        training.run(1)?;
        Ok(Course { training, times: Vec::new() })
    }

    pub(super) fn measured(mut self, steps: usize) -> Result<Measured> {
        self.times.sort_by(f64::total_cmp);
        let at = |index: usize| self.times.get(index).copied().unwrap_or(f64::NAN);
        let (seconds, range) = (at(self.times.len() / 2), (at(0), at(self.times.len() - 1)));
        let Training::Lanes(parallel) = &mut self.training else {
            let (busy, overlap, bytes_exchanged) = (Vec::new(), 0.0, 0);
            return Ok(Measured { seconds, range, busy, overlap, bytes_exchanged });
        };
        let before = parallel.bytes_exchanged();
        parallel.record(true);
        run_lanes(parallel, steps)?;
        let bytes_exchanged = (parallel.bytes_exchanged() - before) / steps as u64;
        let Some(timeline) = parallel.timeline() else {
            return Err(Error::argument("timeline", "missing", "recorded"));
        };
        let busy = (0..timeline.lanes.len()).map(|lane| timeline.busy(lane)).collect();
        Ok(Measured { seconds, range, busy, overlap: timeline.overlap(), bytes_exchanged })
    }
}

/// Times a round; a course that fails is at its end.
pub(super) fn time(course: &mut Result<Course>, steps: usize) {
    let Ok(running) = course else { return };
    let begun = Instant::now();
    match running.training.run(steps) {
        Ok(()) => running.times.push(begun.elapsed().as_secs_f64() / steps as f64),
        Err(error) => *course = Err(error),
    }
}
