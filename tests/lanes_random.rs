//! Random nets under every schedule on one to four lanes, and over one to four processes of one or two: none hangs,
//! and all give the bits of the serial one.

use std::ops::Range;
use std::sync::Arc;

use crate::common::lanes;
use crate::common::random::Random;
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use crate::support::world::world;
use wgrad::data::Dataset;
use wgrad::lanes::ParallelOptions;
use wgrad::lanes::Schedule;
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{Precision, TrainingConfig};
use wgrad::{Gpu, Result};

const NETS: u64 = 40;
/// With those of the test that takes minutes.
const ALL_NETS: u64 = 200;
const STEPS: u64 = 3;
/// Nets over worlds, and those with the test that takes minutes.
const WORLDS: u64 = 3;
const ALL_WORLDS: u64 = 100;
/// Each has lanes of its own.
const THREADS: u64 = 2;

/// A net, how it learns, data for it, and how that is cut.
struct Case {
    model: Sequential,
    compile: TrainingConfig,
    data: Arc<Dataset>,
    trained: usize,
    /// Whether one lane must have all of it.
    whole: bool,
    batch: usize,
    micro_batches: usize,
}

fn case(random: &mut Random) -> Case {
    let (width, rows) = (1 + random.below(11), 8 + random.below(50));
    let (dense, outputs) = (1 + random.below(5), 2 + random.below(3));
    let mut trained = dense;
    let mut model = Sequential::new(width);
    for layer in 1..=dense {
        model = model.dense(if layer == dense { outputs } else { 1 + random.below(19) });
        if layer < dense {
            if random.below(4) == 0 {
                let width = model.output_width();
                trained += 1;
                model = match random.below(2) {
                    0 => model.layer_norm(),
                    _ => model.residual(|layers| layers.tanh().dense(width)),
                };
            }
            model = match random.below(6) {
                0 => model.relu(),
                1 => model.leaky_relu(0.1),
                2 => model.sigmoid(),
                3 => model.tanh(),
                4 => model.gelu(),
                _ => model,
            };
            if random.below(4) == 0 {
                model = model.dropout(0.3);
            }
        }
    }
    let mut numbers =
        |count: usize| -> Vec<f32> { (0..count).map(|_| random.uniform(-1.0, 1.0)).collect() };
    let (features, targets) = (numbers(rows * width), numbers(rows * outputs));
    let classes = random.below(2) == 0;
    let data = if classes {
        let labels = (0..rows).map(|_| random.below(outputs) as u32).collect();
        Dataset::classification(features, width, labels, outputs)
    } else {
        Dataset::regression(features, width, targets, outputs)
    };
    let loss = match (classes, random.below(3)) {
        (true, _) => Loss::SoftmaxCrossEntropy,
        (false, 0) => Loss::MeanSquaredError,
        (false, 1) => Loss::MeanAbsoluteError,
        (false, _) => Loss::Huber { delta: 0.5 },
    };
    let mut optimizer = match random.below(6) {
        0 => Optimizer::sgd(0.05),
        1 => Optimizer::momentum(0.05, 0.9),
        2 => Optimizer::adam(0.01),
        3 => Optimizer::rmsprop(0.01),
        4 => Optimizer::adagrad(0.05),
        _ => Optimizer::adamw(0.01, 0.1),
    };
    let clips = random.below(5) == 0;
    if clips {
        optimizer = optimizer.clip_norm(0.5);
    }
    let mut compile = TrainingConfig::new(loss, optimizer);
    let mixed = random.below(4) == 0;
    if mixed {
        compile = compile.precision(Precision::mixed());
    }
    if random.below(2) == 0 {
        compile = compile.metric(if classes { Metric::Accuracy } else { Metric::RSquared });
    }
    let batch = 1 + random.below(rows + 3);
    let micro_batches = 1 + random.below(batch.min(rows).min(9));
    let model = model.seed(random.next());
    let data = Arc::new(data.unwrap());
    Case { model, compile, data, trained, whole: clips || mixed, batch, micro_batches }
}

