//! `fit` of a model on one device.

use std::collections::VecDeque;
use std::ops::Range;

use super::run::{Completed, Run, Start, Trainee};
use super::state::{Call, FitState, Moment};
use super::survive::{Survive, end_all, is_device_lost, to_go_on};
use super::validator::Validator;
use super::{BatchSize, FitOptions, Validation};
use crate::data::{AsData, Data, EpochOrder, OwnedData};
use crate::exec::{Capture, Snapshot, Staging};
use crate::gpu::Gpu;
use crate::train::history::History;
use crate::train::model::Model;
use crate::train::progress::{Course, Progress};
use crate::train::state::TrainingState;
use crate::train::sums::Evaluation;
use crate::train::trainer::{StepResult, Trainer};
use crate::{Error, Result};

impl Model {
    /// Trains on `data`, a data set or a [`Source`](crate::data::Source) of rows that need not fit in memory, for as
    /// many epochs as `fit` says, and returns their history. Calling it again
    /// trains for so many more, from where the last call stopped: weights, moments, step and orders of
    /// rows go on; [`Model::reset`] goes back to the start.
    ///
    /// A call that ends within an epoch (by an error, by a callback's [`Stop`](crate::train::Signal::Stop) after
    /// a batch, or since its future was dropped) has its epoch broken off. The next call on this data
    /// set, or a clone of it, in batches of as many rows completes that epoch, as the first of its own: what the
    /// history says of it is over the batches that were left, without R². On other data or in other
    /// batches the next call begins with an epoch of its own.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Shape`] for arguments out of range and data that does not
    /// fit; [`Error::NotFinite`] if the loss or a parameter becomes NaN or infinite: training stops
    /// and the model keeps the weights of the last good step (where a gradient overflowed although the
    /// loss was finite: the parameters that could, moved in that step too), or those that a callback
    /// such as [`KeepBest`](crate::train::KeepBest) remembered; the errors of the device.
    ///
    /// If its future is dropped, or a callback panics, the steps that were submitted until then count:
    /// the next call goes on after them. Callbacks then do not hear of the end, and weights that they
    /// remembered are not put back.
    pub async fn fit<D: AsData>(&mut self, data: &D, mut fit: FitOptions<'_>) -> Result<History> {
        let held_out;
        let whole = data.as_data();
        let (data, validation) = match fit.validation {
            None => (whole, None),
            Some(Validation::Data(validation)) => (whole, Some(validation)),
            Some(Validation::Split(fraction)) => {
                held_out = split_last(whole, fraction)?;
                (held_out.0.as_data(), Some(held_out.1.as_data()))
            }
        };
        let figures = fit.figures(self.metrics())?;
        let batch = match fit.batch.unwrap_or(BatchSize::Rows(32)) {
            BatchSize::Rows(0) => return Err(Error::argument("batch size", 0, "at least 1")),
            BatchSize::Rows(rows) => rows,
            BatchSize::Full => data.rows()?,
        };
        let residency = fit.residency.unwrap_or_default();
        self.make_sure_of_steps().await?;
        let progress = self.progress.entering(Course::new(whole, data.rows()?, batch)?);
        let mut call = Call::new(self.steps(), progress, fit.shuffle, validation)?;
        let (mut keeper, resumed) = fit.kept(&self.task, true)?;
        let mut survive = fit.survive.take();
        let mut resumed = match resumed {
            Some(moment) => {
                moment.fit.check(&call, fit.callbacks.len())?;
                call = moment.fit.call;
                Some(moment)
            }
            None => None,
        };
        loop {
            self.parameters().clear_status()?;
            // A trainer is planned for the steps that parameters missed at the moment from which it goes on.
            let mut before = (self.steps(), progress);
            let resumed_fit = match resumed.take() {
                Some(moment) => {
                    let fit = self.go_on(moment)?;
                    before = (self.steps(), self.progress);
                    Some(fit)
                }
                None => None,
            };
            let trainer = Trainer::new("fit", self, data, batch, true, residency).await?;
            let validator = match validation {
                None => None,
                Some(data) => Some(Validator::new(self, data, batch, residency).await?),
            };
            let start = Start {
                epochs: fit.epochs,
                call,
                steps: self.steps(),
                learning_rate: self.learning_rate_at(self.steps()),
                figures: figures.clone(),
                validates: validator.is_some(),
                sums: self.sums_over(data)?,
            };
            let trained = Trained {
                before,
                failed: false,
                model: self,
                trainer,
                validator,
                expected: VecDeque::new(),
                capture: None,
                staging: Vec::new(),
            };
            let callbacks = fit.callbacks.iter_mut().map(|callback| &mut **callback as _).collect();
            let mut run = Run::new(trained, start, callbacks, keeper);
            let more = survive.as_ref().is_some_and(Survive::survives_more);
            let outcome = run.run(resumed_fit, |error| more && is_device_lost(error)).await;
            keeper = std::mem::take(&mut run.keeper);
            drop(run);
            let moment = match to_go_on(more, outcome, &keeper, &mut fit.callbacks) {
                Ok(moment) => moment,
                Err(outcome) => return outcome,
            };
            let new = match &mut survive {
                Some(survive) => survive.devices(1).await,
                None => Ok(Vec::new()),
            };
            let moved = match new.map(|mut new| new.pop()) {
                Ok(Some(gpu)) => self.move_to(&gpu).await,
                Ok(None) => Err(Error::bug("a loss is survived without a device")),
                Err(error) => Err(error),
            };
            if let Err(error) = moved {
                end_all(&mut fit.callbacks);
                return Err(error);
            }
            resumed = Some(moment);
        }
    }

