//! What lanes are given is checked before anything is given up: options, states, devices.

use std::sync::Arc;
use std::time::Duration;

use crate::common::{fresh, gpu, lanes};
use crate::support::memory::most_held;
use crate::support::parallel::{run_to, start, state_bits};
use proptest::prelude::*;
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Kernels, TrainingConfig, TrainingState};
use wgrad::{Error, Gpu, Result};

fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..96).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] - row[1] * row[3]).collect();
    Arc::new(Dataset::regression(features, 4, targets, 1).unwrap())
}

fn net() -> Sequential {
    Sequential::new(4).dense(8).relu().dense(1).seed(2)
}

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

fn of(options: ParallelOptions, lanes: &[Gpu]) -> Result<Parallel> {
    start((net(), adam(), &data()), options, lanes)
}

fn serial() -> Parallel {
    of(ParallelOptions::new(8, 2, Schedule::Serial), &lanes(1)).unwrap()
}

/// The bits after `steps` steps that nothing disturbed.
fn undisturbed(steps: u64) -> Vec<u32> {
    let mut parallel = serial();
    run_to(&mut parallel, steps).unwrap();
    state_bits(parallel.state())
}

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

/// What is wrong with a state, and what its error has to name.
type Fault = (fn(&mut TrainingState), &'static str);

const FAULTS: [Fault; 14] = [
    (|s| s.values[0][1] = f32::NAN, "element 1 of the values of 'dense_0.weight'"),
    (|s| s.values[3][0] = f32::INFINITY, "element 0 of the values of 'dense_2.bias'"),
    (
        |s| s.states[0][0][2] = f32::NAN,
        "element 2 of the mean of the gradients of 'dense_0.weight'",
    ),
    (
        |s| s.states[1][1][0] = -1.0,
        "element 0 of the mean square of the gradients of 'dense_0.bias'",
    ),
    (|s| s.states[1][1][0] = f32::NEG_INFINITY, "not negative"),
    (|s| s.states[2][1][7] = f32::NAN, "element 7 of the mean square"),
    (|s| s.values.push(vec![1.0]), "number of parameters of the training state is 5; it must be 4"),
    (|s| drop(s.values.pop()), "number of parameters of the training state is 3"),
    (|s| s.states.push(vec![vec![1.0]]), "number of parameters with optimizer states"),
    (|s| drop(s.states.pop()), "number of parameters with optimizer states"),
    (|s| s.states[1].push(vec![0.0; 8]), "number of optimizer states of 'dense_0.bias'"),
    (|s| drop(s.states[1].pop()), "number of optimizer states of 'dense_0.bias'"),
    (|s| s.values[2].push(0.0), "length of the values of 'dense_2.weight' (8×1)"),
    (|s| s.states[2][0].truncate(1), "length of the mean of the gradients of 'dense_2.weight'"),
];

#[test]
fn a_state_that_is_refused_changes_nothing() {
    let mut parallel = serial();
    run_to(&mut parallel, 2).unwrap();
    let good = parallel.state().clone();
    for (spoil, named) in FAULTS {
        let mut state = good.clone();
        state.step = 77;
        spoil(&mut state);
        let error = parallel.set_state_blocking(state).unwrap_err().to_string();
        assert!(error.contains(named) && error.contains("give a state"), "{error}");
        assert_eq!((parallel.state(), parallel.lanes().len()), (&good, 1));
    }
    run_to(&mut parallel, 5).unwrap();
    assert!(state_bits(parallel.state()) == undisturbed(5));
    // The same lanes take another state without being made anew.
    let before = parallel.counters()[0];
    parallel.set_state_blocking(good).unwrap();
    run_to(&mut parallel, 5).unwrap();
    assert!(state_bits(parallel.state()) == undisturbed(5));
    let made = parallel.counters()[0] - before;
    assert_eq!((made.buffers, made.pipelines, made.bind_groups), (0, 0, 0));
}

#[test]
fn a_lost_device_is_named_until_there_is_another() {
    let lost = fresh();
    let options = ParallelOptions::new(8, 2, Schedule::data_parallel());
    let mut parallel = of(options, &[gpu(), lost.clone()]).unwrap();
    run_to(&mut parallel, 2).unwrap();
    lost.device().destroy();
    for _ in 0..3 {
        let Err(Error::Lane { lane, step, source, name }) = parallel.run(2..3) else {
            panic!("a lost device trains")
        };
        assert_eq!((lane, step), (1, 2), "{name}: {source}");
        assert!(matches!(*source, Error::DeviceLost { .. }), "{source}");
        assert_eq!(parallel.lanes().len(), 2);
        assert_eq!(parallel.state().step, 2);
    }
    // Neither a lost device nor lanes that do not fit take anything along.
    let again = parallel.relay_blocking(Schedule::data_parallel(), &[lost]);
    let Err(Error::Lane { lane: 0, source, .. }) = again else { panic!("{again:?}") };
    assert!(matches!(*source, Error::DeviceLost { .. }), "{source}");
    let error = parallel.relay_blocking(Schedule::Serial, &[]).unwrap_err().to_string();
    assert!(
        error.contains("number of lanes is 0; it must be 1 for the schedule serial"),
        "{error}"
    );
    let state = parallel.state().clone();
    parallel.set_state_blocking(state).unwrap();
    assert_eq!(parallel.schedule(), &Schedule::data_parallel());
    parallel.relay_blocking(Schedule::Serial, &[gpu()]).unwrap();
    run_to(&mut parallel, 5).unwrap();
    assert!(state_bits(parallel.state()) == undisturbed(5));
}

#[test]
fn a_relay_that_is_refused_changes_nothing() {
    let two = lanes(2);
    let options = ParallelOptions::new(8, 2, Schedule::data_parallel());
    let mut parallel = of(options, &two).unwrap();
    run_to(&mut parallel, 2).unwrap();
    let lost = fresh();
    lost.device().destroy();
    for (schedule, gpus) in [
        (Schedule::Serial, two.clone()),
        (Schedule::Pipeline { stages: vec![usize::MAX, 3] }, two.clone()),
        (Schedule::Pipeline { stages: vec![1] }, two.clone()),
        (Schedule::DataParallel { shares: vec![0, 0] }, two.clone()),
        (Schedule::data_parallel(), Vec::new()),
        (Schedule::pipeline(), vec![two[0].clone(), lost]),
    ] {
        let before = parallel.counters();
        parallel.relay_blocking(schedule, &gpus).unwrap_err();
        assert_eq!(parallel.schedule(), &Schedule::data_parallel());
        // The lanes are there as they were, and not only what it takes to make them anew.
        assert_eq!(parallel.memory().len(), 2);
        parallel.run(2..2).unwrap();
        let made = parallel.counters()[0] - before[0];
        assert_eq!(made.buffers, 0);
    }
    run_to(&mut parallel, 5).unwrap();
    assert!(state_bits(parallel.state()) == undisturbed(5));
}

#[test]
fn the_largest_options_train_or_say_why_not() {
    let most = usize::MAX;
    let expected = undisturbed(4);
    for (shares, batch) in [
        (vec![most, 1], 8),
        (vec![most, most], 8),
        (vec![most / 2, most / 2], 8),
        (vec![1 << 62, 1 << 61], 8),
        (Vec::new(), 8),
    ] {
        let mut options = ParallelOptions::new(batch, 2, Schedule::DataParallel { shares });
        (options.buckets, options.patience) = (most, Duration::MAX);
        let mut parallel = of(options, &lanes(2)).unwrap();
        parallel.record(true);
        run_to(&mut parallel, 4).unwrap();
        assert!(state_bits(parallel.state()) == expected);
    }
    // A batch larger than the data is one of all rows.
    let mut whole = of(ParallelOptions::new(most, 2, Schedule::Serial), &lanes(1)).unwrap();
    let mut same = of(ParallelOptions::new(24, 2, Schedule::Serial), &lanes(1)).unwrap();
    for parallel in [&mut whole, &mut same] {
        run_to(parallel, 3).unwrap();
    }
    assert!(state_bits(whole.state()) == state_bits(same.state()));
    for (batch, micro_batches, schedule, named) in [
        (8, most, Schedule::Serial, "micro-batches is 18446744073709551615; it must be at most 8"),
        (most, most, Schedule::Serial, "at most 24, the rows of a batch"),
        (8, 2, Schedule::Pipeline { stages: vec![most] }, "add up to 2"),
    ] {
        let error = of(ParallelOptions::new(batch, micro_batches, schedule), &lanes(1));
        let error = error.map(drop).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn steps_are_counted_to_the_end_of_their_type() {
    let mut parallel = serial();
    for (step, steps) in [(u64::MAX, 0), (u64::MAX - 1, 1), (u64::MAX - 3, 3)] {
        let state = TrainingState { step, ..parallel.state().clone() };
        parallel.set_state_blocking(state).unwrap();
        for _ in 0..steps {
            parallel.run(0..1).unwrap();
        }
        assert_eq!(parallel.state().step, u64::MAX);
        let error = parallel.run(0..1).unwrap_err().to_string();
        assert!(error.contains("set a state with fewer steps"), "{error}");
        parallel.model_blocking(&gpu()).unwrap();
    }
}

/// A number that options may be: small, or near an end of its type.
fn number() -> impl Strategy<Value = usize> {
    prop_oneof![
        0..6_usize,
        6..40_usize,
        Just(1 << 31),
        Just(1 << 62),
        Just(usize::MAX - 1),
        Just(usize::MAX)
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_options_panic(
        batch in number(),
        micro_batches in number(),
        buckets in number(),
        numbers in proptest::collection::vec(number(), 0..4),
        kind in 0..4,
        count in 0..4_usize,
    ) {
        let schedule = match kind {
            0 => Schedule::Serial,
            1 => Schedule::Overlapped,
            2 => Schedule::Pipeline { stages: numbers },
            _ => Schedule::DataParallel { shares: numbers },
        };
        let mut options = ParallelOptions::new(batch, micro_batches, schedule);
        options.buckets = buckets;
        match of(options, &vec![noop(); count]) {
            Ok(parallel) => {
                prop_assert!(parallel.barriers().unwrap().len() == count);
                prop_assert!(parallel.memory().len() == count);
                prop_assert_eq!(parallel.batches(), 24_usize.div_ceil(batch));
            }
            Err(error) => prop_assert!(error.to_string().contains("must be"), "{}", error),
        }
    }
}

#[test]
fn a_model_gets_all_that_was_compiled() {
    for kernels in [Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory, Kernels::Auto]
    {
        let compile = adam().metric(Metric::MeanAbsoluteError).kernels(kernels);
        let own = net().compile_blocking(&gpu(), compile.clone()).unwrap();
        let options = ParallelOptions::new(8, 2, Schedule::Serial);
        let parallel = start((net(), compile, &data()), options, &lanes(1)).unwrap();
        let model = parallel.model_blocking(&gpu()).unwrap();
        assert_eq!(model.kernels(8).unwrap(), own.kernels(8).unwrap());
        assert_eq!((model.loss(), model.optimizer()), (own.loss(), own.optimizer()));
        assert_eq!(model.metrics(), own.metrics());
        assert_eq!(model.architecture(), own.architecture());
    }
    // What `compile` refuses, lanes refuse.
    let delta = Loss::Huber { delta: f32::NAN };
    let options = ParallelOptions::new(8, 2, Schedule::Serial);
    let refused = start(
        (net(), TrainingConfig::new(delta, Optimizer::sgd(0.1)), &data()),
        options,
        &lanes(1),
    );
    assert!(refused.is_err());
}

#[test]
fn lanes_on_one_device_are_counted_apart() {
    let gpu = fresh();
    let options = ParallelOptions::new(8, 2, Schedule::data_parallel());
    let mut parallel = of(options, &[gpu.clone(), gpu.clone()]).unwrap();
    let before = (gpu.counters(), parallel.counters());
    parallel.record(true);
    run_to(&mut parallel, 3).unwrap();
    let device = (gpu.counters() - before.0).entries();
    let lanes: Vec<_> = parallel
        .counters()
        .into_iter()
        .zip(before.1)
        .map(|(now, then)| (now - then).entries())
        .collect();
    for (at, &(name, all)) in device.iter().enumerate() {
        assert_eq!(lanes[0][at].1 + lanes[1][at].1, all, "{name}");
    }
    // Both do the same work, and each has its own.
    assert_eq!(lanes[0][1], lanes[1][1]);
    assert!(lanes[0][1].1 > 0);
    assert_eq!(parallel.lanes()[0].counters(), gpu.counters());
}

/// A model of 3.6 GB, on a device that has no buffer of that size.
#[test]
fn limits_come_before_the_first_weights() {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    let gpu = wgrad::Gpu::from_device(&device, &queue);
    let data =
        wgrad::data::Dataset::regression(vec![0.5; 60_000], 30_000, vec![0.0; 60_000], 30_000);
    let data = std::sync::Arc::new(data.unwrap());
    for schedule in [Schedule::Serial, Schedule::pipeline(), Schedule::data_parallel()] {
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.1));
        let options = ParallelOptions::new(2, 1, schedule);
        let net = Sequential::new(30_000).dense(30_000);
        let (data, gpus) = (data.clone(), std::slice::from_ref(&gpu));
        let (made, most) = most_held(|| Parallel::new_blocking(net, compile, data, options, gpus));
        let Err(Error::Lane { source, .. }) = made else { panic!("{made:?}") };
        assert!(matches!(*source, Error::Limit { .. }), "{source}");
        assert!(most < 1 << 20, "{most} bytes");
    }
}
