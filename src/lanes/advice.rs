//! Which schedule pays for a model on this machine: measured, not guessed.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::{Parallel, ParallelOptions};
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::lanes::Schedule;
use crate::nn::Sequential;
use crate::train::{Model, Trainer, TrainingConfig};
use crate::{Error, Result};

/// Every schedule is timed so often, all in turn, so that a machine that is busy for a while is busy
/// for all of them.
const ROUNDS: usize = 5;

/// What a schedule takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Measured {
    /// Seconds per step: the median of the rounds.
    pub seconds: f64,
    /// Seconds per step of the fastest and the slowest round.
    pub range: (f64, f64),
    /// Share of time in which each lane computes, of a round of its own; of `fit` nothing is recorded.
    pub busy: Vec<f64>,
    /// Share of time in which at least two lanes compute.
    pub overlap: f64,
    /// Bytes that cross lanes per step.
    pub bytes_exchanged: u64,
}

/// A way to train that was tried.
#[derive(Debug)]
pub struct Trial {
    /// The schedule, to train with; `None` stands for [`Model::fit`](crate::train::Model::fit) on the
    /// first device alone, which has no micro-batches, may take a whole-step kernel and many steps in
    /// one submission, and so comes to other rounding than the schedules.
    pub schedule: Option<Schedule>,
    /// Its lanes: the first so many.
    pub lanes: usize,
    /// What it takes, or why it cannot be used.
    pub outcome: Result<Measured>,
}

/// The schedules for a model, measured; prints as a table.
#[derive(Debug)]
pub struct Advice {
    /// What was tried; the first is [`Schedule::Serial`], the last `fit`.
    pub trials: Vec<Trial>,
    /// Steps per round.
    pub steps: usize,
}

impl Trial {
    /// Its name in tables.
    pub fn name(&self) -> &'static str {
        self.schedule.as_ref().map_or("fit", Schedule::name)
    }
}

impl Advice {
    /// The fastest of all; [`Trial::schedule`] says whether it is one that gives the schedules' bits.
    pub fn winner(&self) -> Option<&Trial> {
        let seconds = |trial: &&Trial| trial.outcome.as_ref().map_or(f64::INFINITY, |m| m.seconds);
        self.trials
            .iter()
            .filter(|trial| trial.outcome.is_ok())
            .min_by(|a, b| seconds(a).total_cmp(&seconds(b)))
    }

    /// Seconds per step of the serial schedule.
    pub fn serial(&self) -> Option<f64> {
        let first = self.trials.first()?;
        first.outcome.as_ref().ok().map(|measured| measured.seconds)
    }
}

/// Trains `model` for a few steps under each schedule that `lanes` allow, and as `fit` does on the
/// first of them, and measures. Every trial starts from the same weights; nothing of them is kept.
/// `options` says everything but the schedule.
/// Where lanes are on different adapters, replicas also get shares in proportion to their speed.
///
/// # Errors
/// If even the serial schedule cannot run, on the first lane or, where adapters differ, on one of the
/// others; the errors of the other schedules are in their trials.
pub fn advise(
    model: &Sequential,
    compile: &TrainingConfig,
    data: &Arc<Dataset>,
    options: &ParallelOptions,
    lanes: &[Gpu],
    steps: usize,
) -> Result<Advice> {
    if options.world.is_some() {
        let rule = "left out of what is advised on: schedules are tried within one process";
        return Err(Error::argument("world", "given", rule));
    }
    if steps == 0 {
        return Err(Error::argument("steps", steps, "at least 1"));
    }
    let start = |schedule: &Schedule, lanes: &[Gpu]| -> Result<Course> {
        let options = ParallelOptions { schedule: schedule.clone(), ..options.clone() };
        let parallel = Parallel::new(model.clone(), compile.clone(), data.clone(), options, lanes);
        let parallel = Box::new(pollster::block_on(parallel)?);
        Course::begin(Training::Lanes(parallel))
    };
    let one = lanes.get(..1).unwrap_or_default();
    let serial = start(&Schedule::Serial, one)?;
    let mut courses = vec![(Some(Schedule::Serial), 1, Ok(serial))];
    let mut candidates = vec![(Schedule::Overlapped, 1)];
    for count in 2..=lanes.len() {
        candidates.push((Schedule::pipeline(), count));
        candidates.push((Schedule::data_parallel(), count));
    }
    if let Some(shares) = shares_by_speed(lanes, options.micro_batches, steps, &start)? {
        candidates.push((Schedule::DataParallel { shares }, lanes.len()));
    }
    for (schedule, count) in candidates {
        let course = start(&schedule, lanes.get(..count).unwrap_or_default());
        courses.push((Some(schedule), count, course));
    }
    if let Some(gpu) = lanes.first() {
        courses.push((None, 1, fit(model, compile, data, options, gpu)));
    }
    for _ in 0..ROUNDS {
        for (_, _, course) in &mut courses {
            time(course, steps);
        }
    }
    let finish = |(schedule, lanes, course): (Option<Schedule>, usize, Result<Course>)| {
        let outcome = course.and_then(|course| course.measured(steps));
        Trial { schedule, lanes, outcome }
    };
    Ok(Advice { trials: courses.into_iter().map(finish).collect(), steps })
}

