//! A world: several `Parallel`s that share one training, each with some of its lanes. Here they are in threads of
//! one process; `mpi/tests` has them in processes. Whoever has which lanes, the bits are those of one process.

use std::sync::Arc;
use std::time::Duration;

use crate::common::lanes;
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use crate::support::world::world;
use wgrad::data::Dataset;
use wgrad::lanes::exchange::{Content, Exchange, Message, Payload, RunId};
use wgrad::lanes::timeline::Timeline;
use wgrad::lanes::{ParallelOptions, Schedule, World, advise, step_messages};
use wgrad::nn::{Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, EpochLog, FitOptions, History, Signal, TrainingConfig, TrainingState,
};
#[cfg(feature = "files")]
use wgrad::train::{Checkpoint, Every};
use wgrad::{Gpu, Result};

const STEPS: u64 = 10;

pub fn data() -> Arc<Dataset> {
    let features: Vec<f32> = (0..412).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(4).map(|row| row[0] * row[1] - row[2]).collect();
    Arc::new(Dataset::regression(features, 4, targets, 1).unwrap())
}

pub fn net() -> Sequential {
    Sequential::new(4).dense(70).relu().dense(9).tanh().dense(1).seed(3)
}

pub fn adam() -> TrainingConfig {
    let config = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::adam(0.01));
    config.metric(Metric::MeanAbsoluteError).metric(Metric::RSquared)
}

/// Batches of 25 of 103 rows: the last has 3.
pub fn options(schedule: Schedule, micro_batches: usize) -> ParallelOptions {
    ParallelOptions::new(25, micro_batches, schedule)
}

fn train(how: &TrainingConfig, options: ParallelOptions, gpus: &[Gpu]) -> Result<Trained> {
    let mut parallel = start((net(), how.clone(), &data()), options, gpus)?;
    let losses = run_to(&mut parallel, STEPS)?;
    Ok((bits(&losses), state_bits(parallel.state()), parallel.bytes_exchanged()))
}

type Trained = (Vec<u32>, Vec<u32>, u64);

fn trains_the_same(how: &TrainingConfig, micro_batches: usize, worlds: &[(Schedule, &[usize])]) {
    let alone = train(how, options(Schedule::Serial, micro_batches), &lanes(1)).unwrap();
    for (schedule, of_ranks) in worlds {
        let options = options(schedule.clone(), micro_batches);
        let all = world(&options, of_ranks, |options, gpus| train(how, options, &gpus));
        for (rank, trained) in all.iter().enumerate() {
            if let Err(error) = trained {
                eprintln!("{schedule:?}, rank {rank} of {of_ranks:?}: {error}");
            }
        }
        for (rank, trained) in all.into_iter().enumerate() {
            let trained = trained.unwrap();
            assert!(trained.0 == alone.0, "losses of {schedule:?}, rank {rank} of {of_ranks:?}");
            assert!(trained.1 == alone.1, "state of {schedule:?}, rank {rank} of {of_ranks:?}");
        }
    }
}

fn replicated(replicas: usize) -> Schedule {
    Schedule::Replicated { stages: Vec::new(), replicas }
}

#[test]
fn replicas_of_any_number_of_processes_come_to_the_same_bits() {
    let replicas = Schedule::data_parallel;
    let worlds: &[(Schedule, &[usize])] = &[
        (replicas(), &[1]),
        (replicas(), &[1, 1]),
        (replicas(), &[2, 1]),
        (replicas(), &[1, 1, 1, 1]),
        (Schedule::DataParallel { shares: vec![3, 0, 2] }, &[1, 1, 1]),
    ];
    trains_the_same(&adam(), 5, worlds);
}

#[test]
fn one_micro_batch_for_each_replica_comes_to_the_same_bits() {
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    trains_the_same(&how, 4, &[(Schedule::data_parallel(), &[2, 2])]);
    trains_the_same(&how, 3, &[(Schedule::data_parallel(), &[1, 1, 1])]);
}

#[test]
fn pipelines_and_replicas_of_them_come_to_the_same_bits() {
    let worlds: &[(Schedule, &[usize])] = &[
        (Schedule::pipeline(), &[1, 1]),
        (Schedule::pipeline(), &[1, 2]),
        (replicated(2), &[2, 2]),
        (replicated(2), &[1, 1, 1, 1]),
    ];
    trains_the_same(&adam(), 5, worlds);
    // In one process too.
    let alone = train(&adam(), options(Schedule::Serial, 5), &lanes(1)).unwrap();
    for (stages, replicas, count) in
        [(vec![], 2, 4), (vec![2, 1], 2, 4), (vec![], 1, 3), (vec![], 2, 2)]
    {
        let schedule = Schedule::Replicated { stages, replicas };
        let trained = train(&adam(), options(schedule.clone(), 5), &lanes(count)).unwrap();
        assert!((&trained.0, &trained.1) == (&alone.0, &alone.1), "{schedule:?}");
    }
}

