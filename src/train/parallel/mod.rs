//! Training over lanes: several devices that share one model's work under a [`Schedule`].
//!
//! A batch is cut into micro-batches. Their gradients are computed apart and summed in a
//! [fixed tree](crate::exec::tree), so that the result does not depend on the schedule or on the
//! number of lanes, only on the number of micro-batches.

mod advice;
mod courier;
mod fit;
mod lane;
mod measure;
mod messages;
mod options;
mod outcome;
mod record;
mod run;
mod stage;
mod state;
mod state_bytes;

pub use advice::{Advice, Measured, Trial, advise};
pub use options::{LaneMemory, ParallelOptions};
pub use state::TrainingState;

use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use super::StepResult;
use super::feed::check_order;
use super::graphs::{check_data, check_output};
use super::model::Compile;
use crate::data::Dataset;
use crate::exec::Step;
use crate::exec::exchange::RunId;
use crate::exec::schedule::{self, Schedule};
use crate::exec::timeline::{ClockSource, Timeline};
use crate::exec::tree::{self, Block, Tree};
use crate::gpu::Gpu;
use crate::nn::Sequential;
use crate::plan::Target;
use crate::{Error, Result};
use lane::{Lane, Role};
use record::Recorder;
use run::{Job, Manner, Outcome};
use stage::Task;

/// A model that trains on a data set over lanes; see the [module](crate::exec::schedule) of
/// schedules.
#[derive(Debug)]
pub struct Parallel {
    task: Task,
    data: Arc<Dataset>,
    options: ParallelOptions,
    lanes: Vec<Lane>,
    /// Micro-batches per lane if all are there, for replicas.
    weights: Vec<usize>,
    state: TrainingState,
    order: Vec<u32>,
    bytes_exchanged: u64,
    /// Whether the lanes have to begin anew from the state, since one of them failed.
    stale: bool,
    records: bool,
    timeline: Option<Timeline>,
}

impl Parallel {
    /// Lays `model` over `lanes`: one device per stage or replica, made one after another. Two of
    /// them may be on one adapter.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Shape`] if options, lanes, model and data do not fit each
    /// other; the errors of the devices.
    pub async fn new(
        model: Sequential,
        compile: Compile,
        data: impl Into<Arc<Dataset>>,
        options: ParallelOptions,
        lanes: &[Gpu],
    ) -> Result<Self> {
        let data = data.into();
        let (loss, optimizer, metrics) = compile.into_parts();
        check_output(&model, loss)?;
        optimizer.check()?;
        check_data("Parallel::new", &model, loss, &data)?;
        for metric in &metrics {
            metric.count(loss)?;
        }
        let values: Vec<Vec<f32>> = model.parameters().into_iter().map(|p| p.initial).collect();
        let states = optimizer.rule().states();
        let state = TrainingState {
            step: 0,
            states: values.iter().map(|v| vec![vec![0.0; v.len()]; states]).collect(),
            values,
        };
        let order = (0..crate::kernel::word(data.rows())).collect();
        let task = Task { model, loss, optimizer, metrics };
        let mut parallel = Self {
            task,
            data,
            options,
            lanes: Vec::new(),
            weights: Vec::new(),
            state,
            order,
            bytes_exchanged: 0,
            stale: false,
            records: false,
            timeline: None,
        };
        parallel.build(lanes).await?;
        Ok(parallel)
    }

    /// Goes on from the last completed step with other lanes or another schedule: after a lane was
    /// lost, or to compare.
    ///
    /// # Errors
    /// As for [`Parallel::new`]; where schedule and lanes do not fit, everything stays as it was.
    pub async fn relay(&mut self, schedule: Schedule, lanes: &[Gpu]) -> Result<()> {
        let before = std::mem::replace(&mut self.options.schedule, schedule);
        let built = self.build(lanes).await;
        if built.is_err() {
            self.options.schedule = before;
        }
        built
    }

