//! A lane that fails in the middle of a step: the error names it, the others stop, the last completed
//! step is kept, and training goes on from it to the same bits.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use crate::common;
use crate::common::random::Random;
use crate::common::{fresh, lanes};
use crate::support::parallel::{run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::lanes::Schedule;
use wgrad::lanes::exchange::{Exchange, LocalExchange, Message, Payload, RunId};
use wgrad::lanes::{Parallel, ParallelOptions};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::TrainingConfig;
use wgrad::{Error, Gpu, Result};

const STEPS: u64 = 12;
const RUNS: u64 = 16;
/// With those of the test that takes minutes.
const ALL_RUNS: u64 = 50;

/// What happens at one message.
#[derive(Debug)]
enum Fault {
    /// This device is destroyed.
    Lose(Gpu),
    /// This device is asked for something invalid.
    Misuse(Gpu),
    /// The sender gets this error.
    Fail(fn() -> Error),
    /// The message never arrives.
    Drop,
    /// It arrives with so many bytes more or fewer.
    Resize(isize),
}

/// An exchange with a fault at the message of this number.
#[derive(Debug)]
struct Faulty {
    inner: LocalExchange,
    at: usize,
    fault: Option<Fault>,
    sent: AtomicUsize,
    /// The message at which it happened.
    hit: Mutex<Option<Message>>,
}

impl Faulty {
    fn new(at: usize, fault: Option<Fault>) -> Arc<Self> {
        let (inner, sent, hit) = Default::default();
        Arc::new(Self { inner, at, fault, sent, hit })
    }

    fn hit(&self) -> Message {
        self.hit.lock().unwrap().expect("a message that was hit")
    }
}

impl Exchange for Faulty {
    fn send(&self, message: Message, mut payload: Payload) -> Result<()> {
        if self.sent.fetch_add(1, Ordering::SeqCst) == self.at {
            *self.hit.lock().unwrap() = Some(message);
            match &self.fault {
                Some(Fault::Lose(gpu)) => gpu.device().destroy(),
                Some(Fault::Misuse(gpu)) => {
                    use wgpu::BufferUsages as Usage;
                    let _ = gpu.device().create_buffer(&wgpu::BufferDescriptor {
                        label: None,
                        size: 4,
                        usage: Usage::MAP_READ | Usage::MAP_WRITE | Usage::STORAGE,
                        mapped_at_creation: false,
                    });
                }
                Some(Fault::Fail(error)) => {
                    // Late: the lane is in a later step by then.
                    std::thread::sleep(Duration::from_millis(200));
                    return Err(error());
                }
                Some(Fault::Drop) => return Ok(()),
                Some(Fault::Resize(by)) => {
                    let mut bytes = payload.to_vec();
                    bytes.resize(bytes.len().saturating_add_signed(*by), 0);
                    payload = bytes.into();
                }
                None => {}
            }
        }
        self.inner.send(message, payload)
    }

    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.inner.receive(message, within)
    }

    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.inner.stop(run, lane, reason);
    }

    fn clear(&self, run: RunId) {
        self.inner.clear(run);
    }
}

fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..120).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
    let targets = features.chunks(3).map(|row| row[0] - row[1] * row[2]).collect();
    Arc::new(Dataset::regression(features, 3, targets, 1).unwrap())
}

fn parallel(schedule: Schedule, exchange: Arc<Faulty>, lanes: &[Gpu]) -> Parallel {
    of(options(schedule, exchange), lanes)
}

fn patient(ms: u64, schedule: Schedule, exchange: Arc<Faulty>, lanes: &[Gpu]) -> Parallel {
    let patience = Duration::from_millis(ms);
    of(ParallelOptions { patience, ..options(schedule, exchange) }, lanes)
}

fn options(schedule: Schedule, exchange: Arc<Faulty>) -> ParallelOptions {
    let mut options = ParallelOptions::new(16, 4, schedule);
    options.exchange = exchange;
    options.patience = Duration::from_secs(300);
    options
}

fn of(options: ParallelOptions, lanes: &[Gpu]) -> Parallel {
    let net = Sequential::new(3).dense(11).relu().dense(7).tanh().dense(1).seed(5);
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.02));
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
    killed(0..RUNS);
}

#[test]
#[ignore = "minutes of more cases"]
fn more_lanes_killed_at_random() {
    killed(RUNS..ALL_RUNS);
}