/// Replicas of a stage of several layers send the sums of its last layer while the others are computed; what the stage
/// before waits for, the gradient of the stage's input, is there only after all of them.
#[test]
fn the_stage_before_gets_its_gradient_when_it_is_there() {
    let net = Sequential::new(4).dense(8).tanh().dense(8).tanh().dense(8).tanh().dense(1).seed(3);
    let train = |schedule: Schedule, count: usize| {
        let task = (net.clone(), adam(), &data());
        let mut parallel = start(task, options(schedule, 4), &lanes(count)).unwrap();
        let losses = run_to(&mut parallel, 3).unwrap();
        (bits(&losses), state_bits(parallel.state()))
    };
    let alone = train(Schedule::Serial, 1);
    for stages in [vec![1, 3], vec![1, 2, 1]] {
        let count = 2 * stages.len();
        let schedule = Schedule::Replicated { stages: stages.clone(), replicas: 2 };
        assert!(train(schedule, count) == alone, "other bits in stages of {stages:?} layers");
    }
    // Those whose lanes are of first stages alone hear of the losses with that gradient.
    let schedule = Schedule::Replicated { stages: vec![1, 3], replicas: 2 };
    let all = world(&options(schedule, 4), &[1, 1, 1, 1], |options, gpus| {
        let mut parallel = start((net.clone(), adam(), &data()), options, &gpus)?;
        Ok(bits(&run_to(&mut parallel, 3)?))
    });
    for (rank, losses) in all.into_iter().enumerate() {
        assert!(losses.unwrap() == alone.0, "other losses on rank {rank}");
    }
}

/// Whatever the number of replicas, a lane sends twice the gradients at most: the bound of a ring. And what is
/// sent is what the list of messages says that needs no device.
#[test]
fn a_lane_sends_twice_the_gradients_at_most() {
    let target = lanes(1)[0].target();
    let gradients: usize = net().parameters().unwrap().iter().map(|p| p.initial.len()).sum();
    for (schedule, micro_batches, of_ranks) in [
        (Schedule::data_parallel(), 2, vec![1, 1]),
        (Schedule::data_parallel(), 4, vec![1, 1, 1, 1]),
        (Schedule::data_parallel(), 5, vec![2, 1]),
        (replicated(2), 5, vec![2, 2]),
    ] {
        let batch = ParallelOptions { batch: 24, ..options(schedule.clone(), micro_batches) };
        let steps = |options: ParallelOptions, gpus: Vec<Gpu>| {
            let own = options.world.clone().unwrap().own();
            let mut parallel = start((net(), adam(), &data()), options.clone(), &gpus)?;
            parallel.run(0..2)?;
            let count = options.world.as_ref().map_or(0, World::lanes);
            let all = step_messages(&net(), &adam(), &options, count, &target)?;
            let listed = all.iter().filter(|message| own.contains(&message.from));
            let listed: u64 = listed.map(|message| message.bytes).sum();
            Ok((parallel.bytes_exchanged(), listed))
        };
        for sent in world(&batch, &of_ranks, steps) {
            let (sent, listed) = sent.unwrap();
            assert_eq!(sent, 2 * listed, "{schedule:?} on {of_ranks:?}");
            if micro_batches == of_ranks.len() {
                // Gaps between parameters, and the scalars.
                let bound = 2 * (4 * gradients as u64 + 6 * 256 + 256);
                assert!(sent / 2 <= bound, "{} bytes a step, {bound}", sent / 2);
            }
        }
    }
    // A thousand processes need no more, and nobody sends twice the same.
    let thousand = ParallelOptions {
        world: Some(World::new(0, vec![1; 1000]).unwrap()),
        ..ParallelOptions::new(1000, 1000, Schedule::data_parallel())
    };
    let all = step_messages(&net(), &adam(), &thousand, 1000, &target).unwrap();
    let mut sent = vec![0; 1000];
    all.iter().for_each(|message| sent[message.from] += message.bytes);
    let total: u64 = sent.iter().sum();
    assert!(total <= 2 * 1000 * (4 * gradients as u64 + 7 * 256), "{total}");
    let mut names: Vec<String> = all.iter().map(|m| format!("{m:?}")).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), all.len());
}