    async fn build(&mut self, gpus: &[Gpu]) -> Result<()> {
        let options = &self.options;
        for (name, value) in
            [("batch size", options.batch), ("micro-batches", options.micro_batches)]
        {
            if value == 0 {
                return Err(Error::argument(name, value, "at least 1"));
            }
        }
        if options.micro_batches > options.batch.min(self.data.rows()) {
            let rule =
                format!("at most {}, the rows of a batch", options.batch.min(self.data.rows()));
            return Err(Error::argument("micro-batches", options.micro_batches, &rule));
        }
        let single = matches!(options.schedule, Schedule::Serial | Schedule::Overlapped);
        if gpus.is_empty() || (single && gpus.len() > 1) {
            let rule = if single { "1 for this schedule" } else { "at least 1" };
            return Err(Error::argument("number of lanes", gpus.len(), rule));
        }
        let dense = self.task.costs();
        let pipeline = options.schedule.is_pipeline();
        let sizes = match &options.schedule {
            Schedule::Pipeline { stages } if stages.is_empty() => {
                schedule::cut(&dense, gpus.len())?
            }
            Schedule::Pipeline { stages } if stages.len() != gpus.len() => {
                let rule = format!("{}, the number of stages", stages.len());
                return Err(Error::argument("number of lanes", gpus.len(), &rule));
            }
            Schedule::Pipeline { stages } => stages.clone(),
            _ => vec![dense.len()],
        };
        if sizes.len() > 1 && self.task.optimizer.clip().is_some() {
            let detail = "clipping by global norm needs all gradients on one lane; \
                          use data-parallel, or leave the clipping out";
            return Err(Error::shape("pipeline", detail));
        }
        let stages = self.task.stages(&sizes)?;
        let weights = match &options.schedule {
            Schedule::DataParallel { shares } if !shares.is_empty() => {
                if shares.len() != gpus.len() || shares.iter().sum::<usize>() == 0 {
                    let rule = format!("{} numbers, one per lane, not all 0", gpus.len());
                    return Err(Error::argument("shares", format!("{shares:?}"), &rule));
                }
                shares.clone()
            }
            Schedule::DataParallel { .. } => vec![1; gpus.len()],
            _ => vec![1],
        };
        // From here on the lanes so far are gone, so that theirs and the new ones' memory need not be
        // there at once. If a new one fails, there are none.
        self.weights = weights;
        self.lanes.clear();
        self.stale = true;
        let batches = self.micro_batch_sizes();
        let (blocks, stack) = self.room();
        let mut built = Vec::new();
        let targets: Vec<Target> = gpus.iter().map(Gpu::target).collect();
        for (number, gpu) in gpus.iter().enumerate() {
            let Some(stage) = stages.get(if pipeline { number } else { 0 }).cloned() else { break };
            let replicas = if pipeline { 1 } else { gpus.len() };
            let role = Role {
                number,
                target: gpu.target().laid_out_with(&targets),
                in_flight: match pipeline {
                    true => schedule::in_flight(number, gpus.len(), options.micro_batches),
                    false => 1,
                },
                replicas,
                buckets: if replicas > 1 { options.buckets.max(1) } else { 1 },
                keeps_state: pipeline || number == 0,
                stage,
            };
            let lane_options = (options.batch, options.residency, blocks, stack);
            let lane =
                Lane::new(gpu, &self.task, role, &self.data, &batches, lane_options, &self.state);
            built.push(lane.await.map_err(|error| named(number, gpu, self.state.step, error))?);
        }
        self.lanes = built;
        let order = self.order.clone();
        self.set_order(order)?;
        self.stale = false;
        Ok(())
    }

    /// Batches that cover the data set once.
    pub fn batches(&self) -> usize {
        self.data.rows().div_ceil(self.options.batch)
    }

    /// Sets the order in which rows are drawn; see [`super::epoch_order`].
    ///
    /// # Errors
    /// [`Error::Argument`] if it does not hold every row once.
    pub fn set_order(&mut self, order: Vec<u32>) -> Result<()> {
        check_order(&order, self.data.rows())?;
        for lane in &mut self.lanes {
            if let Some(feed) = &mut lane.feed {
                feed.set_order(&lane.gpu, order.clone())?;
            }
        }
        self.order = order;
        Ok(())
    }