/// Every schedule on every number of lanes that the case allows, cut at random or by default.
fn schedules(random: &mut Random, case: &Case) -> Vec<(Schedule, usize)> {
    let mut all = vec![(Schedule::Overlapped, 1)];
    for lanes in 1..=4 {
        let mut shares: Vec<usize> = (0..lanes).map(|_| random.below(4)).collect();
        shares[random.below(lanes)] += 1;
        let by_default = random.below(2) == 0;
        let shares = if by_default { Vec::new() } else { shares };
        all.push((Schedule::DataParallel { shares }, lanes));
    }
    // Clipping needs all gradients on one lane, and what crosses between stages is in 32 bits.
    for lanes in 1..=if case.whole { 1 } else { case.trained.min(4) } {
        let mut stages = vec![1; lanes];
        for _ in lanes..case.trained {
            stages[random.below(lanes)] += 1;
        }
        let by_default = random.below(2) == 0;
        let stages = if by_default { Vec::new() } else { stages };
        all.push((Schedule::Pipeline { stages }, lanes));
    }
    all
}

#[test]
fn random_nets_under_every_schedule() {
    of_seeds(0..NETS);
}

#[test]
#[ignore = "minutes of more cases"]
fn more_random_nets_under_every_schedule() {
    of_seeds(NETS..ALL_NETS);
}

#[test]
fn random_nets_over_worlds() {
    (0..WORLDS).for_each(over_worlds);
}

#[test]
#[ignore = "minutes of more cases"]
fn more_random_nets_over_worlds() {
    (WORLDS..ALL_WORLDS).for_each(over_worlds);
}

/// A random net over a random world, under each schedule that both allow.
fn over_worlds(seed: u64) {
    let mut random = Random::new(1000 + seed);
    let case = case(&mut random);
    let ranks = 1 + random.below(4);
    let of_ranks: Vec<usize> = (0..ranks).map(|_| 1 + random.below(2)).collect();
    let lanes: usize = of_ranks.iter().sum();
    let alone = ParallelOptions::new(case.batch, case.micro_batches, Schedule::Serial);
    let serial = train(&case, alone, &crate::common::lanes(1)).unwrap();
    let mut schedules = vec![Schedule::data_parallel()];
    let mut shares: Vec<usize> = (0..lanes).map(|_| random.below(4)).collect();
    shares[random.below(lanes)] += 1;
    schedules.push(Schedule::DataParallel { shares });
    let stages = |stages: usize| !case.whole && stages <= case.trained;
    schedules.extend(stages(lanes).then(Schedule::pipeline));
    let replicas = 2;
    let of_two = lanes.is_multiple_of(replicas) && stages(lanes / replicas);
    schedules.extend(of_two.then_some(Schedule::Replicated { stages: Vec::new(), replicas }));
    for schedule in schedules {
        let options = ParallelOptions::new(case.batch, case.micro_batches, schedule.clone());
        let all = world(&options, &of_ranks, |options, gpus| train(&case, options, &gpus));
        for (rank, outcome) in all.into_iter().enumerate() {
            assert!(
                outcome.unwrap() == serial,
                "net {seed}, {:?}, batches of {} in {}: other bits under {schedule:?} on rank {rank} of {of_ranks:?}",
                case.model,
                case.batch,
                case.micro_batches
            );
        }
    }
}

type Trained = (Vec<u32>, Vec<u32>);

/// Losses and the state after some steps.
fn train(case: &Case, options: ParallelOptions, gpus: &[Gpu]) -> Result<Trained> {
    let task = (case.model.clone(), case.compile.clone(), &case.data);
    let mut parallel = start(task, options, gpus)?;
    let losses = run_to(&mut parallel, STEPS)?;
    Ok((bits(&losses), state_bits(parallel.state())))
}

fn of_seeds(seeds: Range<u64>) {
    std::thread::scope(|scope| {
        for begin in 0..THREADS {
            let seeds = seeds.clone().skip(begin as usize).step_by(THREADS as usize);
            scope.spawn(move || seeds.for_each(every_schedule));
        }
    });
}

fn every_schedule(seed: u64) {
    let mut random = Random::new(seed);
    let case = case(&mut random);
    let of = |schedule: Schedule, count: usize| {
        let options = ParallelOptions::new(case.batch, case.micro_batches, schedule);
        train(&case, options, &lanes(count)).unwrap()
    };
    let serial = of(Schedule::Serial, 1);
    for (schedule, count) in schedules(&mut random, &case) {
        assert!(
            serial == of(schedule.clone(), count),
            "net {seed}, {:?}, batches of {} in {}: other bits under {schedule:?} on {count} lanes",
            case.model,
            case.batch,
            case.micro_batches
        );
    }
}
