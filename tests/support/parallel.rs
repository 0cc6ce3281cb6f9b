//! Training over lanes, step by step.

use std::sync::Arc;
use std::time::Duration;

use wgrad::data::Dataset;
use wgrad::lanes::{Parallel, ParallelOptions, TrainingState};
use wgrad::nn::Sequential;
use wgrad::train::TrainingConfig;
use wgrad::{Gpu, Result};

use super::bits;

/// What is trained, on what.
pub type Task<'a> = (Sequential, TrainingConfig, &'a Arc<Dataset>);

/// Unless a test is about patience, there is enough of it for a busy machine whose driver compiles every kernel
/// when it first runs.
pub fn start(task: Task<'_>, mut options: ParallelOptions, lanes: &[Gpu]) -> Result<Parallel> {
    let (model, compile, data) = task;
    let usual =
        ParallelOptions::new(options.batch, options.micro_batches, options.schedule.clone());
    if options.patience == usual.patience {
        options.patience = Duration::from_secs(600);
    }
    pollster::block_on(Parallel::new(model, compile, data.clone(), options, lanes))
}

/// Runs until `steps` steps are done, epoch by epoch; the losses.
pub fn run_to(parallel: &mut Parallel, steps: u64) -> Result<Vec<f32>> {
    let mut losses = Vec::new();
    while parallel.state().step < steps {
        let (done, batches) = (parallel.state().step, parallel.batches() as u64);
        let first = done % batches;
        let last = batches.min(first + steps - done);
        let results = parallel.run(first as usize..last as usize)?;
        losses.extend(results.iter().map(|step| step.loss));
    }
    Ok(losses)
}

/// The bits of parameters and optimizer states.
pub fn state_bits(state: &TrainingState) -> Vec<u32> {
    let states = state.states.iter().flatten();
    state.values.iter().chain(states).flat_map(|values| bits(values)).collect()
}
