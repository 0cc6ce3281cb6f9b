//! Advice over the lanes of several processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::course::{Course, Training, fit, time};
use super::{Advice, Measured, MoreLanes, ROUNDS, Trial};
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use crate::lanes::forecast::{StepCosts, forecast};
use crate::lanes::peers::Peers;
use crate::lanes::{Parallel, ParallelOptions, Schedule, World};
use crate::nn::Sequential;
use crate::plan::Target;
use crate::train::TrainingConfig;
use crate::{Error, Result};

/// What is trained, and on what.
type Task<'a> = (&'a Sequential, &'a TrainingConfig, &'a Arc<Dataset>);

/// What the first process says of a trial begins with one of these.
const MEASURED: u8 = b'+';
const FAILED: u8 = b'!';

/// How many times the patience of a training the others have while the first process times alone: some schedules, by
/// rounds of several steps each, where a step may take most of that patience.
const ALONE: u32 = 20;

/// Rounds of which the time of a short message is found.
const PINGS: usize = 9;

/// Trainings that a call has at most: of each schedule, and the talk about them.
const TRAININGS: u64 = 16;

/// The run in which the first process says which numbers the trainings of a call have. Its training is none of theirs.
const CALLS: u64 = u64::MAX << RunId::OF_TRAINING;

/// An exchange for one of several trainings at the same time over one exchange: its runs are its own.
#[derive(Debug)]
struct Numbered {
    inner: Arc<dyn Exchange>,
    number: u64,
}

impl Numbered {
    fn of(&self, run: RunId) -> RunId {
        RunId::of(run.number() | self.number << RunId::OF_TRAINING)
    }

    fn named(&self, message: Message) -> Message {
        Message { run: self.of(message.run), ..message }
    }
}

impl Exchange for Numbered {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.inner.send(self.named(message), payload)
    }
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        self.inner.receive(self.named(message), within)
    }
    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.inner.stop(self.of(run), lane, reason);
    }
    fn clear(&self, run: RunId) {
        self.inner.clear(self.of(run));
    }
    fn multicast(&self, message: Message, to: &[usize], payload: &Payload) -> Result<()> {
        self.inner.multicast(self.named(message), to, payload)
    }
}

/// Something that is timed: a schedule over all lanes, or something on the first one alone.
struct Candidate {
    schedule: Option<Schedule>,
    lanes: usize,
    micro_batches: usize,
    /// Nothing where another process has it.
    course: Option<Result<Course>>,
}

/// As [`advise`](super::advise), in all processes.
pub(super) fn advise(
    task: Task<'_>,
    options: &ParallelOptions,
    world: &World,
    gpus: &[Gpu],
    steps: usize,
) -> Result<Advice> {
    let patience = options.patience.saturating_mul(ALONE);
    let mut numbers = numbers(options, world, patience)?;
    let mut another = || {
        let number = numbers.next();
        let number = number.ok_or_else(|| Error::bug("more trainings than a call may have"))?;
        Ok(Arc::new(Numbered { inner: options.exchange.clone(), number }))
    };
    let mut peers = Peers::new(world.clone(), another()?, patience);
    let advised = advise_all(task, options, (world, gpus), steps, &mut peers, &mut another);
    if let Err(error) = &advised {
        peers.leave(&error.to_string());
    }
    advised
}

/// The numbers of a call's trainings, alike in all processes. No call on the same exchange had them before: what is left
/// of a training is that it is over, which the next one of its number would take for its own end.
fn numbers(
    options: &ParallelOptions,
    world: &World,
    patience: Duration,
) -> Result<std::ops::Range<u64>> {
    // The first process counts for all. The training after all advice has the number 0.
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let (first, exchange) = (0, &options.exchange);
    let name =
        |to| Message { run: RunId::of(CALLS), from: first, to, step: 0, content: Content::Word };
    let begin = if world.is_first() {
        let begin = NEXT.fetch_add(TRAININGS, Ordering::Relaxed);
        let said: Payload = begin.to_le_bytes().into();
        exchange.multicast(name(first), &world.others(), &said)?;
        begin
    } else {
        let message = name(world.first());
        let said = exchange.receive(message, patience).map_err(|error| world.located(error))?;
        let said = said.ok_or_else(|| world.located(message.timeout(patience.as_secs_f64())))?;
        message.check(&said, 8)?;
        <[u8; 8]>::try_from(&*said).map_or(0, u64::from_le_bytes)
    };
    Ok(begin..begin.saturating_add(TRAININGS))
}