/// What `fit` does, on one device.
fn fit(
    model: &Sequential,
    compile: &TrainingConfig,
    data: &Arc<Dataset>,
    options: &ParallelOptions,
    gpu: &Gpu,
) -> Result<Course> {
    let mut model = pollster::block_on(model.clone().compile(gpu, compile.clone()))?;
    let trainer = model.trainer(data.clone(), options.batch, options.residency);
    let trainer = Box::new(pollster::block_on(trainer)?);
    Course::begin(Training::FitOptions(Box::new(model), trainer))
}

#[derive(Debug)]
enum Training {
    Lanes(Box<Parallel>),
    FitOptions(Box<Model>, Box<Trainer<Arc<Dataset>>>),
}

/// A training that is timed.
#[derive(Debug)]
struct Course {
    training: Training,
    /// Seconds per step of each round.
    times: Vec<f64>,
}

impl Training {
    /// Runs steps, as many as there are, from the first batch on whenever all are through.
    fn run(&mut self, steps: usize) -> Result<()> {
        match self {
            Training::Lanes(parallel) => run_lanes(parallel, steps),
            Training::FitOptions(model, trainer) => {
                let most = trainer.batches().min(trainer.batches_per_submission());
                let mut left = steps;
                while left > 0 {
                    let some = left.min(most);
                    let submitted = trainer.submit(0..some, |index| model.next_step(index as u64));
                    pollster::block_on(submitted)?;
                    model.completed(some as u64);
                    left -= some;
                }
                while pollster::block_on(trainer.results())?.is_some() {}
                Ok(())
            }
        }
    }
}

fn run_lanes(parallel: &mut Parallel, steps: usize) -> Result<()> {
    let mut left = steps;
    while left > 0 {
        let some = left.min(parallel.batches());
        parallel.run(0..some)?;
        left -= some;
    }
    Ok(())
}

impl Course {
    /// Takes a first step, which compiles.
    fn begin(mut training: Training) -> Result<Self> {
        training.run(1)?;
        Ok(Course { training, times: Vec::new() })
    }

    fn measured(mut self, steps: usize) -> Result<Measured> {
        self.times.sort_by(f64::total_cmp);
        let at = |index: usize| self.times.get(index).copied().unwrap_or(f64::NAN);
        let (seconds, range) = (at(self.times.len() / 2), (at(0), at(self.times.len() - 1)));
        let Training::Lanes(parallel) = &mut self.training else {
            let (busy, overlap, bytes_exchanged) = (Vec::new(), 0.0, 0);
            return Ok(Measured { seconds, range, busy, overlap, bytes_exchanged });
        };
        let before = parallel.bytes_exchanged();
        parallel.record(true);
        run_lanes(parallel, steps)?;
        let bytes_exchanged = (parallel.bytes_exchanged() - before) / steps as u64;
        let Some(timeline) = parallel.timeline() else {
            return Err(Error::argument("timeline", "missing", "recorded"));
        };
        let busy = (0..timeline.lanes.len()).map(|lane| timeline.busy(lane)).collect();
        Ok(Measured { seconds, range, busy, overlap: timeline.overlap(), bytes_exchanged })
    }
}

/// Times a round; a course that fails is at its end.
fn time(course: &mut Result<Course>, steps: usize) {
    let Ok(running) = course else { return };
    let begun = Instant::now();
    match running.training.run(steps) {
        Ok(()) => running.times.push(begun.elapsed().as_secs_f64() / steps as f64),
        Err(error) => *course = Err(error),
    }
}

