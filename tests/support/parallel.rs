//! Training over lanes, step by step.

use std::sync::Arc;
use std::time::Duration;

use wgrad::data::Dataset;
use wgrad::lanes::{Parallel, ParallelOptions, Schedule};
use wgrad::nn::Sequential;
use wgrad::train::{FitOptions, TrainingConfig, TrainingState};
use wgrad::{Gpu, Result};

use super::bits;
use crate::common::{gpu, lanes};

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

/// A net trains to the same bits over lanes and in stages as on one device, and with one micro-batch to what `fit`
/// comes to; `layer` is what whole-step kernels refuse of it.
pub fn trains_the_same_everywhere(
    net: &Sequential,
    config: &TrainingConfig,
    data: &Arc<Dataset>,
    layer: &str,
) {
    let of = |schedule, count, micro_batches| {
        let options = ParallelOptions::new(25, micro_batches, schedule);
        let task = (net.clone(), config.clone(), data);
        let mut parallel = start(task, options, &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, 40).unwrap();
        (bits(&losses), state_bits(parallel.state()), losses)
    };
    let serial = of(Schedule::Serial, 1, 5);
    assert!(serial.2[39] < serial.2[0] / 2.0, "{:?}", serial.2);
    for (schedule, count) in [
        (Schedule::data_parallel(), 2),
        (Schedule::pipeline(), 2),
        (Schedule::Pipeline { stages: vec![1, 1, 1, 1] }, 4),
    ] {
        assert!(of(schedule.clone(), count, 5) == serial, "{schedule:?}");
    }
    let mut model = net.clone().compile_blocking(&gpu(), config.clone()).unwrap();
    assert!(model.kernels(25).unwrap().contains(layer));
    let fit = FitOptions::new(10).batch_size(25).in_order();
    let history = model.fit_blocking(data, fit).unwrap();
    assert_eq!(bits(&history.batch_losses), of(Schedule::Serial, 1, 1).0);
}