/// Wants all that a callback can, and stops in the middle of an epoch.
struct Wishful {
    seen: Vec<String>,
    stop_at: u64,
}

impl Callback for Wishful {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        self.seen.push(format!("{log:?}"));
        match log.step {
            2 => Signal::LearningRate(0.02),
            step if step == self.stop_at => Signal::RestoreAndStop,
            _ => Signal::Continue,
        }
    }
    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        match log.epoch {
            1 => Signal::Remember,
            2 => Signal::LearningRate(0.003),
            _ => Signal::Continue,
        }
    }
}

fn fitted(
    options: ParallelOptions,
    gpus: &[Gpu],
    stop_at: u64,
) -> Result<(History, Vec<u32>, usize)> {
    let data = data();
    let mut callback = Wishful { seen: Vec::new(), stop_at };
    let mut parallel = start((net(), adam(), &data), options, gpus)?;
    let fit = FitOptions::new(4).shuffle(7).validation(&data).callback(&mut callback);
    let mut history = parallel.fit_blocking(fit)?;
    history.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
    Ok((history, state_bits(parallel.state()), callback.seen.len()))
}

/// All processes have one history and one state; the first one's callbacks are asked, and obeyed everywhere.
#[test]
fn fit_means_the_same_in_all_processes() {
    for (schedule, of_ranks) in
        [(Schedule::data_parallel(), vec![1, 2]), (Schedule::pipeline(), vec![1, 1])]
    {
        let all = world(&options(schedule.clone(), 5), &of_ranks, |options, gpus| {
            fitted(options, &gpus, u64::MAX)
        });
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(all[0].0, all[1].0, "{schedule:?}");
        assert!(all[0].1 == all[1].1, "{schedule:?}");
        assert_eq!((all[0].2, all[1].2), (20, 0));
        assert_eq!(all[1].0.epochs.len(), 4);
        assert!(all[1].0.values("val_r_squared").unwrap().iter().all(|r| r.is_finite()));
        // When a wish is heard depends on time; where it is obeyed must not.
        let all = world(&options(schedule.clone(), 5), &of_ranks, |options, gpus| {
            fitted(options, &gpus, 13)
        });
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        assert!(all[0].0.stopped_early && all[0].0 == all[1].0, "{schedule:?}");
        assert!(all[0].1 == all[1].1, "{schedule:?}: weights that were put back");
    }
}

