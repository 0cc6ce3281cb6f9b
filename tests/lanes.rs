//! Training over lanes: every schedule gives the bits of the serial one.

use approx::{abs_diff_eq, relative_eq};
use std::sync::Arc;

use crate::common::{gpu, lanes};
use crate::support::bits;
use crate::support::parallel::{Task, run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::timeline::{Activity, Span};
use wgrad::lanes::{ParallelOptions, advise};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, TrainingConfig, TrainingState};
use wgrad::{Error, Gpu, Result};

/// Rows of 6 features, and two numbers to learn of each.
fn data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 6).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features
        .chunks(6)
        .flat_map(|row| [row.iter().sum::<f32>().tanh(), row[0] * row[1] - row[2]])
        .collect();
    Dataset::regression(features, 6, targets, 2).unwrap()
}

fn net() -> Sequential {
    Sequential::new(6).dense(17).relu().dense(9).tanh().dense(2).seed(3)
}

fn sgd() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05))
        .metric(Metric::MeanAbsoluteError)
}

fn adam() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
}

/// A run of `steps` steps: losses, and the state at the end.
fn train(
    task: Task<'_>,
    options: ParallelOptions,
    lanes: &[Gpu],
    steps: u64,
) -> Result<(Vec<f32>, TrainingState)> {
    let mut parallel = start(task, options, lanes)?;
    let losses = run_to(&mut parallel, steps)?;
    Ok((losses, parallel.state().clone()))
}

/// Every schedule for at most `most` lanes, with the number of lanes.
fn schedules(most: usize) -> Vec<(Schedule, usize)> {
    let mut all = vec![(Schedule::Overlapped, 1)];
    for lanes in 1..=most {
        all.push((Schedule::data_parallel(), lanes));
    }
    all
}

fn equal_everywhere(compile: TrainingConfig, rows: usize, batch: usize, micro_batches: usize) {
    let data = Arc::new(data(rows));
    let options = |schedule| ParallelOptions::new(batch, micro_batches, schedule);
    let task = || (net(), compile.clone(), &data);
    let serial = train(task(), options(Schedule::Serial), &lanes(1), 100).unwrap();
    assert!(serial.0[99] < serial.0[0] / 2.0, "{:?}", serial.0);
    let mut all = schedules(4);
    all.extend((1..=3).map(|lanes| (Schedule::pipeline(), lanes)));
    all.push((Schedule::Pipeline { stages: vec![2, 1] }, 2));
    all.push((Schedule::DataParallel { shares: vec![3, 1, 1] }, 3));
    for (schedule, count) in all {
        let other = train(task(), options(schedule.clone()), &lanes(count), 100).unwrap();
        assert_eq!(bits(&serial.0), bits(&other.0), "losses of {schedule:?} on {count} lanes");
        assert_eq!(
            state_bits(&serial.1),
            state_bits(&other.1),
            "parameters of {schedule:?} on {count} lanes"
        );
        assert_eq!(other.1.step, 100);
    }
}

#[test]
fn adam_gives_the_same_bits_everywhere() {
    equal_everywhere(adam(), 128, 32, 4);
}

#[test]
fn a_partial_last_batch_gives_the_same_bits_everywhere() {
    equal_everywhere(sgd(), 103, 25, 5);
}

#[test]
fn four_stages_give_the_same_bits() {
    let data = Arc::new(data(103));
    let net = || {
        let net = Sequential::new(6).dense(17).relu().dense(9).tanh();
        net.dense(12).sigmoid().dense(7).relu().dense(2).seed(4)
    };
    let of = |schedule, count| {
        let options = ParallelOptions::new(25, 5, schedule);
        train((net(), adam(), &data), options, &lanes(count), 100).unwrap()
    };
    let serial = of(Schedule::Serial, 1);
    for stages in [vec![], vec![2, 1, 1, 1], vec![1, 1, 2, 1]] {
        let other = of(Schedule::Pipeline { stages: stages.clone() }, 4);
        assert_eq!(bits(&serial.0), bits(&other.0), "losses of stages {stages:?}");
        assert_eq!(state_bits(&serial.1), state_bits(&other.1), "parameters of {stages:?}");
        assert_eq!(other.1.step, 100);
    }
}

