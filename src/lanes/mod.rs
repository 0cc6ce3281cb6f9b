//! Training over lanes: several devices that share one model's work under a [`Schedule`].
//!
//! A batch is cut into micro-batches. Their gradients are computed apart and summed in a
//! [fixed tree](crate::lanes::tree), so that the result does not depend on the schedule or on the
//! number of lanes, only on the number of micro-batches.

mod accumulate;
mod advice;
mod announce;
mod commands;
pub mod exchange;
mod fit;
mod forecast;
mod gradient_sum;
mod lane;
mod layout;
mod measure;
mod merged;
mod message_thread;
mod messages;
mod options;
mod outcome;
mod peers;
mod processes;
mod record;
mod room;
mod run;
mod running;
pub mod schedule;
mod stage;
pub mod timeline;
mod traffic;
pub mod tree;
mod wire;
mod work;
mod world;

pub use advice::{Advice, Measured, MoreLanes, Trial, advise};
pub use commands::StepCommands;
pub use forecast::{Forecast, StepCosts, forecast};
pub use options::{LaneMemory, ParallelOptions, RowsRead};
pub use schedule::Schedule;
pub use traffic::{StepMessage, step_messages};
pub use wire::Wire;
pub use world::World;

use std::ops::Range;
use std::time::Instant;

use crate::data::{AsData, EpochOrder, OwnedData};
use crate::gpu::{Counters, Gpu};
use crate::nn::Sequential;
use crate::nn::optimizer::check_learning_rate;
use crate::train::feed::{Order, check_order};
use crate::train::graphs::check_data;
use crate::train::progress::{Course, Progress};
use crate::train::task::Task;
use crate::train::{StepResult, TrainingConfig, TrainingState};
use crate::{Error, Result};
use lane::Lane;
use layout::Layout;
use peers::Peers;
use running::RunningLanes;
use timeline::Timeline;

/// A model that trains on a data set over lanes; see the [module](crate::lanes::schedule) of
/// schedules.
///
/// With a [`World`] the lanes are those of several processes, each of which makes the same calls with the same
/// arguments (but its own rank and devices); whoever differs is told in which thing. All come to the same state,
/// results and history. The first process alone is asked for what callbacks want, validates and writes
/// checkpoints. After an error in one of them, all others have an error too, within
/// [`ParallelOptions::patience`]; they go on from the last checkpoint in a new `Parallel`, of as many processes as
/// there are then.
#[derive(Debug)]
pub struct Parallel {
    task: Task,
    data: OwnedData,
    /// Its rows, and what they are.
    rows: usize,
    /// Where the epochs stood after how many steps; from there on steps say where they stand.
    begun: (u64, Progress),
    options: ParallelOptions,
    /// The devices of the lanes.
    gpus: Vec<Gpu>,
    lanes: Vec<Lane>,
    /// Micro-batches per lane if all are there, for replicas.
    weights: Vec<usize>,
    state: TrainingState,
    /// Steps that parameters had missed when the lanes' updates were planned.
    planned: Vec<u64>,
    order: Order,
    /// η of every step to come, if it was set by hand.
    learning_rate: Option<f32>,
    /// The lanes while they are out on a run.
    running: Option<RunningLanes>,
    bytes_exchanged: u64,
    /// Whether the lanes have to begin anew from the state, since one of them failed.
    stale: bool,
    /// The other processes, if there are some.
    peers: Option<Peers>,
    /// Whether the state was agreed on with them.
    agreed: bool,
    records: bool,
    timeline: Option<Timeline>,
    /// When it begins.
    origin: Option<Instant>,
}