/// Micro-batches for each lane in proportion to its speed alone, where lanes are on different
/// adapters.
fn shares_by_speed(
    lanes: &[Gpu],
    micro_batches: usize,
    steps: usize,
    start: &dyn Fn(&Schedule, &[Gpu]) -> Result<Course>,
) -> Result<Option<Vec<usize>>> {
    let kinds = lanes.windows(2).filter(|pair| match pair {
        [a, b] => a.info().name != b.info().name || a.info().driver_info != b.info().driver_info,
        _ => false,
    });
    if kinds.count() == 0 {
        return Ok(None);
    }
    let mut speeds = Vec::new();
    for lane in lanes {
        let mut course = start(&Schedule::Serial, std::slice::from_ref(lane));
        for _ in 0..3 {
            time(&mut course, steps);
        }
        let fastest = course?.times.into_iter().fold(f64::INFINITY, f64::min);
        speeds.push(1.0 / fastest.max(1e-9));
    }
    Ok(Some(apportion(micro_batches, &speeds)))
}

/// Whole shares of `count` in proportion to `weights`: rounded down, and what is left goes to the
/// largest remainders (Hamilton's method).
fn apportion(count: usize, weights: &[f64]) -> Vec<usize> {
    let total: f64 = weights.iter().sum();
    let exact: Vec<f64> = weights.iter().map(|weight| count as f64 * weight / total).collect();
    let mut shares: Vec<usize> = exact.iter().map(|share| share.floor() as usize).collect();
    let mut order: Vec<usize> = (0..weights.len()).collect();
    let rest = |&index: &usize| exact.get(index).map_or(0.0, |share| share - share.floor());
    order.sort_by(|a, b| rest(b).total_cmp(&rest(a)));
    let left = count.saturating_sub(shares.iter().sum());
    for index in order.into_iter().take(left) {
        if let Some(share) = shares.get_mut(index) {
            *share += 1;
        }
    }
    shares
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<24} {:>5} {:>10} {:>17} {:>9} {:>8} {:>8} {:>13}",
            "schedule",
            "lanes",
            "ms/step",
            "min to max",
            "x serial",
            "busy",
            "overlap",
            "exchanged"
        )?;
        let winner = self.winner().map(std::ptr::from_ref);
        for trial in &self.trials {
            let name = match &trial.schedule {
                Some(Schedule::DataParallel { shares }) if !shares.is_empty() => {
                    format!("{} {shares:?}", trial.name())
                }
                Some(_) => trial.name().to_string(),
                None => format!("{} (other rounding)", trial.name()),
            };
            write!(f, "{name:<24} {:>5} ", trial.lanes)?;
            match &trial.outcome {
                Err(error) => writeln!(f, "not possible: {error}")?,
                Ok(measured) => {
                    let (low, high) = measured.range;
                    let ratio = measured.seconds / self.serial().unwrap_or(f64::NAN);
                    let range = format!("{:.3} to {:.3}", 1e3 * low, 1e3 * high);
                    write!(f, "{:>10.3} {range:>17} {ratio:>9.2} ", 1e3 * measured.seconds)?;
                    if measured.busy.is_empty() {
                        write!(f, "{:>8} {:>8} {:>13}", "", "", "")?;
                    } else {
                        let busy = measured.busy.iter().sum::<f64>() / measured.busy.len() as f64;
                        write!(f, "{:>6.0} % ", 100.0 * busy)?;
                        write!(f, "{:>6.0} % ", 100.0 * measured.overlap)?;
                        write!(f, "{:>10.1} kB", measured.bytes_exchanged as f64 / 1e3)?;
                    }
                    let best = winner == Some(std::ptr::from_ref(trial));
                    writeln!(f, "{}", if best { "  <- fastest" } else { "" })?;
                }
            }
        }
        write!(
            f,
            "medians of {ROUNDS} rounds of {} steps, in turn; busy is the lanes' mean",
            self.steps
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_follow_speed_and_add_up() {
        assert_eq!(apportion(8, &[1.0, 1.0]), [4, 4]);
        assert_eq!(apportion(8, &[3.0, 1.0]), [6, 2]);
        assert_eq!(apportion(5, &[1.0, 1.0, 1.0]).iter().sum::<usize>(), 5);
        assert_eq!(apportion(2, &[100.0, 1.0]), [2, 0]);
    }
}