/// In however many parts sums are exchanged: some are empty if there are more than parameters.
#[test]
fn buckets_change_no_bit() {
    let data = Arc::new(data(103));
    let of = |schedule, count, buckets| {
        let options = ParallelOptions { buckets, ..ParallelOptions::new(25, 5, schedule) };
        let mut parallel = start((net(), adam(), &data), options, &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, 20).unwrap();
        (bits(&losses), state_bits(parallel.state()), parallel.bytes_exchanged())
    };
    let serial = of(Schedule::Serial, 1, 2);
    let whole = of(Schedule::data_parallel(), 3, 1);
    for buckets in [0, 1, 3, 100] {
        let other = of(Schedule::data_parallel(), 3, buckets);
        assert!(serial.0 == other.0 && serial.1 == other.1, "{buckets} buckets");
        // Gaps between parameters are not sent where a bucket ends.
        assert!(other.2 <= whole.2 && other.2 > whole.2 / 2, "{} bytes", other.2);
    }
}

#[test]
fn one_micro_batch_is_what_fit_does() {
    let data = Arc::new(data(100));
    let options = ParallelOptions::new(32, 1, Schedule::Serial);
    let (losses, state) = train((net(), adam(), &data), options, &lanes(1), 8).unwrap();
    // Lanes train with the general kernels.
    let compile = adam().kernels(Kernels::General);
    let mut model = net().compile_blocking(&gpu(), compile).unwrap();
    let history = model.fit_blocking(&data, FitOptions::new(2).batch_size(32).in_order()).unwrap();
    assert_eq!(bits(&losses), bits(&history.batch_losses));
    let weights: Vec<Vec<f32>> =
        model.weights_blocking().unwrap().into_iter().map(|(_, values)| values).collect();
    assert_eq!(weights, state.values);
}

/// The gradient is that of the batch, whatever it is cut into: only the rounding differs.
#[test]
fn several_micro_batches_are_one_batch() {
    let data = Arc::new(data(103));
    let of = |micro_batches| {
        let options = ParallelOptions::new(25, micro_batches, Schedule::Serial);
        train((net(), sgd(), &data), options, &lanes(1), 10).unwrap()
    };
    let (losses, state) = of(1);
    for micro_batches in [2, 3, 5, 25] {
        let (others, other) = of(micro_batches);
        assert_ne!(bits(&losses), bits(&others), "{micro_batches} micro-batches were one");
        for (a, b) in losses.iter().zip(&others) {
            assert!(
                relative_eq!(a, b, epsilon = 0.0, max_relative = 1e-5),
                "loss {a} of one, {b} of {micro_batches}"
            );
        }
        let pairs = state.values.iter().flatten().zip(other.values.iter().flatten());
        for (a, b) in pairs {
            assert!(
                abs_diff_eq!(a, b, epsilon = 1e-5),
                "weight {a} of one, {b} of {micro_batches}"
            );
        }
    }
}

