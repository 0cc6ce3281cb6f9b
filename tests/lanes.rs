//! Training over lanes: every schedule gives the bits of the serial one.

mod common;
mod support;

use std::sync::Arc;

use common::{gpu, lanes};
use support::bits;
use support::parallel::{Task, run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::exec::Schedule;
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Compile, Fit, ParallelOptions, TrainingState};
use wgrad::{Gpu, Result};

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

fn sgd() -> Compile {
    Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05)).metric(Metric::MeanAbsoluteError)
}

fn adam() -> Compile {
    Compile::new(Loss::MeanSquaredError, Optimizer::adam(0.01))
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

fn equal_everywhere(compile: Compile, rows: usize, batch: usize, micro_batches: usize) {
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
fn one_micro_batch_is_what_fit_does() {
    let data = Arc::new(data(100));
    let options = ParallelOptions::new(32, 1, Schedule::Serial);
    let (losses, state) = train((net(), adam(), &data), options, &lanes(1), 8).unwrap();
    let mut model = net().compile_blocking(&gpu(), adam()).unwrap();
    let history = model.fit_blocking(&data, Fit::new(2).batch_size(32).in_order()).unwrap();
    assert_eq!(bits(&losses), bits(&history.batch_losses));
    let weights: Vec<Vec<f32>> =
        model.weights_blocking().unwrap().into_iter().map(|(_, values)| values).collect();
    assert_eq!(weights, state.values);
}