/// A stop between two checkpoints is one in all processes, and over the lanes of one; the last file is of the last step.
#[test]
#[cfg(feature = "files")]
fn a_stop_between_checkpoints_ends_all_alike() {
    let data = data();
    for (number, (stop_at, of_ranks)) in
        [(1, vec![2]), (7, vec![2]), (1, vec![1, 1]), (6, vec![1, 1]), (8, vec![1, 1])]
            .into_iter()
            .enumerate()
    {
        let folder = std::env::temp_dir()
            .join(format!("wgrad-world-stopped-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let all = world(&options(Schedule::data_parallel(), 2), &of_ranks, |options, gpus| {
            let mut callback = Wishful { seen: Vec::new(), stop_at };
            let mut parallel = start((net(), adam(), &data), options, &gpus)?;
            let kept = Checkpoint::every(Every::Steps(3)).in_folder(&folder);
            let fit = FitOptions::new(4).shuffle(7).checkpoint(kept).callback(&mut callback);
            let mut history = parallel.fit_blocking(fit)?;
            history.epochs.iter_mut().for_each(|epoch| epoch.seconds = 0.0);
            Ok((history, state_bits(parallel.state()), parallel.state().step))
        });
        let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
        let (first, last) = (&all[0], &all[all.len() - 1]);
        assert!(first.0.stopped_early && first.0 == last.0, "{stop_at} in {of_ranks:?}");
        assert!(first.1 == last.1 && first.2 == last.2, "{stop_at} in {of_ranks:?}");
        let steps = std::fs::read_dir(&folder).unwrap().map(|entry| {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            digits.parse::<u64>().unwrap()
        });
        assert_eq!(steps.max(), Some(first.2), "{stop_at} in {of_ranks:?}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[test]
fn another_number_of_processes_goes_on_to_the_same_bits() {
    let undisturbed = {
        let mut parallel =
            start((net(), adam(), &data()), options(Schedule::Serial, 5), &lanes(1)).unwrap();
        parallel.fit_blocking(FitOptions::new(4).shuffle(1)).unwrap();
        state_bits(parallel.state())
    };
    let part =
        |from: Option<TrainingState>, epochs: usize, schedule: Schedule, of_ranks: &[usize]| {
            let work = |options: ParallelOptions, gpus: Vec<Gpu>| {
                let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
                if let Some(state) = from.clone() {
                    parallel.set_state_blocking(state)?;
                }
                parallel.fit_blocking(FitOptions::new(epochs).shuffle(1))?;
                Ok(parallel.state().clone())
            };
            world(&options(schedule, 5), of_ranks, work).pop().unwrap().unwrap()
        };
    let state = part(None, 1, Schedule::data_parallel(), &[1, 1, 1]);
    let state = part(Some(state), 2, Schedule::pipeline(), &[1, 1]);
    let state = part(Some(state), 1, Schedule::data_parallel(), &[2]);
    assert!(state_bits(&state) == undisturbed);
}

/// What `work` says of rank 1, whose options or model differ; and of rank 0.
fn refused(change: impl Fn(&mut ParallelOptions, &mut Sequential) + Sync, said: &str) {
    let all = world(&options(Schedule::data_parallel(), 5), &[1, 1], |mut options, gpus| {
        let mut net = net();
        if !options.world.as_ref().unwrap().is_first() {
            change(&mut options, &mut net);
        }
        start((net, adam(), &data()), options, &gpus).map(drop)
    });
    for (rank, outcome) in all.into_iter().enumerate() {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains(said) && (rank == 1 || error.contains("rank 1")), "{error}");
    }
}

#[test]
fn processes_that_differ_are_told_in_which_thing() {
    refused(|options, _| options.batch = 24, "batch size on rank 1 is 24; it must be 25");
    refused(|options, _| options.micro_batches = 4, "number of micro-batches on rank 1 is 4");
    refused(|_, net| *net = net.clone().seed(9), "model on rank 1 is Sequential");
    refused(
        |options, _| options.schedule = Schedule::DataParallel { shares: vec![1, 1] },
        "schedule on rank 1",
    );
    // Wrong by itself: the other one hears of it.
    refused(|options, _| options.micro_batches = 0, "micro-batches is 0");
}

/// Kernels that split sums in another way would give other bits on one of two adapters alike.
#[test]
fn plans_of_adapters_alike_are_compared() {
    let data: Vec<f32> = (0..4096).map(|i| (i % 13) as f32 / 13.0).collect();
    let data = Arc::new(Dataset::regression(data.clone(), 1, data, 1).unwrap());
    let options = ParallelOptions::new(4096, 1, Schedule::data_parallel());
    let all = world(&options, &[1, 1], |options, mut gpus| {
        if !options.world.as_ref().unwrap().is_first() {
            gpus = gpus.into_iter().map(|gpu| gpu.busy(64).filled_by(1)).collect();
        }
        start((Sequential::new(1).dense(1), adam(), &data), options, &gpus).map(drop)
    });
    for outcome in all {
        let error = outcome.unwrap_err().to_string();
        assert!(error.contains("plan of stage 0 on rank 1") && error.contains("busy"), "{error}");
    }
}

/// What was set in one process alone shows before a step is taken.
#[test]
fn a_training_that_stands_elsewhere_is_refused() {
    for (what, said) in
        [(0, "order of rows on rank 1"), (1, "training state"), (2, "batches of the run")]
    {
        let all = world(&options(Schedule::data_parallel(), 5), &[1, 1], |options, gpus| {
            let differs = !options.world.as_ref().unwrap().is_first();
            let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
            parallel.run(0..1)?;
            match what {
                0 if differs => parallel.set_epoch(1, 1)?,
                1 if differs => parallel.set_state_blocking(parallel.state().clone())?,
                _ => {}
            }
            parallel.run(1..if what == 2 && differs { 3 } else { 2 })?;
            Ok(())
        });
        for outcome in all {
            let error = outcome.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
    }
}

#[test]
fn what_is_for_one_process_is_refused() {
    let all = world(&options(Schedule::data_parallel(), 5), &[1, 1], |options, gpus| {
        let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
        let relayed = parallel.relay_blocking(Schedule::Serial, &gpus);
        assert!(relayed.unwrap_err().to_string().contains("relay is called in a world"));
        parallel.run(0..1).map(drop)
    });
    all.into_iter().for_each(|outcome| outcome.unwrap());
    let error = world(&options(Schedule::Serial, 5), &[1, 1], |options, gpus| {
        start((net(), adam(), &data()), options, &gpus).map(drop)
    });
    assert!(error[0].as_ref().unwrap_err().to_string().contains("number of lanes is 2"));
}

/// All have the first one's figures, and the exchange serves for more advice and for a training.
#[test]
fn advice_covers_the_world() {
    let all = world(&options(Schedule::data_parallel(), 3), &[1, 1], |options, gpus| {
        advise(&Sequential::new(4).dense(1), &adam(), &data(), &options, &gpus, 1)?;
        let advice = advise(&net(), &adam(), &data(), &options, &gpus, 1)?;
        let mut parallel = start((net(), adam(), &data()), options, &gpus)?;
        parallel.run(0..2)?;
        Ok((advice.to_string(), advice))
    });
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    let advice = &all[0].1;
    let tried = advice.trials.iter().map(|trial| (trial.name(), trial.lanes, trial.micro_batches));
    let expected = [
        ("serial", 1, 3),
        ("pipeline", 2, 3),
        ("data-parallel", 2, 3),
        ("data-parallel", 2, 2),
        ("fit", 1, 1),
    ];
    assert_eq!(tried.collect::<Vec<_>>(), expected);
    assert!(advice.trials.iter().all(|trial| trial.outcome.is_ok()), "{}", all[0].0);
    assert_eq!(advice.more.iter().map(|more| more.lanes).collect::<Vec<_>>(), [4, 8]);
    assert_eq!(all[0].0, all[1].0);
    assert!(all[0].0.contains("a model says of 4 lanes"), "{}", all[0].0);
}

/// Delays every comparison in one process, so that its clock of a recording begins after the first one's.
#[derive(Debug)]
struct Late(Arc<dyn Exchange>, Duration);

impl Exchange for Late {
    fn send(&self, message: Message, payload: Payload) -> Result<()> {
        self.0.send(message, payload)
    }
    fn receive(&self, message: Message, within: Duration) -> Result<Option<Payload>> {
        let received = self.0.receive(message, within);
        if message.content == Content::Agreement && message.to == 1 {
            std::thread::sleep(self.1);
        }
        received
    }
    fn stop(&self, run: RunId, lane: usize, reason: &str) {
        self.0.stop(run, lane, reason);
    }
    fn clear(&self, run: RunId) {
        self.0.clear(run);
    }
}

#[test]
fn the_first_process_has_the_timeline_of_all() {
    let late = Duration::from_millis(300);
    let all = world(&options(Schedule::data_parallel(), 5), &[1, 2], |options, gpus| {
        let exchange = Arc::new(Late(options.exchange.clone(), late));
        let mut parallel =
            start((net(), adam(), &data()), ParallelOptions { exchange, ..options }, &gpus)?;
        parallel.record(true);
        parallel.run(0..2)?;
        Ok(parallel.timeline().cloned().unwrap())
    });
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert_eq!(all[0].lanes.len(), 3);
    assert!(all[0].lanes[2].contains("lane 2 of rank 1"), "{:?}", all[0].lanes);
    let of = |lane: usize| all[0].spans.iter().filter(|span| span.lane == lane).count();
    assert!((0..3).all(|lane| of(lane) > 0));
    assert_eq!(of(1) + of(2), all[1].spans.len());
    // By one clock: a lane has everybody's sums only after each has begun to send its own.
    let time = |timeline: &Timeline, lane: usize, name: &str, last: bool| {
        let spans = timeline.spans.iter().filter(|span| span.lane == lane && span.name == name);
        let times = spans
            .filter(|span| span.step == 0)
            .map(|span| if last { span.end } else { span.start });
        times.reduce(if last { f64::max } else { f64::min }).unwrap()
    };
    let (sent, taken) = ("gradient sums out", "gradient sums in");
    for (from, to) in [(0, 1), (0, 2), (1, 0), (2, 0)] {
        let (begun, there) = (time(&all[0], from, sent, false), time(&all[0], to, taken, true));
        assert!(begun <= there + 0.01, "lane {from} sends at {begun}, lane {to} has it at {there}");
    }
    // By its own clock, rank 1 began later: what is above would not hold of it.
    let own = time(&all[1], 0, taken, true);
    assert!(time(&all[0], 1, taken, true) - own > 0.5 * late.as_secs_f64());
}