    /// Trains on `batches` of the data set, one step each, and waits for them.
    ///
    /// # Errors
    /// [`Error::Argument`] if there are no such batches; [`Error::Lane`] if a lane fails: the state of
    /// the last completed step is in [`Parallel::state`], and [`Parallel::relay`] goes on from it;
    /// [`Error::NotFinite`] as in `fit`; in a pipeline, where a gradient overflows although the loss is
    /// finite, only its own stage keeps its values.
    pub fn run(&mut self, batches: Range<usize>) -> Result<Vec<StepResult>> {
        if batches.end > self.batches() {
            let rule = format!("within 0..{}", self.batches());
            return Err(Error::argument("batches", format!("{batches:?}"), &rule));
        }
        if self.stale {
            let gpus = self.lanes();
            pollster::block_on(self.build(&gpus))?;
        }
        let jobs: Vec<Job> =
            batches.enumerate().map(|(ahead, index)| self.job(ahead as u64, index)).collect();
        let run = RunId::next();
        let (mut recorders, clock) = self.recorders(&jobs)?;
        let manner = Manner {
            exchange: &self.options.exchange,
            run,
            lanes: self.lanes.len(),
            pipeline: self.options.schedule.is_pipeline(),
            patience: self.options.patience,
            serial: self.options.schedule == Schedule::Serial,
            keeps_every_state: self.options.keep_state,
        };
        let jobs = &jobs;
        let outcomes: Vec<Outcome> = std::thread::scope(|scope| {
            let lanes = self.lanes.iter_mut().zip(&mut recorders);
            let threads: Vec<_> = lanes
                .map(|(lane, recorder)| scope.spawn(move || run::run(lane, manner, jobs, recorder)))
                .collect();
            let first = jobs.first().map_or(0, |job| job.step.number);
            threads
                .into_iter()
                .enumerate()
                .map(|(lane, thread)| {
                    thread.join().unwrap_or_else(|_| Outcome::panicked(lane, first))
                })
                .collect()
        });
        self.options.exchange.clear(run);
        self.bytes_exchanged += outcomes.iter().map(|outcome| outcome.bytes_sent).sum::<u64>();
        self.timeline = match clock {
            // After a fault a device may have no times to give.
            Some(clock) if outcomes.iter().all(|outcome| outcome.error.is_none()) => {
                Some(self.gather(recorders, clock)?)
            }
            _ => None,
        };
        self.settle(jobs, outcomes)
    }

    /// A recorder per lane, and what its times are if it is on.
    fn recorders(&self, jobs: &[Job]) -> Result<(Vec<Recorder>, Option<ClockSource>)> {
        if !self.records {
            let off = self.lanes.iter().map(|_| Recorder::off(Instant::now()));
            return Ok((off.collect(), None));
        }
        // A micro-batch has a forward pass, and a backward pass and sums per bucket; an update merges
        // at most as many blocks as there are micro-batches.
        let buckets = self.options.buckets.max(1);
        let per_step = |job: &Job| job.micro_batches.len() * (3 + 3 * buckets) + 2;
        let passes = jobs.iter().map(per_step).sum();
        let gpus = self.lanes();
        let (on, clock) = pollster::block_on(Recorder::on(&gpus, passes, Instant::now()))?;
        Ok((on, Some(clock)))
    }

    fn gather(&self, recorders: Vec<Recorder>, clock: ClockSource) -> Result<Timeline> {
        let names = self.lanes.iter().enumerate().map(|(number, lane)| name(number, &lane.gpu));
        let mut timeline = Timeline::new(names.collect(), clock);
        for recorder in recorders {
            timeline.spans.extend(pollster::block_on(recorder.finish())?);
        }
        timeline.spans.sort_by(|a, b| a.start.total_cmp(&b.start));
        Ok(timeline)
    }

    /// Whether runs from now on are recorded, for [`Parallel::timeline`]. Off at first, and then a run
    /// submits, dispatches and copies what one of a `Parallel` does that never recorded. By the host's
    /// clock ([`ClockSource::Host`]) a recorded run waits after each pass and is slower.
    pub fn record(&mut self, on: bool) {
        self.records = on;
    }