#[test]
fn metrics_are_those_of_fit() {
    let data = Arc::new(data(103));
    let mut model = net().compile_blocking(&gpu(), sgd()).unwrap();
    let fitted = model.fit_blocking(&data, FitOptions::new(3).batch_size(25).shuffle(9)).unwrap();
    for (schedule, count) in [(Schedule::pipeline(), 2), (Schedule::data_parallel(), 3)] {
        let options = ParallelOptions::new(25, 5, schedule);
        let mut parallel = start((net(), sgd(), &data), options, &lanes(count)).unwrap();
        let history = parallel.fit_blocking(FitOptions::new(3).shuffle(9)).unwrap();
        for name in ["loss", "mean_absolute_error"] {
            let (ours, theirs) = (history.values(name).unwrap(), fitted.values(name).unwrap());
            assert_eq!(ours.len(), 3);
            for (a, b) in ours.iter().zip(&theirs) {
                assert!(
                    relative_eq!(a, b, epsilon = 0.0, max_relative = 1e-5),
                    "{name}: {ours:?}, not {theirs:?}"
                );
            }
        }
        // And back to a model on one device, which goes on where the lanes stopped.
        let mut back = pollster::block_on(parallel.model(&gpu())).unwrap();
        assert_eq!(back.steps(), 15);
        let values: Vec<Vec<f32>> =
            back.weights_blocking().unwrap().into_iter().map(|(_, values)| values).collect();
        assert_eq!(values, parallel.state().values);
        back.fit_blocking(&data, FitOptions::new(1).batch_size(25).shuffle(9)).unwrap();
        assert_eq!(back.steps(), 20);
    }
}

#[test]
fn memory_is_bounded_by_the_schedule() {
    let data = Arc::new(data(128));
    let memory = |schedule, count| {
        let options = ParallelOptions::new(32, 8, schedule);
        start((net(), adam(), &data), options, &lanes(count)).unwrap().memory()
    };
    let serial = memory(Schedule::Serial, 1);
    assert_eq!(serial[0].micro_batches_in_flight, 1);
    let parameters = net().parameter_count() as u64;
    // Values, gradients, mean and mean square; arenas are padded.
    assert!(serial[0].parameters >= 16 * parameters && serial[0].parameters < 32 * parameters);
    let pipeline = memory(Schedule::pipeline(), 3);
    let held: Vec<_> = pipeline.iter().map(|lane| lane.micro_batches_in_flight).collect();
    assert_eq!(held, [5, 3, 1]);
    assert!(pipeline.iter().all(|lane| lane.parameters < serial[0].parameters));
    // With many micro-batches no more are held.
    let options = ParallelOptions::new(32, 32, Schedule::pipeline());
    let many = start((net(), adam(), &data), options, &lanes(3)).unwrap().memory();
    assert_eq!(many.iter().map(|lane| lane.micro_batches_in_flight).collect::<Vec<_>>(), held);
    assert_eq!(memory(Schedule::data_parallel(), 2)[1].activations, serial[0].activations);
}

#[test]
fn after_the_first_steps_nothing_is_created() {
    let data = Arc::new(data(128));
    for (schedule, count) in [
        (Schedule::Serial, 1),
        (Schedule::Overlapped, 1),
        (Schedule::pipeline(), 3),
        (Schedule::data_parallel(), 2),
    ] {
        let lanes = lanes(count);
        let options = ParallelOptions::new(32, 4, schedule.clone());
        let mut parallel = start((net(), adam(), &data), options, &lanes).unwrap();
        // How many messages wait at once depends on time, so staging buffers may come later.
        for _ in 0..20 {
            parallel.run(0..4).unwrap();
        }
        let before: Vec<_> = lanes.iter().map(|gpu| gpu.counters()).collect();
        let exchanged = parallel.bytes_exchanged();
        parallel.run(0..4).unwrap();
        for (gpu, before) in lanes.iter().zip(before) {
            let counters = gpu.counters() - before;
            assert_eq!(counters.bind_groups + counters.pipelines, 0, "{schedule:?}");
            assert!(counters.buffers <= 1, "{schedule:?}: {} buffers", counters.buffers);
        }
        let exchanged = parallel.bytes_exchanged() - exchanged;
        // What crosses: activations and gradients of 17 and 9 units with the loss, or all gradients
        // with the loss, once in each direction.
        let expected = match schedule {
            Schedule::Pipeline { .. } => 4 * (32 * 4 * 2 * (17 + 9) + 4 * 2 * 4),
            Schedule::DataParallel { .. } => 4 * 2 * 4 * (net().parameter_count() as u64 + 1),
            _ => 0,
        };
        // Between the six parameters, gradients may be aligned.
        let gaps = match schedule {
            Schedule::DataParallel { .. } => 4 * 2 * 6 * u64::from(lanes[0].target().alignment),
            _ => 0,
        };
        assert!(
            (expected..=expected + gaps).contains(&exchanged),
            "{schedule:?}: {exchanged} bytes, not {expected}"
        );
    }
}

