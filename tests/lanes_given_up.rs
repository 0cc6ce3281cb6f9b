//! A training over lanes that is broken off, anywhere and by anything, goes on where it was: it completes
//! the epoch that it is in, to the bits that nothing would have disturbed.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::common::random::Random;
use crate::common::{fresh, gpu, lanes};
use crate::support::parallel::{start, state_bits};
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{BatchLog, Callback, FitOptions, Kernels, Signal, TrainingConfig, epoch_order};
use wgrad::{Error, Gpu};

const SEED: u64 = 11;
/// Of 12 rows, and one of 4.
const BATCHES: u64 = 6;

fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..192).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(3).map(|row| row[0] - row[1] * row[2]).collect();
    Arc::new(Dataset::regression(features, 3, targets, 1).unwrap())
}

fn net() -> Sequential {
    Sequential::new(3).dense(11).relu().dense(7).tanh().dense(1).seed(5)
}

fn compile() -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.02)).kernels(Kernels::General)
}

fn options(micro_batches: usize, schedule: Schedule) -> ParallelOptions {
    ParallelOptions::new(12, micro_batches, schedule)
}

fn of(options: ParallelOptions, lanes: &[Gpu]) -> Parallel {
    start((net(), compile(), &data()), options, lanes).unwrap()
}

fn shuffled<'a>(epochs: usize) -> FitOptions<'a> {
    FitOptions::new(epochs).shuffle(SEED)
}

/// The bits after each of so many steps that nothing disturbed.
fn undisturbed(micro_batches: usize, steps: u64) -> Vec<Vec<u32>> {
    let mut serial = of(options(micro_batches, Schedule::Serial), &lanes(1));
    let mut states = vec![state_bits(serial.state())];
    for step in 0..steps {
        let (epoch, batch) = (step / BATCHES, (step % BATCHES) as usize);
        serial.set_order(epoch_order(64, SEED, epoch)).unwrap();
        serial.run(batch..batch + 1).unwrap();
        states.push(state_bits(serial.state()));
    }
    states
}

/// The state is that of its step, and the epoch is completed as the first of the next call, or there is
/// a whole one.
fn goes_on(parallel: &mut Parallel, states: &[Vec<u32>], what: &str) {
    let step = parallel.state().step;
    assert!(state_bits(parallel.state()) == states[step as usize], "{what}: after {step} steps");
    let left = BATCHES - step % BATCHES;
    let history = parallel.fit_blocking(shuffled(1)).unwrap();
    assert_eq!(history.batch_losses.len() as u64, left, "{what}");
    assert_eq!((history.epochs.len(), history.epochs[0].epoch), (1, 1), "{what}");
    let end = (step + left) as usize;
    assert!(state_bits(parallel.state()) == states[end], "{what}: after {end} steps");
}

fn layouts() -> Vec<(Schedule, usize)> {
    vec![(Schedule::Serial, 1), (Schedule::data_parallel(), 2), (Schedule::pipeline(), 2)]
}

/// Polls `future` now and then, so often at most, and drops it.
fn poll<F: Future>(future: F, times: usize, pause: Duration) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..times {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return Some(output);
        }
        std::thread::sleep(pause);
    }
    None
}

struct Quiet;

impl Callback for Quiet {}

#[test]
fn a_fit_that_is_dropped_counts_what_was_begun() {
    let (states, held_out) = (undisturbed(4, 40), data());
    let mut random = Random::new(3);
    for (schedule, count) in layouts() {
        for keep_state in [true, false] {
            let mut counts = Vec::new();
            for run in 0..6 {
                let options = ParallelOptions { keep_state, ..options(4, schedule.clone()) };
                let mut parallel = of(options, &lanes(count));
                let (mut quiet, pause) = (Quiet, Duration::from_micros(100 << run));
                let fit = shuffled(5).callback(&mut quiet);
                let fit = if run % 2 == 0 { fit } else { fit.validation(&held_out) };
                drop(poll(parallel.fit(fit), random.below(12), pause));
                counts.push(parallel.state().step);
                goes_on(&mut parallel, &states, &format!("{schedule:?}, dropped, run {run}"));
            }
            assert!(counts.iter().any(|&steps| steps > 0), "{schedule:?}: {counts:?}");
        }
    }
}

