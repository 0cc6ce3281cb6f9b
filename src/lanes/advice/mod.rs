//! Which schedule pays for a model on this machine: measured, not guessed.

mod course;
mod world;

use std::fmt;
use std::sync::Arc;

use super::{Parallel, ParallelOptions};
use crate::data::Dataset;
use crate::gpu::Gpu;
use crate::lanes::Schedule;
use crate::nn::Sequential;
use crate::train::TrainingConfig;
use crate::{Error, Result};
use course::{Course, Training, fit, time};

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
    /// Its micro-batches: those that were asked for, or as many as lanes, which gives other rounding.
    pub micro_batches: usize,
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
    /// In a [`World`](super::World), what the fastest replicas would take if there were more lanes.
    pub more: Vec<MoreLanes>,
}

/// What a [forecast](crate::lanes::forecast()) says of more lanes, from what was measured on those there are: a model's
/// figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MoreLanes {
    /// Lanes in all.
    pub lanes: usize,
    /// Seconds per step, of the same batch.
    pub seconds: f64,
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
/// `options` says everything but the schedule; replicas are also tried with as many micro-batches as lanes, so that each
/// takes its rows in one piece.
/// Where lanes are on different adapters, replicas also get shares in proportion to their speed.
///
/// In a [`World`](super::World) all processes call it, and all get what the first one measured: of schedules over
/// all lanes, and of one lane alone, for which the others wait. From that it says what twice and four times
/// the lanes would take ([`Advice::more`]). The exchange of the options can be used for more advice and for a training
/// afterwards.
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
    if steps == 0 {
        return Err(Error::argument("steps", steps, "at least 1"));
    }
    if let Some(world) = &options.world {
        return world::advise((model, compile, data), options, world, lanes, steps);
    }
    let micro_batches = options.micro_batches;
    let start = |schedule: &Schedule, micro_batches: usize, lanes: &[Gpu]| -> Result<Course> {
        let schedule = schedule.clone();
        let options = ParallelOptions { schedule, micro_batches, ..options.clone() };
        let parallel = Parallel::new(model.clone(), compile.clone(), data.clone(), options, lanes);
        let parallel = Box::new(pollster::block_on(parallel)?);
        Course::begin(Training::Lanes(parallel))
    };
    let one = lanes.get(..1).unwrap_or_default();
    let serial = start(&Schedule::Serial, micro_batches, one)?;
    let mut courses = vec![(Some(Schedule::Serial), 1, micro_batches, Ok(serial))];
    let mut candidates = vec![(Schedule::Overlapped, 1, micro_batches)];
    for count in 2..=lanes.len() {
        candidates.push((Schedule::pipeline(), count, micro_batches));
        candidates.push((Schedule::data_parallel(), count, micro_batches));
        let own_piece = count != micro_batches && count <= options.batch.min(data.rows());
        candidates.extend(own_piece.then_some((Schedule::data_parallel(), count, count)));
    }
    let serially = |lanes: &[Gpu]| start(&Schedule::Serial, micro_batches, lanes);
    if let Some(shares) = shares_by_speed(lanes, micro_batches, steps, &serially)? {
        candidates.push((Schedule::DataParallel { shares }, lanes.len(), micro_batches));
    }
    for (schedule, count, micro_batches) in candidates {
        let course = start(&schedule, micro_batches, lanes.get(..count).unwrap_or_default());
        courses.push((Some(schedule), count, micro_batches, course));
    }
    if let Some(gpu) = lanes.first() {
        courses.push((None, 1, 1, fit(model, compile, data, options, gpu)));
    }
    for _ in 0..ROUNDS {
        for (_, _, _, course) in &mut courses {
            time(course, steps);
        }
    }
    let finish = |(schedule, lanes, micro_batches, course): Candidate| {
        let outcome = course.and_then(|course| course.measured(steps));
        Trial { schedule, lanes, micro_batches, outcome }
    };
    Ok(Advice { trials: courses.into_iter().map(finish).collect(), steps, more: Vec::new() })
}

/// A schedule, `fit` if it is none, its lanes and micro-batches, and its training.
type Candidate = (Option<Schedule>, usize, usize, Result<Course>);

/// Micro-batches for each lane in proportion to its speed alone, where lanes are on different
/// adapters.
fn shares_by_speed(
    lanes: &[Gpu],
    micro_batches: usize,
    steps: usize,
    serially: &dyn Fn(&[Gpu]) -> Result<Course>,
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
        let mut course = serially(std::slice::from_ref(lane));
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
            "{:<24} {:>5} {:>5} {:>10} {:>17} {:>9} {:>8} {:>8} {:>13}",
            "schedule",
            "lanes",
            "parts",
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
            write!(f, "{name:<24} {:>5} {:>5} ", trial.lanes, trial.micro_batches)?;
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
            "medians of {ROUNDS} rounds of {} steps, in turn; parts are micro-batches, whose number sets the rounding; \
             busy is the lanes' mean",
            self.steps
        )?;
        let fastest = self.winner().and_then(|winner| winner.outcome.as_ref().ok());
        for MoreLanes { lanes, seconds } in &self.more {
            let ratio = fastest.map_or(f64::NAN, |fastest| fastest.seconds / seconds);
            let ms = 1e3 * seconds;
            write!(
                f,
                "\na model says of {lanes} lanes: {ms:.3} ms/step, {ratio:.2} times as fast as the fastest here"
            )?;
        }
        Ok(())
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