fn advise_all(
    task: Task<'_>,
    options: &ParallelOptions,
    (world, gpus): (&World, &[Gpu]),
    steps: usize,
    peers: &mut Peers,
    another: &mut dyn FnMut() -> Result<Arc<Numbered>>,
) -> Result<Advice> {
    let (model, compile, data) = task;
    let (lanes, batch) = (world.lanes(), options.batch.min(data.rows()));
    let mut start = |schedule: &Schedule, micro_batches: usize| -> Result<Course> {
        let (schedule, exchange) = (schedule.clone(), another()?);
        let options = ParallelOptions { schedule, micro_batches, exchange, ..options.clone() };
        begin(task, options, gpus)
    };
    let alone = |rows: usize, micro_batches: usize| -> Option<Result<Course>> {
        let one = gpus.get(..1).filter(|_| world.is_first())?;
        let alone = ParallelOptions::new(rows, micro_batches, Schedule::Serial);
        Some(begin(task, ParallelOptions { residency: options.residency, ..alone }, one))
    };
    let asked = options.micro_batches;
    let mut all = vec![
        Candidate {
            schedule: Some(Schedule::Serial),
            lanes: 1,
            micro_batches: asked,
            course: alone(options.batch, asked),
        },
        // The rows of one lane, for the forecast.
        Candidate {
            schedule: Some(Schedule::Serial),
            lanes: 1,
            micro_batches: 1,
            course: alone(batch.div_ceil(lanes), 1),
        },
        // All rows in one piece.
        Candidate {
            schedule: Some(Schedule::Serial),
            lanes: 1,
            micro_batches: 1,
            course: alone(batch, 1),
        },
    ];
    let mut schedules = vec![(Schedule::pipeline(), asked), (Schedule::data_parallel(), asked)];
    schedules
        .extend((asked != lanes && lanes <= batch).then_some((Schedule::data_parallel(), lanes)));
    if lanes >= 4 && lanes.is_multiple_of(2) {
        schedules.push((Schedule::Replicated { stages: Vec::new(), replicas: 2 }, asked));
    }
    for (schedule, micro_batches) in schedules {
        let course = Some(start(&schedule, micro_batches));
        all.push(Candidate { schedule: Some(schedule), lanes, micro_batches, course });
    }
    let own = gpus.first().filter(|_| world.is_first());
    let course = own.map(|gpu| fit(model, compile, data, options, gpu));
    all.push(Candidate { schedule: None, lanes: 1, micro_batches: 1, course });
    for _ in 0..ROUNDS {
        for candidate in &mut all {
            // What one process measures alone, the others do not disturb.
            peers.hear(0, || Ok(Vec::new()))?;
            if let Some(course) = &mut candidate.course {
                time(course, steps);
            }
        }
    }
    let ping = ping(peers)?;
    let mut trials = Vec::new();
    for candidate in all {
        let Candidate { schedule, lanes, micro_batches, course } = candidate;
        peers.hear(0, || Ok(Vec::new()))?;
        let own = course.map(|course| course.and_then(|course| course.measured(steps)));
        trials.push(Trial { schedule, lanes, micro_batches, outcome: shared(peers, own)? });
    }
    // What was measured for the forecast is no way to train with.
    let pieces: Vec<Trial> = trials.drain(1..3).collect();
    let pieces = match pieces.as_slice() {
        [share, whole] => share.outcome.as_ref().ok().zip(whole.outcome.as_ref().ok()),
        _ => None,
    };
    let replicas = trials.iter().find(|trial| {
        trial.schedule == Some(Schedule::data_parallel()) && trial.micro_batches == lanes
    });
    let measured = replicas.and_then(|trial| trial.outcome.as_ref().ok());
    let more = match (pieces, measured, gpus.first()) {
        (Some((share, whole)), Some(measured), Some(gpu)) if lanes > 1 => {
            let rows = (batch.div_ceil(lanes), batch);
            let seconds = (share.seconds, whole.seconds, measured.seconds);
            let options = ParallelOptions { batch, ..options.clone() };
            more_lanes((model, compile), &options, lanes, &gpu.target(), rows, seconds, ping)?
        }
        _ => Vec::new(),
    };
    // The first one's figures are everybody's.
    let said = peers.hear(0, || {
        let words = more.iter().flat_map(|more| [more.lanes as u64, more.seconds.to_bits()]);
        Ok(words.flat_map(u64::to_le_bytes).collect())
    })?;
    let more = said.chunks_exact(16).filter_map(|pair| {
        let (lanes, seconds) = pair.split_first_chunk::<8>()?;
        let lanes = usize::try_from(u64::from_le_bytes(*lanes)).ok()?;
        let seconds = f64::from_le_bytes(seconds.try_into().ok()?);
        Some(MoreLanes { lanes, seconds })
    });
    Ok(Advice { trials, steps, more: more.collect() })
}

