//! Devices that have no memory for new lanes beside the old ones.

use std::sync::Arc;

use super::Parallel;
use crate::data::Dataset;
use crate::graph::Loss;
use crate::lanes::ParallelOptions;
use crate::lanes::Schedule;
use crate::nn::{Optimizer, Sequential};
use crate::train::TrainingConfig;
use crate::{Error, Gpu};

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

fn parallel(gpus: &[Gpu]) -> Parallel {
    let data = Dataset::regression(vec![0.5; 16], 2, vec![0.25; 8], 1).unwrap();
    let net = Sequential::new(2).dense(3).relu().dense(1);
    let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.1));
    let options = ParallelOptions::new(4, 2, Schedule::data_parallel());
    Parallel::new_blocking(net, compile, Arc::new(data), options, gpus).unwrap()
}

#[track_caller]
fn lacks_memory(error: Error) {
    let Error::Lane { source, .. } = &error else { panic!("{error:?}") };
    assert!(matches!(**source, Error::OutOfMemory { .. }), "{error:?}");
    assert!(error.to_string().contains("use a smaller batch"), "{error}");
}

/// The old lanes make room, and the new ones go on from their state.
#[test]
fn old_lanes_make_room_for_new_ones() {
    let gpus = [noop(), noop()];
    let mut parallel = parallel(&gpus);
    parallel.run(0..1).unwrap();
    let state = parallel.state().clone();
    for (schedule, count) in [(Schedule::Serial, 1), (Schedule::pipeline(), 2)] {
        gpus[0].lacks_memory_once();
        parallel.relay_blocking(schedule.clone(), &gpus[..count]).unwrap();
        assert_eq!((parallel.lanes.len(), parallel.stale), (count, false));
        assert_eq!((parallel.schedule(), parallel.state()), (&schedule, &state));
    }
    parallel.run(1..2).unwrap();
    assert_eq!(parallel.state().step, 2);
}

/// If that is not enough, everything is as it was, and the next run makes the old lanes anew.
#[test]
fn without_memory_for_the_new_lanes_alone_the_old_ones_go_on() {
    let gpus = [noop(), noop()];
    let mut parallel = parallel(&gpus);
    parallel.run(0..1).unwrap();
    let state = parallel.state().clone();
    // The one runs out in the first attempt, the other in the second.
    gpus.iter().for_each(Gpu::lacks_memory_once);
    lacks_memory(parallel.relay_blocking(Schedule::pipeline(), &gpus).unwrap_err());
    assert!(parallel.lanes.is_empty() && parallel.stale);
    assert_eq!((parallel.schedule(), parallel.state()), (&Schedule::data_parallel(), &state));
    // Without memory for those, either, it says so; there are none that could go first.
    gpus[0].lacks_memory_once();
    lacks_memory(parallel.run(1..2).unwrap_err());
    assert_eq!(parallel.state(), &state);
    parallel.run(1..2).unwrap();
    assert_eq!((parallel.lanes.len(), parallel.stale, parallel.state().step), (2, false, 2));
}

/// Another error is no reason to give up lanes that are well.
#[test]
fn lanes_that_are_well_stay_whatever_else_goes_wrong() {
    let gpus = [noop(), noop()];
    let mut parallel = parallel(&gpus);
    let lost = noop();
    lost.device().destroy();
    let error = parallel.relay_blocking(Schedule::Serial, &[lost]).unwrap_err();
    assert!(!error.to_string().contains("memory"), "{error}");
    assert_eq!((parallel.lanes.len(), parallel.stale), (2, false));
    parallel.run(0..1).unwrap();
}