#[test]
fn a_recorded_run_says_what_ran_when() {
    let data = Arc::new(data(128));
    for (schedule, count) in
        [(Schedule::Serial, 1), (Schedule::pipeline(), 2), (Schedule::data_parallel(), 2)]
    {
        let options = ParallelOptions::new(32, 4, schedule.clone());
        let mut parallel = start((net(), adam(), &data), options, &lanes(count)).unwrap();
        let unrecorded = parallel.run(0..2).unwrap();
        assert!(parallel.timeline().is_none());
        parallel.record(true);
        parallel.run(2..4).unwrap();
        let timeline = parallel.timeline().unwrap();
        assert_eq!(timeline.lanes.len(), count);
        let spans = |lane, activity| {
            let of = |span: &&Span| span.lane == lane && span.activity == activity;
            timeline.spans.iter().filter(of).collect::<Vec<_>>()
        };
        for lane in 0..count {
            let passes = match schedule {
                Schedule::DataParallel { .. } => 2 * 2,
                _ => 2 * 4,
            };
            assert_eq!(spans(lane, Activity::Forward).len(), passes, "{schedule:?}");
            assert!(spans(lane, Activity::Backward).len() >= passes, "{schedule:?}");
            assert!(spans(lane, Activity::Update).len() >= 2, "{schedule:?}");
            assert_eq!(spans(lane, Activity::Readback).len(), 2, "{schedule:?}");
            assert!(timeline.busy(lane) > 0.0);
        }
        // A micro-batch's backward pass comes after its forward pass, on each lane.
        for backward in timeline.spans.iter().filter(|s| s.activity == Activity::Backward) {
            let forward = timeline.spans.iter().find(|span| {
                (span.lane, span.step, span.micro_batch, span.activity)
                    == (backward.lane, backward.step, backward.micro_batch, Activity::Forward)
            });
            assert!(forward.unwrap().end <= backward.start + 1e-6, "{schedule:?}");
        }
        let moved: u64 = (0..count).map(|lane| timeline.bytes(lane, Activity::Exchange)).sum();
        assert_eq!(moved > 0, count > 1);
        // Recording changes nothing but the clock's ticking.
        let again = ParallelOptions::new(32, 4, schedule.clone());
        let mut plain = start((net(), adam(), &data), again, &lanes(count)).unwrap();
        assert_eq!(plain.run(0..2).unwrap(), unrecorded);
        plain.run(2..4).unwrap();
        assert!(plain.state() == parallel.state());
    }
}

#[test]
fn advice_tries_every_schedule() {
    let data = Arc::new(data(64));
    let options = ParallelOptions::new(32, 4, Schedule::Serial);
    let advice = advise(&net(), &adam(), &data, &options, &lanes(2), 3).unwrap();
    let names: Vec<_> =
        advice.trials.iter().map(|t| (t.name(), t.lanes, t.micro_batches)).collect();
    let expected = [
        ("serial", 1, 4),
        ("overlapped", 1, 4),
        ("pipeline", 2, 4),
        ("data-parallel", 2, 4),
        ("data-parallel", 2, 2),
        ("fit", 1, 1),
    ];
    assert_eq!(names, expected);
    let winner = advice.winner().unwrap().outcome.as_ref().unwrap().seconds;
    for trial in &advice.trials {
        let measured = trial.outcome.as_ref().unwrap();
        assert!(measured.seconds >= winner && measured.seconds > 0.0);
        assert!(measured.range.0 <= measured.seconds && measured.seconds <= measured.range.1);
        assert_eq!(measured.bytes_exchanged > 0, trial.lanes > 1);
    }
    let table = advice.to_string();
    assert!(table.contains("<- fastest") && table.contains("data-parallel"), "{table}");
    // What cannot be done says why, and the others are measured all the same.
    let clipped = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.01).clip_norm(1.0));
    let advice = advise(&net(), &clipped, &data, &options, &lanes(2), 1).unwrap();
    let pipeline = &advice.trials[2];
    assert!(pipeline.outcome.as_ref().unwrap_err().to_string().contains("clipping"));
    assert!(advice.to_string().contains("not possible: pipeline: clipping"), "{advice}");
    assert!(advice.trials[3].outcome.is_ok());
}