impl Parallel {
    /// Lays `model` over `lanes`: one device per stage or replica, made one after another. Two of
    /// them may be on one adapter. Lanes always train with the general kernels;
    /// [`TrainingConfig::kernels`] is for [`Parallel::model`].
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Shape`] if options, lanes, model and data do not fit each
    /// other; [`Error::Lane`] with an [`Error::Limit`] if the model is too large for a device, before
    /// its first weights are drawn; the errors of the devices.
    pub async fn new(
        model: Sequential,
        compile: TrainingConfig,
        data: impl Into<OwnedData>,
        options: ParallelOptions,
        lanes: &[Gpu],
    ) -> Result<Self> {
        let data = data.into();
        let task = Task::new(model, compile)?;
        check_data("Parallel::new", &task.architecture, task.compile.loss, data.as_data())?;
        let (exchange, patience) = (options.exchange.clone(), options.patience);
        let peers = options.world.clone().map(|world| Peers::new(world, exchange, patience));
        let mut peers = peers;
        let made = Self::make(task, data, options, lanes, &mut peers).await;
        match (made, peers) {
            (Err(error), Some(mut peers)) => {
                peers.leave(&error.to_string());
                Err(error)
            }
            (made, peers) => made.map(|made| Self { peers, ..made }),
        }
    }

    async fn make(
        task: Task,
        data: OwnedData,
        options: ParallelOptions,
        lanes: &[Gpu],
        peers: &mut Option<Peers>,
    ) -> Result<Self> {
        let rows = data.as_data().rows()?;
        options.check(rows, lanes.len())?;
        let course = Course::new(data.as_data(), rows, options.batch)?;
        if let Some(peers) = peers {
            processes::meet(peers, &task, &options, (rows, course), lanes)?;
        }
        let others = peers.as_ref().map_or(&[][..], |peers| &peers.targets);
        let layout = Layout::new(&task, rows, &options, lanes, others, (0, &[]))?;
        if let Some(peers) = peers {
            processes::compare(peers, lanes, layout.plans(&task, &data)?)?;
        }
        let gpus: Vec<Gpu> = lanes.iter().map(Gpu::as_lane).collect();
        let state = TrainingState::initial(&task)?;
        let order = Order::of(data.as_data(), EpochOrder::AS_THEY_LIE);
        let lanes = layout.lanes(&gpus, &task, &data, &state, &order).await?;
        Ok(Self {
            peers: None,
            agreed: false,
            task,
            data,
            rows,
            begun: (0, Progress::after(0, course)),
            options,
            gpus,
            lanes,
            weights: layout.weights,
            state,
            planned: Vec::new(),
            order,
            learning_rate: None,
            running: None,
            bytes_exchanged: 0,
            stale: false,
            records: false,
            timeline: None,
            origin: None,
        })
    }

    /// Goes on from the last completed step with other lanes or another schedule: after a lane was
    /// lost, or to compare.
    ///
    /// The new lanes are made beside the ones so far, which go when all is well. Where a device has no
    /// memory for both, the ones so far go first.
    ///
    /// # Errors
    /// As for [`Parallel::new`]; then devices, schedule and state are what they were, and the next run
    /// goes on with them.
    pub async fn relay(&mut self, schedule: Schedule, lanes: &[Gpu]) -> Result<()> {
        self.call_back();
        if self.peers.is_some() {
            let rule = "left out over several processes: make the `Parallel` anew in all of them, and give it \
                        the state or the last checkpoint";
            return Err(Error::argument("relay", "called in a world", rule));
        }
        let options = ParallelOptions { schedule, ..self.options.clone() };
        let gpus: Vec<Gpu> = lanes.iter().map(Gpu::as_lane).collect();
        let (task, at) = (&self.task, (self.state.step, &*self.state.missed));
        let layout = Layout::new(task, self.rows, &options, &gpus, &[], at)?;
        self.lanes = self.build(&layout, &gpus).await?;
        self.planned = self.missed_of_trained(&self.state);
        self.weights = layout.weights;
        (self.options, self.gpus, self.stale) = (options, gpus, false);
        Ok(())
    }

    /// Lanes on `gpus` that begin at the state. Those so far are given up only if they are of no use, or
    /// in the way: then the next run makes them anew.
    async fn build(&mut self, layout: &Layout, gpus: &[Gpu]) -> Result<Vec<Lane>> {
        if self.stale {
            self.lanes.clear();
        }
        let (task, data, state, order) = (&self.task, &self.data, &self.state, &self.order);
        let built = layout.lanes(gpus, task, data, state, order).await;
        match built {
            Err(error) if lacks_memory(&error) && !self.lanes.is_empty() => {
                self.lanes.clear();
                self.stale = true;
                layout.lanes(gpus, task, data, state, order).await
            }
            built => built,
        }
    }

    /// Makes the lanes anew from the state, on the devices so far, if one of them failed.
    async fn revive(&mut self) -> Result<()> {
        if self.stale {
            let (gpus, at) = (self.gpus.clone(), (self.state.step, &*self.state.missed));
            let others = self.peers.as_ref().map_or(&[][..], |peers| &peers.targets);
            let layout = Layout::new(&self.task, self.rows, &self.options, &gpus, others, at)?;
            self.lanes = self.build(&layout, &gpus).await?;
            self.planned = self.missed_of_trained(&self.state);
            self.stale = false;
        }
        Ok(())
    }

    /// Batches that cover the data set once.
    pub fn batches(&self) -> usize {
        self.rows.div_ceil(self.options.batch)
    }

    /// Sets the order in which rows are drawn; see [`epoch_order`](crate::train::epoch_order). The rows of a source are
    /// not all there, and are drawn by [`Parallel::set_epoch`].
    ///
    /// # Errors
    /// [`Error::Argument`] if it does not hold every row once, or they are a source's.
    pub fn set_order(&mut self, order: Vec<u32>) -> Result<()> {
        self.call_back();
        check_order(&order, self.rows)?;
        self.draw_in(Order::Rows(order))
    }

    /// Draws rows in the order in which [`Parallel::fit`] draws those of epoch `epoch`, counted from 0, with this seed.
    ///
    /// # Errors
    /// If the rows of a window of a source are too many.
    pub fn set_epoch(&mut self, seed: u64, epoch: u64) -> Result<()> {
        self.set_epoch_order(EpochOrder::new(Some(seed), epoch))
    }

    fn set_epoch_order(&mut self, order: EpochOrder) -> Result<()> {
        self.call_back();
        self.draw_in(Order::of(self.data.as_data(), order))
    }

    fn draw_in(&mut self, order: Order) -> Result<()> {
        // Lanes of which one failed are made anew, with the order at hand then.
        for lane in self.lanes.iter_mut().filter(|_| !self.stale) {
            if let Err(error) = lane.set_order(&order) {
                self.stale = true;
                let number = lane.role.number;
                return Err(named(number, name(number, &lane.gpu), self.state.step, error));
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
        pollster::block_on(async {
            self.set_out(batches).await?;
            let mut results = Vec::new();
            while self.running.is_some() {
                let completed = self.wait_for_news().await?;
                results.extend(completed.into_iter().map(|completed| completed.result));
            }
            Ok(results)
        })
    }

    /// Whether runs from now on are recorded, for [`Parallel::timeline`]. Off at first, and then a run
    /// submits, dispatches and copies what one of a `Parallel` does that never recorded. By the
    /// [host's clock](crate::lanes::timeline::ClockSource::Host) a recorded run waits after each pass and
    /// is slower.
    pub fn record(&mut self, on: bool) {
        self.records = on;
    }

    /// What ran when in the last run, if it was recorded and no lane failed.
    pub fn timeline(&self) -> Option<&Timeline> {
        self.timeline.as_ref()
    }

    /// The number of the step that comes after `ahead` others: that of the steps before it.
    fn step_number(&self, ahead: u64) -> Result<u64> {
        // The state after it is numbered, too.
        let number = self.state.step.checked_add(ahead).filter(|&number| number < u64::MAX);
        number.ok_or_else(|| {
            let value = format!("{} + {ahead}", self.state.step);
            let rule = "below 2^64 - 1; set a state with fewer steps";
            Error::argument("number of a step", value, rule)
        })
    }

    /// η of step `number`.
    fn learning_rate_at(&self, number: u64) -> f32 {
        let planned = || self.task.compile.optimizer.learning_rate_at(number);
        self.learning_rate.unwrap_or_else(planned)
    }

    /// Trains every step to come with this learning rate, on all lanes, whatever the optimizer and its
    /// schedule say, until it is set again. It is no part of the [state](Parallel::state);
    /// [`Parallel::model`] takes it along.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is not positive and finite.
    pub fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        check_learning_rate(rate)?;
        self.learning_rate = Some(rate);
        self.pass_on(rate);
        Ok(())
    }

    /// Parameters and optimizer state after the last completed step; without
    /// [`ParallelOptions::keep_state`] after the last completed run.
    pub fn state(&self) -> &TrainingState {
        &self.state
    }

    /// Goes on from another state, such as one saved before.
    ///
    /// # Errors
    /// [`Error::Argument`] naming what is not of this model and optimizer, and any number that no
    /// training comes to; the errors of the devices. Then the state is what it was, and the next run
    /// goes on from it.
    pub async fn set_state(&mut self, state: TrainingState) -> Result<()> {
        self.call_back();
        state.check(&self.task)?;
        // Lanes of which one failed are made anew, with the state at hand then.
        for lane in self.lanes.iter().filter(|_| !self.stale) {
            let written = state.write_to(&lane.parameters, lane.role.stage.parameters.clone());
            if let Err(error) = written {
                // Some lanes may have the one state, some the other.
                self.stale = true;
                let number = lane.role.number;
                return Err(named(number, name(number, &lane.gpu), state.step, error));
            }
        }
        self.lanes.iter().for_each(Lane::forget_residuals);
        self.agreed = false;
        // The update is planned for what parameters missed.
        self.stale |= self.missed_of_trained(&state) != self.planned;
        self.state = state;
        Ok(())
    }

    /// What parameters that are trained missed of a state's steps, if that makes a difference.
    fn missed_of_trained(&self, state: &TrainingState) -> Vec<u64> {
        self.task.missed_of_trained(&state.missed, 0, state.missed.len())
    }

    /// The devices, also after one of them was lost.
    pub fn lanes(&self) -> Vec<Gpu> {
        self.gpus.iter().map(Gpu::as_whole).collect()
    }

    /// What each lane did on its device since it was laid there, also where several lanes share one:
    /// [`Gpu::counters`] of a device is the sum over all that use it.
    pub fn counters(&self) -> Vec<Counters> {
        self.gpus.iter().map(Gpu::counters).collect()
    }

    /// Which processes of a [`World`] have adapters of another kind than the first one's lane, in words; `None` where
    /// all are alike. Between kinds results agree up to rounding, and are not the bits of one process.
    pub fn unequal_adapters(&self) -> Option<&str> {
        self.peers.as_ref()?.unequal.as_deref()
    }

    /// The schedule.
    pub fn schedule(&self) -> &Schedule {
        &self.options.schedule
    }

    /// Bytes that crossed lanes so far; in a [`World`] those that lanes of this process sent.
    pub fn bytes_exchanged(&self) -> u64 {
        self.bytes_exchanged
    }
}

/// Whether a device has no memory left.
fn lacks_memory(error: &Error) -> bool {
    match error {
        Error::OutOfMemory { .. } => true,
        Error::Lane { source, .. } => lacks_memory(source),
        _ => false,
    }
}

fn named(lane: usize, name: String, step: u64, error: Error) -> Error {
    Error::Lane { lane, name, step, source: Box::new(error) }
}

fn name(lane: usize, gpu: &Gpu) -> String {
    format!("lane {lane} ({})", gpu.info().name)
}

#[cfg(test)]
mod tests;
