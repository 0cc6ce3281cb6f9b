//! A lane that fails in the middle of a step: the error names it, the others stop, the last completed
//! step is kept, and training goes on from it to the same bits.

mod common;
mod support;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use common::random::Random;
use common::{fresh, lanes};
use support::parallel::{run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::exec::Schedule;
use wgrad::exec::exchange::{Exchange, LocalExchange, Message, Payload};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{Compile, Parallel, ParallelOptions};
use wgrad::{Error, Gpu, Result};

const STEPS: u64 = 12;
const RUNS: u64 = 50;

/// What happens at one message.
#[derive(Debug)]
enum Fault {
    /// This device is destroyed.
    Lose(Gpu),
    /// The sender gets this error.
    Fail(fn() -> Error),
    /// The message never arrives.
    Drop,
}

/// An exchange with a fault at the message of this number.
#[derive(Debug)]
struct Faulty {
    inner: LocalExchange,
    at: usize,
    fault: Option<Fault>,
    sent: AtomicUsize,
    /// The step of the message at which it happened.
    step: AtomicU64,
}

impl Faulty {
    fn new(at: usize, fault: Option<Fault>) -> Arc<Self> {
        let (inner, sent, step) = Default::default();
        Arc::new(Self { inner, at, fault, sent, step })
    }
}

impl Exchange for Faulty {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        if self.sent.fetch_add(1, Ordering::SeqCst) == self.at {
            self.step.store(message.step, Ordering::SeqCst);
            match &self.fault {
                Some(Fault::Lose(gpu)) => gpu.device().destroy(),
                Some(Fault::Fail(error)) => return Err(error()),
                Some(Fault::Drop) => return Ok(()),
                None => {}
            }
        }
        self.inner.send(message, payload)
    }

    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.inner.receive(message, within)
    }

    fn stop(&self, lane: usize, reason: &str) {
        self.inner.stop(lane, reason);
    }

    fn clear(&self) {
        self.inner.clear();
    }
}

fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..120).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(3).map(|row| row[0] - row[1] * row[2]).collect();
    Arc::new(Dataset::regression(features, 3, targets, 1).unwrap())
}

fn parallel(schedule: Schedule, exchange: Arc<Faulty>, lanes: &[Gpu]) -> Parallel {
    patient(30_000, schedule, exchange, lanes)
}

fn patient(ms: u64, schedule: Schedule, exchange: Arc<Faulty>, lanes: &[Gpu]) -> Parallel {
    let net = Sequential::new(3).dense(11).relu().dense(7).tanh().dense(1).seed(5);
    let how = Compile::new(Loss::MeanSquaredError, Optimizer::adam(0.02));
    let mut options = ParallelOptions::new(16, 4, schedule);
    options.exchange = exchange;
    options.patience = Duration::from_millis(ms);
    start((net, how, &data()), options, lanes).unwrap()
}

/// The states of an undisturbed run, after each step.
fn undisturbed() -> &'static [Vec<u32>] {
    static STATES: OnceLock<Vec<Vec<u32>>> = OnceLock::new();
    STATES.get_or_init(|| {
        let mut parallel = parallel(Schedule::Serial, Faulty::new(0, None), &lanes(1));
        let mut states = vec![state_bits(parallel.state())];
        for step in 1..=STEPS {
            run_to(&mut parallel, step).unwrap();
            states.push(state_bits(parallel.state()));
        }
        states
    })
}

/// Messages of an undisturbed run.
fn messages(schedule: &Schedule, count: usize) -> usize {
    let exchange = Faulty::new(usize::MAX, None);
    run_to(&mut parallel(schedule.clone(), exchange.clone(), &lanes(count)), STEPS).unwrap();
    exchange.sent.load(Ordering::SeqCst)
}

/// The lane and the step of an error, and what happened there.
fn lane_error(result: Result<Vec<f32>>) -> (usize, u64, Error) {
    match result {
        Err(Error::Lane { lane, step, name, source }) => {
            assert!(name.starts_with(&format!("lane {lane} (")), "{name}");
            (lane, step, *source)
        }
        other => panic!("no lane failed: {other:?}"),
    }
}

fn is_intact(parallel: &Parallel) {
    let step = parallel.state().step as usize;
    assert!(state_bits(parallel.state()) == undisturbed()[step], "the state after step {step}");
}

fn is_undisturbed(parallel: &mut Parallel) {
    run_to(parallel, STEPS).unwrap();
    is_intact(parallel);
}

#[test]
fn lanes_killed_at_random() {
    for run in 0..RUNS {
        let mut random = Random::new(run);
        let (schedule, count) = match run % 4 {
            0 => (Schedule::pipeline(), 2),
            1 => (Schedule::data_parallel(), 2),
            2 => (Schedule::pipeline(), 3),
            _ => (Schedule::DataParallel { shares: vec![2, 1, 1] }, 3),
        };
        let mut lanes = lanes(count);
        let victim = random.below(count);
        lanes[victim] = fresh();
        // Not at the very end, when the victim may be done.
        let at = random.below(messages(&schedule, count) * 9 / 10);
        let exchange = Faulty::new(at, Some(Fault::Lose(lanes[victim].clone())));
        let mut parallel = parallel(schedule.clone(), exchange.clone(), &lanes);
        let (lane, step, source) = lane_error(run_to(&mut parallel, STEPS));
        assert_eq!(lane, victim, "run {run}: {source}");
        let killed_at = exchange.step.load(Ordering::SeqCst);
        assert!(step.abs_diff(killed_at) <= 1, "killed in step {killed_at}, error in {step}");
        let kept = parallel.state().step;
        assert!(
            kept <= step + 1 && kept + 2 >= killed_at,
            "run {run}: killed in step {killed_at}, error in {step}, {kept} steps kept"
        );
        is_intact(&parallel);

        lanes.remove(victim);
        let relayed = match schedule {
            Schedule::Pipeline { .. } => {
                lanes.insert(victim, fresh());
                parallel.relay(Schedule::pipeline(), &lanes)
            }
            _ => parallel.relay(Schedule::data_parallel(), &lanes),
        };
        pollster::block_on(relayed).unwrap();
        is_undisturbed(&mut parallel);
    }
}

#[test]
fn a_lane_without_memory_names_itself() {
    let fail = || Error::OutOfMemory { during: "a copy".into(), reason: "none left".into() };
    let exchange = Faulty::new(17, Some(Fault::Fail(fail)));
    let mut parallel = parallel(Schedule::data_parallel(), exchange.clone(), &lanes(3));
    let (_, step, source) = lane_error(run_to(&mut parallel, STEPS));
    assert!(matches!(source, Error::OutOfMemory { .. }), "{source}");
    assert_eq!(step, exchange.step.load(Ordering::SeqCst));
    is_intact(&parallel);
    // The same lanes go on: nothing was wrong with them.
    is_undisturbed(&mut parallel);
}

#[test]
fn a_message_that_never_comes_is_not_waited_for_forever() {
    // Compiles what the others need no patience for then.
    messages(&Schedule::pipeline(), 2);
    let exchange = Faulty::new(9, Some(Fault::Drop));
    let mut parallel = patient(3000, Schedule::pipeline(), exchange, &lanes(2));
    let begun = Instant::now();
    let (lane, _, source) = lane_error(run_to(&mut parallel, STEPS));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let Error::LaneTimeout { lane: from, waiting_for, .. } = &source else { panic!("{source}") };
    assert_eq!(lane + from, 1);
    assert!(waiting_for.contains("of micro-batch"), "{waiting_for}");
    is_intact(&parallel);
    is_undisturbed(&mut parallel);
}