/// A future that is forgotten leaves its lanes out; the next call calls them back.
#[test]
fn a_fit_that_is_forgotten_is_called_back() {
    let states = undisturbed(4, 40);
    for (schedule, count) in layouts() {
        let mut parallel = of(options(4, schedule.clone()), &lanes(count));
        let mut future = Box::pin(parallel.fit(shuffled(5)));
        let mut context = Context::from_waker(Waker::noop());
        assert!(future.as_mut().poll(&mut context).is_pending());
        std::thread::sleep(Duration::from_millis(20));
        std::mem::forget(future);
        parallel.set_order(epoch_order(64, SEED, 0)).unwrap();
        goes_on(&mut parallel, &states, &format!("{schedule:?}, forgotten"));
    }
}

/// Does something after so many steps.
struct After<F>(u64, F);

impl<F: FnMut() -> Signal + Send> Callback for After<F> {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == self.0 { (self.1)() } else { Signal::Continue }
    }
}

#[test]
fn a_callback_ends_a_fit() {
    let states = undisturbed(4, 40);
    for (schedule, count) in layouts() {
        for keep_state in [true, false] {
            for after in [1, 3, BATCHES, BATCHES + 2] {
                let options = ParallelOptions { keep_state, ..options(4, schedule.clone()) };
                let mut parallel = of(options, &lanes(count));
                let mut stops = After(after, || Signal::Stop);
                let history = parallel.fit_blocking(shuffled(3).callback(&mut stops)).unwrap();
                let step = parallel.state().step;
                assert!(history.stopped_early && step >= after, "{schedule:?}: {step}");
                assert!(step <= after.next_multiple_of(BATCHES), "{schedule:?}: {step}");
                assert_eq!(history.batch_losses.len() as u64, step);
                assert_eq!(history.epochs.len() as u64, step / BATCHES);
                goes_on(&mut parallel, &states, &format!("{schedule:?}, stopped"));

                let mut panics = After(step + 8, || panic!("as planned"));
                let fit = shuffled(9).callback(&mut panics);
                catch_unwind(AssertUnwindSafe(|| drop(parallel.fit_blocking(fit)))).unwrap_err();
                assert!(parallel.state().step >= step + 8);
                goes_on(&mut parallel, &states, &format!("{schedule:?}, panicked"));
            }
        }
    }
}

#[test]
fn a_fit_that_loses_a_lane_goes_on_with_others() {
    let states = undisturbed(4, 40);
    for (schedule, count) in [(Schedule::data_parallel(), 3), (Schedule::pipeline(), 2)] {
        for victim in 0..count {
            let mut lanes = lanes(count);
            lanes[victim] = fresh();
            let mut parallel = of(options(4, schedule.clone()), &lanes);
            let lost = lanes[victim].clone();
            let mut loses = After(8, move || {
                lost.device().destroy();
                Signal::Continue
            });
            let error = parallel.fit_blocking(shuffled(3).callback(&mut loses)).unwrap_err();
            assert!(matches!(&error, Error::Lane { lane, .. } if *lane == victim), "{error}");
            let text = error.to_string();
            assert!(text.contains("`relay` to other devices: either goes on"), "{text}");
            // Three epochs in all are wanted: one is complete, this one counts.
            assert_eq!(parallel.state().step / BATCHES, 1);
            parallel.relay_blocking(Schedule::Serial, &[gpu()]).unwrap();
            let history = parallel.fit_blocking(shuffled(2)).unwrap();
            assert_eq!(history.epochs.len(), 2);
            assert_eq!(parallel.state().step, 3 * BATCHES);
            assert!(state_bits(parallel.state()) == states[18], "{schedule:?} without {victim}");
        }
    }
}