#[test]
fn what_does_not_fit_says_so() {
    let data = Arc::new(data(20));
    let refused = |schedule, batch, micro_batches, count| {
        let options = ParallelOptions::new(batch, micro_batches, schedule);
        let task = (net(), sgd(), &data);
        start(task, options, &lanes(count)).map(|_| ()).unwrap_err().to_string()
    };
    let serial = || Schedule::Serial;
    assert!(refused(serial(), 0, 1, 1).contains("batch size is 0"));
    assert!(refused(serial(), 8, 0, 1).contains("micro-batches is 0"));
    assert!(refused(serial(), 8, 9, 1).contains("at most 8"));
    assert!(refused(serial(), 8, 2, 2).contains("number of lanes is 2"));
    assert!(refused(serial(), 8, 2, 0).contains("number of lanes is 0"));
    assert!(refused(Schedule::pipeline(), 8, 2, 4).contains("1 to 3"));
    assert!(refused(Schedule::Pipeline { stages: vec![3, 0] }, 8, 2, 2).contains("add up to 3"));
    assert!(refused(Schedule::Pipeline { stages: vec![2, 1] }, 8, 2, 3).contains("must be 2"));
    assert!(refused(Schedule::DataParallel { shares: vec![0, 0] }, 8, 2, 2).contains("not all 0"));
    let options = ParallelOptions::new(8, 2, Schedule::Serial);
    let mut parallel = start((net(), sgd(), &data), options, &lanes(1)).unwrap();
    assert!(parallel.run(0..4).unwrap_err().to_string().contains("within 0..3"));
    assert!(parallel.set_order(vec![0; 20]).is_err());
    // A relay that is refused changes nothing.
    let refused = pollster::block_on(parallel.relay(Schedule::pipeline(), &lanes(4)));
    assert!(refused.unwrap_err().to_string().contains("1 to 3"));
    assert_eq!((parallel.schedule(), parallel.lanes().len()), (&Schedule::Serial, 1));
    assert!(pollster::block_on(parallel.set_state(TrainingState::default())).is_err());
    assert_eq!(parallel.run(0..0).unwrap(), []);
    assert_eq!(parallel.run(0..3).unwrap().len(), 3);
}

#[test]
fn a_loss_that_is_not_finite_stops_every_lane() {
    let data = Arc::new(data(64));
    let explodes = || TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(1e20));
    for (schedule, count) in
        [(Schedule::Serial, 1), (Schedule::pipeline(), 2), (Schedule::data_parallel(), 3)]
    {
        let options = ParallelOptions::new(16, 4, schedule.clone());
        let mut parallel = start((net(), explodes(), &data), options, &lanes(count)).unwrap();
        let error = parallel.fit_blocking(FitOptions::new(3).in_order()).unwrap_err();
        let Error::NotFinite { step, epoch, loss: Some(loss), .. } = error else {
            panic!("{schedule:?}: {error}")
        };
        assert_eq!((epoch, loss.is_finite()), (1, false), "{schedule:?}");
        assert!(step >= 1 && parallel.state().step == step, "{schedule:?}: step {step}");
        assert!(parallel.state().values.iter().flatten().all(|v| v.is_finite()), "{schedule:?}");
    }
}