    /// What ran when in the last run, if it was recorded and no lane failed.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    fn job(&self, ahead: u64, index: usize) -> Job {
        let number = self.state.step + ahead;
        let rate = self.task.optimizer.learning_rate_at(number);
        let step = Step::training(self.task.optimizer.rule(), number, 0, rate);
        let start = index * self.options.batch;
        let rows = start..(start + self.options.batch).min(self.data.rows());
        let micro_batches = schedule::micro_batches(rows.len(), self.options.micro_batches);
        let shares = schedule::shares(micro_batches.len(), &self.weights);
        Job { step, rows, micro_batches, shares }
    }

    /// The sizes of micro-batches that occur, each with the rows of its batch.
    fn micro_batch_sizes(&self) -> Vec<(usize, usize)> {
        let mut sizes = Vec::new();
        for batch in self.batch_sizes() {
            for rows in schedule::micro_batches(batch, self.options.micro_batches) {
                if !sizes.contains(&(rows.len(), batch)) {
                    sizes.push((rows.len(), batch));
                }
            }
        }
        sizes
    }

    /// Rows of a batch, and of the last one if it has fewer.
    fn batch_sizes(&self) -> Vec<usize> {
        let rows = self.data.rows();
        let full = self.options.batch.min(rows);
        let rest = rows % full;
        if rest == 0 { vec![full] } else { vec![full, rest] }
    }

    /// Blocks that the sums of one step need on a lane, and the height of the stack that merges them.
    fn room(&self) -> (usize, usize) {
        let (mut blocks, mut height) = (1, 0);
        for batch in self.batch_sizes() {
            let count = schedule::micro_batches(batch, self.options.micro_batches).len();
            let shares = schedule::shares(count, &self.weights);
            let all: Vec<Vec<Block>> = shares.iter().map(|s| tree::blocks(s.clone())).collect();
            let mut first = 0;
            for (share, own) in shares.iter().zip(&all) {
                let mut tree = Tree::default();
                for micro_batch in share.clone() {
                    blocks = blocks.max(first + tree.push(Block::leaf(micro_batch)).store + 1);
                }
                first += own.len();
            }
            blocks = blocks.max(first);
            if shares.len() > 1 {
                let mut tree = Tree::default();
                for block in all.into_iter().flatten() {
                    height = height.max(tree.push(block).store + 1);
                }
            }
        }
        (blocks, height)
    }

    /// Parameters and optimizer state after the last completed step; without
    /// [`ParallelOptions::keep_state`] after the last completed run.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Goes on from another state, such as one saved before.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is not of this model and optimizer.
    pub async fn set_state(&mut self, state: TrainingState) -> Result<()> {
        let lengths = |state: &TrainingState| -> Vec<(usize, Vec<usize>)> {
            let states = state.states.iter().map(|s| s.iter().map(Vec::len).collect());
            state.values.iter().map(Vec::len).zip(states).collect()
        };
        if lengths(&state) != lengths(&self.state) {
            let value = format!("of {} parameters", state.values.len());
            return Err(Error::argument("training state", value, "of this model and optimizer"));
        }
        self.state = state;
        let gpus: Vec<Gpu> = self.lanes.iter().map(|lane| lane.gpu.clone()).collect();
        self.build(&gpus).await
    }

    /// The devices.
    pub fn lanes(&self) -> Vec<Gpu> {
        self.lanes.iter().map(|lane| lane.gpu.clone()).collect()
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.options.schedule
    }

    /// Bytes that crossed lanes so far.
    pub fn bytes_exchanged(&self) -> u64 {
        self.bytes_exchanged
    }
}

fn named(lane: usize, gpu: &Gpu, step: u64, error: Error) -> Error {
    Error::Lane { lane, name: name(lane, gpu), step, source: Box::new(error) }
}

fn name(lane: usize, gpu: &Gpu) -> String {
    format!("lane {lane} ({})", gpu.info().name)
}