fn killed(runs: Range<u64>) {
    for run in runs {
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
        let (hit, kept) = (exchange.hit(), parallel.state().step);
        assert!(step.abs_diff(hit.step) <= 1, "run {run}: killed at {hit}, error in step {step}");
        // Whoever sends a message of a step has completed all before it. So has a replica that is left:
        // it has got what it needed for them. The other stages of a pipeline may be at the one before.
        let completed = match schedule {
            Schedule::Pipeline { .. } => hit.step.saturating_sub(1),
            _ => hit.step,
        };
        assert!(
            (completed..=step + 1).contains(&kept),
            "run {run}: killed at {hit}, error in step {step}, {kept} steps kept"
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
fn a_lane_whose_copy_fails_names_itself() {
    let out_of_memory = || Error::OutOfMemory { during: "a copy".into(), reason: "none".into() };
    let validation = || Error::Validation { during: "a copy".into(), reason: "no".into() };
    for fail in [out_of_memory, validation] {
        for (schedule, count) in [(Schedule::data_parallel(), 3), (Schedule::pipeline(), 3)] {
            let exchange = Faulty::new(17, Some(Fault::Fail(fail)));
            let mut parallel = parallel(schedule, exchange.clone(), &lanes(count));
            let (lane, step, source) = lane_error(run_to(&mut parallel, STEPS));
            assert_eq!(source.to_string(), fail().to_string());
            assert_eq!((lane, step), (exchange.hit().from, exchange.hit().step));
            is_intact(&parallel);
            // The same lanes go on: nothing was wrong with them.
            is_undisturbed(&mut parallel);
        }
    }
}

#[test]
fn what_webgpu_refuses_names_the_lane() {
    for (schedule, victim) in [(Schedule::data_parallel(), 1), (Schedule::pipeline(), 0)] {
        // Devices of wgrad's own: a caller's device tells its caller.
        let lanes = [Gpu::new_blocking().unwrap(), Gpu::new_blocking().unwrap()];
        let exchange = Faulty::new(9, Some(Fault::Misuse(lanes[victim].clone())));
        let mut parallel = parallel(schedule, exchange.clone(), &lanes);
        let (lane, step, source) = lane_error(run_to(&mut parallel, STEPS));
        assert!(matches!(source, Error::Validation { .. }), "{source}");
        assert_eq!(lane, victim);
        assert!(step.abs_diff(exchange.hit().step) <= 1);
        is_intact(&parallel);
        is_undisturbed(&mut parallel);
    }
}

#[test]
fn messages_of_another_length_are_refused() {
    for (schedule, count) in [(Schedule::data_parallel(), 2), (Schedule::pipeline(), 3)] {
        for (at, by) in [(6, -4), (7, 4), (8, isize::MIN)] {
            let exchange = Faulty::new(at, Some(Fault::Resize(by)));
            let mut parallel = parallel(schedule.clone(), exchange.clone(), &lanes(count));
            let (lane, at_step, source) = lane_error(run_to(&mut parallel, STEPS));
            let Error::LaneMessage { lane: from, step, what, bytes, expected } = source else {
                panic!("{source}")
            };
            let hit = exchange.hit();
            assert_eq!((lane, at_step), (hit.to, hit.step));
            assert_eq!((from, step, what), (hit.from, hit.step, hit.content.to_string()));
            assert_eq!(bytes, expected.saturating_add_signed(by));
            is_intact(&parallel);
            is_undisturbed(&mut parallel);
        }
    }
}

#[test]
fn trainings_at_once_may_share_an_exchange() {
    let exchange = Faulty::new(usize::MAX, None);
    let schedules = [(Schedule::data_parallel(), 2), (Schedule::pipeline(), 2)];
    std::thread::scope(|scope| {
        // The same messages but for the run they belong to, twice.
        for (schedule, count) in schedules.iter().chain(&schedules) {
            let exchange = exchange.clone();
            scope.spawn(move || {
                let mut parallel = parallel(schedule.clone(), exchange, &lanes(*count));
                is_undisturbed(&mut parallel);
            });
        }
    });
}

#[test]
fn a_message_that_never_comes_is_not_waited_for_forever() {
    // Compiles what the others need no patience for then.
    messages(&Schedule::pipeline(), 2);
    let exchange = Faulty::new(9, Some(Fault::Drop));
    let mut parallel = patient(3000, Schedule::pipeline(), exchange.clone(), &lanes(2));
    let begun = Instant::now();
    let (lane, _, source) = lane_error(run_to(&mut parallel, STEPS));
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    let Error::LaneTimeout { lane: from, step, waiting_for, .. } = source else {
        panic!("{source}")
    };
    // Whoever it was for waits for it, and the other for what would follow from it.
    let hit = exchange.hit();
    assert_eq!((lane + from, step), (1, hit.step));
    assert!(waiting_for == hit.content.to_string() || lane == hit.from, "{waiting_for}, {hit}");
    is_intact(&parallel);
    is_undisturbed(&mut parallel);
}

/// Without a copy per step: replicas that are left say what they hold, a pipeline is where the run
/// began.
#[test]
fn what_is_kept_without_a_copy_per_step() {
    for (schedule, count) in [(Schedule::data_parallel(), 3), (Schedule::pipeline(), 2)] {
        for victim in 0..count {
            let mut lanes = lanes(count);
            lanes[victim] = fresh();
            let at = messages(&schedule, count) / 2;
            let exchange = Faulty::new(at, Some(Fault::Lose(lanes[victim].clone())));
            // Ten steps in a run.
            let of = |schedule, exchange, lanes: &[Gpu]| {
                let (keep_state, batch) = (false, 4);
                of(ParallelOptions { keep_state, batch, ..options(schedule, exchange) }, lanes)
            };
            let mut parallel = of(schedule.clone(), exchange.clone(), &lanes);
            run_to(&mut parallel, 10).unwrap_err();
            let kept = parallel.state().step;
            let mut serial = of(Schedule::Serial, Faulty::new(0, None), &common::lanes(1));
            run_to(&mut serial, kept).unwrap();
            assert!(state_bits(parallel.state()) == state_bits(serial.state()), "step {kept}");
            match schedule {
                Schedule::Pipeline { .. } => assert_eq!(kept, 0),
                _ => assert!(kept >= exchange.hit().step && kept > 0, "{kept} steps"),
            }
        }
    }
}