fn begin(
    (model, compile, data): Task<'_>,
    options: ParallelOptions,
    gpus: &[Gpu],
) -> Result<Course> {
    let parallel = Parallel::new(model.clone(), compile.clone(), data.clone(), options, gpus);
    Course::begin(Training::Lanes(Box::new(pollster::block_on(parallel)?)))
}

/// Seconds that a message without anything in it takes.
fn ping(peers: &mut Peers) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..PINGS {
        let begun = Instant::now();
        peers.agree(&Default::default())?;
        // There and back.
        times.push(begun.elapsed().as_secs_f64() / 2.0);
    }
    times.sort_by(f64::total_cmp);
    Ok(times.get(PINGS / 2).copied().unwrap_or(0.0))
}

/// What the first process measured, everywhere. Of what failed over all lanes each has an error of its own.
fn shared(peers: &mut Peers, own: Option<Result<Measured>>) -> Result<Result<Measured>> {
    let said = peers.hear(0, || {
        Ok(match &own {
            Some(Ok(measured)) => {
                let Measured { seconds, range, busy, overlap, bytes_exchanged } = measured;
                let numbers = [*seconds, range.0, range.1, *overlap, *bytes_exchanged as f64];
                let numbers = numbers.iter().chain(busy).flat_map(|number| number.to_le_bytes());
                std::iter::once(MEASURED).chain(numbers).collect()
            }
            Some(Err(error)) => format!("{}{error}", char::from(FAILED)).into_bytes(),
            None => Vec::new(),
        })
    })?;
    match own {
        Some(own) if own.is_err() || peers.world.is_first() => return Ok(own),
        _ => {}
    }
    let said = match said.split_first() {
        Some((&FAILED, reason)) => {
            let reason = String::from_utf8_lossy(reason);
            return Ok(Err(Error::argument("what rank 0 tried", "an error", &reason)));
        }
        Some((_, said)) => said,
        None => &[],
    };
    let numbers: Vec<f64> = said.chunks_exact(8).map(bytemuck::pod_read_unaligned).collect();
    let Some((&[seconds, low, high, overlap, bytes], busy)) = numbers.split_first_chunk() else {
        return Err(Error::bug("the first process said less of a trial than it must"));
    };
    let (range, bytes_exchanged) = ((low, high), bytes as u64);
    Ok(Ok(Measured { seconds, range, busy: busy.to_vec(), overlap, bytes_exchanged }))
}

/// Twice and four times the lanes, from the seconds of a lane with its share of the rows and with all of them, and of the
/// replicas: what these take beyond the share is what bytes cost, and a short message.
fn more_lanes(
    (model, compile): (&Sequential, &TrainingConfig),
    options: &ParallelOptions,
    lanes: usize,
    target: &Target,
    rows: (usize, usize),
    (share, whole, measured): (f64, f64, f64),
    ping: f64,
) -> Result<Vec<MoreLanes>> {
    let per_row = (whole - share).max(0.0) / rows.1.saturating_sub(rows.0).max(1) as f64;
    let fixed = (share - per_row * rows.0 as f64).max(0.0);
    let of = |lanes: usize, per_byte: f64| -> Result<f64> {
        let costs = StepCosts {
            fixed,
            per_row,
            per_message: 0.0,
            per_byte,
            gap: 0.0,
            latency: ping,
            bandwidth: f64::INFINITY,
        };
        let (schedule, micro_batches) = (Schedule::data_parallel(), lanes);
        let options = ParallelOptions { schedule, micro_batches, ..options.clone() };
        Ok(forecast(model, compile, &options, lanes, target, &costs)?.seconds)
    };
    // The cost of a byte with which the forecast of the lanes there are is what was measured, by halving.
    let (mut low, mut high) = (0.0, 1e-6);
    for _ in 0..40 {
        let middle = 0.5 * (low + high);
        match of(lanes, middle)? < measured {
            true => low = middle,
            false => high = middle,
        }
    }
    let counts =
        [2, 4].into_iter().map(|times| times * lanes).filter(|&count| count <= options.batch);
    counts.map(|lanes| Ok(MoreLanes { lanes, seconds: of(lanes, low)? })).collect()
}