/// A model of lanes within an epoch completes it, as the lanes do; with other data it begins one.
#[test]
fn a_model_goes_on_where_lanes_stopped() {
    let states = undisturbed(1, 12);
    let (data, options) = (data(), |schedule| options(1, schedule));
    let task = (net(), compile(), &data);
    let mut parallel = start(task, options(Schedule::data_parallel()), &lanes(2)).unwrap();
    parallel.set_order(epoch_order(64, SEED, 0)).unwrap();
    parallel.run(0..2).unwrap();
    let fit = || shuffled(1).batch_size(12);
    for (others, steps) in [(false, 6), (true, 8)] {
        let mut model = parallel.model_blocking(&gpu()).unwrap();
        let same: Dataset = Dataset::clone(&data);
        let other = data.select(&(0..64).rev().collect::<Vec<_>>()).unwrap();
        assert!(same != other);
        model.fit_blocking(if others { &other } else { &same }, fit()).unwrap();
        assert_eq!(model.steps(), steps);
        if !others {
            let mut back = of(options(Schedule::Serial), &lanes(1));
            back.fit_blocking(shuffled(1)).unwrap();
            assert!(state_bits(back.state()) == states[6]);
            let weights = model.weights_blocking().unwrap();
            let weights: Vec<Vec<f32>> = weights.into_iter().map(|(_, values)| values).collect();
            assert_eq!(weights, back.state().values);
        }
    }
}

/// A model whose `fit` a callback ended within an epoch completes it in the next call.
#[test]
fn a_model_completes_its_epoch() {
    let data = data();
    for kernels in [Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory] {
        let new = || net().compile_blocking(&gpu(), compile().kernels(kernels)).unwrap();
        let fit = |epochs| shuffled(epochs).batch_size(1);
        let (mut whole, mut broken) = (new(), new());
        let (mut losses, mut stops) = (Vec::new(), After(3, || Signal::Stop));
        let history = broken.fit_blocking(&data, fit(3).callback(&mut stops)).unwrap();
        losses.extend(history.batch_losses);
        let left = 3 - losses.len() / 64;
        losses.extend(broken.fit_blocking(&data, fit(left)).unwrap().batch_losses);
        assert_eq!(whole.fit_blocking(&data, fit(3)).unwrap().batch_losses, losses, "{kernels:?}");
        assert_eq!(broken.steps(), whole.steps());
        assert_eq!(broken.weights_blocking().unwrap(), whole.weights_blocking().unwrap());
    }
}

/// What makes lanes, or changes them, can be given up anywhere.
#[test]
fn other_calls_can_be_given_up() {
    let states = undisturbed(4, 40);
    for (schedule, count) in layouts() {
        let mut parallel = of(options(4, schedule.clone()), &lanes(count));
        parallel.fit_blocking(shuffled(1)).unwrap();
        let saved = parallel.state().clone();
        for polls in 0..8 {
            let pause = Duration::from_micros(50);
            let options = options(4, schedule.clone());
            let lanes = lanes(count);
            drop(poll(Parallel::new(net(), compile(), data(), options, &lanes), polls, pause));
            drop(poll(parallel.model(&gpu()), polls, pause));
            let relayed = poll(parallel.relay(Schedule::Overlapped, &[gpu()]), polls, pause);
            let expected = if relayed.is_some() { &Schedule::Overlapped } else { &schedule };
            assert_eq!(parallel.schedule(), expected);
            goes_on(&mut parallel, &states, &format!("{schedule:?}, {polls} polls of relay"));
            drop(poll(parallel.set_state(saved.clone()), polls, pause));
            goes_on(&mut parallel, &states, &format!("{schedule:?}, {polls} polls of set_state"));
            parallel.set_state_blocking(saved.clone()).unwrap();
            parallel.relay_blocking(schedule.clone(), &lanes).unwrap();
        }
    }
}