    /// Goes to another device, without the numbers that were on the one before.
    pub(crate) async fn move_to(&mut self, gpu: &Gpu) -> Result<()> {
        *self = Self::new(gpu, self.task.clone()).await?;
        Ok(())
    }

    /// Goes to a moment of a training; what `fit` knows of it.
    fn go_on(&mut self, moment: Moment) -> Result<FitState> {
        let Moment { state, progress, learning_rate, fit } = moment;
        self.go_to(&state, progress)?;
        self.learning_rate = learning_rate;
        Ok(fit)
    }
}

/// A model in a call of `fit`.
struct Trained<'m, 'd> {
    /// The model's steps and epochs before.
    before: (u64, Progress),
    /// Whether a step was not finite; then the model's steps and epochs are known.
    failed: bool,
    model: &'m mut Model,
    trainer: Trainer<Data<'d>>,
    validator: Option<Validator<'d>>,
    /// Batch and learning rate of the steps whose results are yet to come.
    expected: VecDeque<(usize, f32)>,
    /// Parameters and optimizer state on their way to the host, and what an earlier way left for them.
    capture: Option<Capture>,
    staging: Staging,
}

/// However a training ends, also where its future is dropped or a callback panics: every step that was
/// submitted counts, since the device takes it. Orders of rows and Adam's corrections go on from there.
impl Drop for Trained<'_, '_> {
    fn drop(&mut self) {
        if self.failed {
            return;
        }
        let (steps, sent) = (self.before.0, self.trainer.sent());
        let known = self.model.steps().saturating_sub(steps);
        self.model.in_doubt = known < sent;
        self.stand_at(steps.saturating_add(sent));
    }
}

impl Trained<'_, '_> {
    /// The model has completed `steps` steps.
    fn stand_at(&mut self, steps: u64) {
        let (before, progress) = self.before;
        self.model.steps = steps;
        self.model.progress = progress.plus(steps.saturating_sub(before));
    }

    /// What came of the oldest submission, if anything did.
    fn take(&mut self, results: Result<Option<Vec<StepResult>>>) -> Result<Vec<Completed>> {
        let results = match results {
            Ok(results) => results.unwrap_or_default(),
            Err(error) => {
                if let Error::NotFinite { step, .. } = error {
                    self.stand_at(step);
                    self.failed = true;
                }
                return Err(error);
            }
        };
        self.model.completed(results.len() as u64);
        let expected = self.expected.drain(..results.len().min(self.expected.len()));
        let completed =
            |((batch, learning_rate), result)| Completed { batch, learning_rate, result };
        Ok(expected.zip(results).map(completed).collect())
    }
}

impl Trainee for Trained<'_, '_> {
    type Snapshot = Snapshot;

    fn batches(&self) -> usize {
        self.trainer.batches()
    }

    fn batches_at_once(&self) -> usize {
        self.trainer.batches_per_submission()
    }

    fn runs_ahead(&self) -> bool {
        true
    }

    fn set_learning_rate(&mut self, rate: f32) -> Result<()> {
        self.model.set_learning_rate(rate)
    }

    async fn set_order(&mut self, order: EpochOrder) -> Result<()> {
        self.trainer.next_order(order).await
    }

    async fn submit(&mut self, batches: Range<usize>) -> Result<()> {
        let (model, first) = (&*self.model, batches.start);
        let ahead = self.expected.len() as u64;
        let expected = &mut self.expected;
        let step = |batch: usize| {
            let step = model.next_step(ahead + (batch - first) as u64);
            expected.push_back((batch, model.learning_rate_at(step.number)));
            step
        };
        self.trainer.add(batches, step).await
    }

    /// What is submitted is the device's.
    fn stop(&mut self) {}

    async fn completed(&mut self) -> Result<Vec<Completed>> {
        let results = self.trainer.results_ready().await;
        self.take(results)
    }

    async fn wait(&mut self) -> Result<Vec<Completed>> {
        self.trainer.flush().await?;
        let results = self.trainer.results().await;
        self.take(results)
    }

    async fn weights(&mut self) -> Result<Vec<(String, Vec<f32>)>> {
        self.model.weights().await
    }

    async fn remember(&mut self, memory: &mut Option<Snapshot>) -> Result<()> {
        match memory {
            Some(snapshot) => self.model.parameters().save_to(snapshot).await,
            empty => {
                *empty = Some(self.model.parameters().snapshot().await?);
                Ok(())
            }
        }
    }

    async fn put_back(&mut self, memory: &Snapshot) -> Result<()> {
        self.model.parameters().restore(memory).await
    }

    async fn remembered(&mut self, memory: &Snapshot) -> Result<Vec<Vec<f32>>> {
        memory.read().await
    }

    async fn remember_values(&mut self, values: &[Vec<f32>]) -> Result<Snapshot> {
        let snapshot = self.model.parameters().snapshot().await?;
        snapshot.write(values)?;
        Ok(snapshot)
    }

    fn own_learning_rate(&self) -> Option<f32> {
        self.model.learning_rate
    }

    async fn capture(&mut self) -> Result<()> {
        self.trainer.flush().await?;
        let staging = std::mem::take(&mut self.staging);
        self.capture = Some(self.model.parameters().capture(staging).await?);
        Ok(())
    }

    fn is_captured(&self) -> bool {
        self.capture.as_ref().is_some_and(Capture::is_ready)
    }

    async fn captured(&mut self, step: u64) -> Result<TrainingState> {
        let nothing = || Error::bug("nothing was captured");
        let parameters = self.model.parameters();
        let missed = self.model.missed.at(step, self.model.architecture());
        let capture = self.capture.take().ok_or_else(nothing)?;
        let (bytes, staging) = capture.bytes(parameters).await?;
        self.staging = staging;
        TrainingState::read(parameters, step, missed, &bytes)
    }

    async fn validate(&mut self) -> Result<Option<Evaluation>> {
        match &mut self.validator {
            Some(validator) => validator.evaluate().await.map(Some),
            None => Ok(None),
        }
    }
}

/// The first rows and the last `fraction` of them; of a source, blocks of them.
pub(crate) fn split_last(data: Data<'_>, fraction: f64) -> Result<(OwnedData, OwnedData)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::argument("validation split", fraction, "above 0 and below 1"));
    }
    Ok(match data {
        Data::Dataset(data) => {
            let held_out = (data.rows() as f64 * fraction).round() as usize;
            let (first, last) = data.split_at(data.rows().saturating_sub(held_out))?;
            (first.into(), last.into())
        }
        Data::Source(source) => {
            let (first, last) = source.split_last(fraction)?;
            (first.into(), last.into())
        }
    })
}
