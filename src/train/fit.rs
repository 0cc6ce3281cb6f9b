//! The training loop that most people need.

use std::collections::VecDeque;

use super::callback::{BatchLog, Callback, Signal, TrainLog};
use super::evaluate::evaluate_with;
use super::feed::Residency;
use super::figure::Figure;
use super::history::{EpochLog, History};
use super::model::Model;
use super::sums::Sums;
use super::trainer::{StepResult, Trainer};
use crate::clock::Clock;
use crate::data::{Dataset, permutation};
use crate::exec::Snapshot;
use crate::{Error, Result};

/// Rows per step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many; 1 is stochastic gradient descent in the strict sense.
    Rows(usize),
    /// All: full-batch gradient descent.
    Full,
}

/// Rows that a validation takes at a time, where the device allows and the training takes fewer.
const LEAST_VALIDATED: usize = 256;

/// How to train: the arguments of Keras's `fit`.
pub struct Fit<'a> {
    epochs: usize,
    batch: BatchSize,
    shuffle: Option<u64>,
    validation: Option<Validation<'a>>,
    residency: Residency,
    callbacks: Vec<&'a mut dyn Callback>,
}

enum Validation<'a> {
    Data(&'a Dataset),
    Split(f64),
}

impl<'a> Fit<'a> {
    /// Trains for `epochs` (more) epochs with batches of 32 rows, shuffled with seed 0.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            batch: BatchSize::Rows(32),
            shuffle: Some(0),
            validation: None,
            residency: Residency::Auto,
            callbacks: Vec::new(),
        }
    }

    /// Rows per step. The last batch of an epoch has those that are left; where the data has fewer rows
    /// than one batch, that is all of them.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch = BatchSize::Rows(rows);
        self
    }

    /// One step per epoch, over all rows.
    pub fn full_batch(mut self) -> Self {
        self.batch = BatchSize::Full;
        self
    }

    /// Draws the rows of every epoch in a new order, made from `seed` and the epoch's number.
    pub fn shuffle(mut self, seed: u64) -> Self {
        self.shuffle = Some(seed);
        self
    }

    /// Draws the rows in the order of the data set.
    pub fn in_order(mut self) -> Self {
        self.shuffle = None;
        self
    }

    /// Evaluates the model on `data` after every epoch.
    pub fn validation(mut self, data: &'a Dataset) -> Self {
        self.validation = Some(Validation::Data(data));
        self
    }

    /// Holds out the last `fraction` of the rows, before any shuffling, and evaluates on them.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation = Some(Validation::Split(fraction));
        self
    }

    /// Where the data lies; [`Residency::Auto`] unless set.
    pub fn residency(mut self, residency: Residency) -> Self {
        self.residency = residency;
        self
    }

    /// Adds a callback. Callbacks are called in the order in which they were added.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }
}

impl Model {
    /// Trains on `data` for as many epochs as `fit` says, and returns their history. Calling it again
    /// trains for so many more, from where the last call stopped: weights, moments, step and orders of
    /// rows go on; [`Model::reset`] goes back to the start.
    ///
    /// # Errors
    /// [`Error::Argument`] and [`Error::Shape`] for arguments out of range and data that does not
    /// fit; [`Error::NotFinite`] if the loss or a parameter becomes NaN or infinite: training stops
    /// and the model keeps the weights of the last good step (where a gradient overflowed although the
    /// loss was finite: the parameters that could, moved in that step too), or those that a callback
    /// such as [`KeepBest`](super::KeepBest) remembered; the errors of the device.
    ///
    /// If its future is dropped, or a callback panics, the steps that were submitted until then count:
    /// the next call goes on after them. Callbacks then do not hear of the end, and weights that they
    /// remembered are not put back.
    pub async fn fit(&mut self, data: &Dataset, fit: Fit<'_>) -> Result<History> {
        let held_out;
        let (data, validation) = match fit.validation {
            None => (data, None),
            Some(Validation::Data(validation)) => (data, Some(validation)),
            Some(Validation::Split(fraction)) => {
                held_out = split_last(data, fraction)?;
                (&held_out.0, Some(&held_out.1))
            }
        };
        if fit.epochs == 0 {
            return Err(Error::argument("epochs", 0, "at least 1"));
        }
        let figures = Figure::all(self.metrics(), validation.is_some());
        for name in fit.callbacks.iter().filter_map(|callback| callback.figure()) {
            Figure::among(&figures, "figure that a callback watches", name)?;
        }
        let batch = match fit.batch {
            BatchSize::Rows(0) => return Err(Error::argument("batch size", 0, "at least 1")),
            BatchSize::Rows(rows) => rows,
            BatchSize::Full => data.rows(),
        };
        let trainer = Trainer::new("fit", self, data, batch, true, fit.residency).await?;
        let validator = match validation {
            None => None,
            Some(data) => {
                let most = batch.max(LEAST_VALIDATED);
                let trainer =
                    Trainer::evaluating("validation", self, data, most, fit.residency).await?;
                Some((trainer, self.sums(data)))
            }
        };
        self.make_sure_of_steps().await?;
        self.parameters().clear_status()?;
        let mut run = Run {
            before: (self.steps, self.epochs),
            failed: false,
            sums: self.sums(data),
            model: self,
            trainer,
            validator,
            callbacks: fit.callbacks,
            snapshots: Vec::new(),
            restore: None,
            epochs: fit.epochs,
            expected: VecDeque::new(),
            history: History::default(),
            clock: Clock::now(),
            stop: false,
        };
        // Callbacks hear of every end, also of one by an error; the first error is what is told.
        let trained = match run.begin_callbacks(figures) {
            Ok(()) => run.train(data.rows(), fit.shuffle).await,
            Err(error) => Err(error),
        };
        let ended = run.end_callbacks().await;
        trained.and(ended)?;
        Ok(std::mem::take(&mut run.history))
    }
}

/// The order in which `fit` draws `rows` rows in epoch `epoch` of a model's life, counted from 0 over
/// all calls of `fit`.
pub fn epoch_order(rows: usize, seed: u64, epoch: u64) -> Vec<u32> {
    // The constant spreads neighbouring seeds (Steele et al., 2014).
    permutation(rows, seed.wrapping_add(epoch.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}

/// The state of one call of `fit`.
struct Run<'m, 'd, 'c> {
    /// The model's steps and epochs before.
    before: (u64, u64),
    /// Whether a step was not finite; then the model's steps and epochs are known.
    failed: bool,
    model: &'m mut Model,
    trainer: Trainer<&'d Dataset>,
    validator: Option<(Trainer<&'d Dataset>, Sums)>,
    callbacks: Vec<&'c mut dyn Callback>,
    /// What each callback that has begun remembers.
    snapshots: Vec<Option<Snapshot>>,
    /// The callback whose remembered weights are put back at the end.
    restore: Option<usize>,
    epochs: usize,
    /// Epoch, batch and learning rate of the steps whose results are yet to come.
    expected: VecDeque<(usize, usize, f32)>,
    sums: Sums,
    history: History,
    clock: Clock,
    stop: bool,
}

/// However a training ends, also where its future is dropped or a callback panics: every step that was
/// submitted counts, since the device takes it, and every epoch of which one was. Orders of rows and Adam's
/// corrections go on from there.
impl Drop for Run<'_, '_, '_> {
    fn drop(&mut self) {
        if self.failed {
            return;
        }
        let (steps, epochs) = self.before;
        let sent = self.trainer.sent();
        let known = self.model.steps.saturating_sub(steps);
        self.model.in_doubt = known < sent;
        self.model.steps = steps.saturating_add(sent);
        let begun = sent.div_ceil(self.trainer.batches().max(1) as u64);
        self.model.epochs = epochs.saturating_add(begun);
    }
}

/// When a callback is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// After a batch: the device is ahead of the host.
    Batch,
    /// After an epoch or at the end: the device has done what was submitted.
    Rest,
}

impl Run<'_, '_, '_> {
    /// Tells every callback that training begins, up to one that refuses to.
    fn begin_callbacks(&mut self, figures: Vec<Figure>) -> Result<()> {
        let log = TrainLog {
            epochs: self.epochs,
            batches: self.trainer.batches(),
            step: self.model.steps,
            learning_rate: self.model.learning_rate_at(self.model.steps),
            figures,
        };
        for callback in &mut self.callbacks {
            callback.on_train_begin(&log)?;
            self.snapshots.push(None);
        }
        Ok(())
    }

    async fn train(&mut self, rows: usize, shuffle: Option<u64>) -> Result<()> {
        if shuffle.is_none() {
            self.trainer.set_order((0..crate::kernel::word(rows)).collect())?;
        }
        // Only a callback or a validation needs an epoch's end to be an end on the device too.
        let waits_at_epochs = !self.callbacks.is_empty() || self.validator.is_some();
        for epoch in 1..=self.epochs {
            if let Some(seed) = shuffle {
                self.trainer.next_order(epoch_order(rows, seed, self.model.epochs)).await?;
            }
            self.model.epochs += 1;
            self.submit_epoch(epoch).await?;
            if waits_at_epochs {
                self.drain().await?;
                self.finish_epoch(epoch).await?;
            }
            if self.stop {
                break;
            }
        }
        self.drain().await
    }

    /// Tells every callback that has begun that training has ended, then puts remembered weights back if one asks
    /// for it: only now, when no step is under way that would move them again, and no callback is
    /// left that would remember them for its own.
    async fn end_callbacks(&mut self) -> Result<()> {
        let stopped_early = self.history.stopped_early;
        let mut outcome = Ok(());
        for index in 0..self.snapshots.len() {
            let signal = self.callbacks.get_mut(index).map(|callback| callback.on_train_end());
            let obeyed = self.obey(index, signal.unwrap_or_default(), Moment::Rest).await;
            outcome = outcome.and(obeyed);
        }
        self.history.stopped_early = stopped_early;
        outcome?;
        match self.restore.and_then(|index| self.snapshots.get(index)?.as_ref()) {
            Some(snapshot) => self.model.parameters().restore(snapshot).await,
            None => Ok(()),
        }
    }

    async fn submit_epoch(&mut self, epoch: usize) -> Result<()> {
        let (batches, most) = (self.trainer.batches(), self.trainer.batches_per_submission());
        for first in (0..batches).step_by(most) {
            let range = first..(first + most).min(batches);
            let model = &*self.model;
            let ahead = self.expected.len() as u64;
            let expected = &mut self.expected;
            self.trainer
                .add(range, |batch| {
                    let step = model.next_step(ahead + (batch - first) as u64);
                    expected.push_back((epoch, batch, model.learning_rate_at(step.number)));
                    step
                })
                .await?;
            loop {
                match self.trainer.results_ready().await {
                    Ok(Some(results)) => self.receive(&results).await?,
                    Ok(None) => break,
                    Err(error) => return Err(self.locate(error)),
                }
            }
            if self.stop {
                break;
            }
        }
        Ok(())
    }

    async fn drain(&mut self) -> Result<()> {
        self.trainer.flush().await?;
        loop {
            match self.trainer.results().await {
                Ok(Some(results)) => self.receive(&results).await?,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.locate(error)),
            }
        }
    }

    /// Adds the epoch to an error, and sets the model's step to the one that failed.
    fn locate(&mut self, error: Error) -> Error {
        match error {
            Error::NotFinite { step, loss, .. } => {
                let behind = step.saturating_sub(self.model.steps) as usize;
                let epoch = self.expected.get(behind).map_or(self.epochs, |&(epoch, _, _)| epoch);
                self.model.steps = step;
                self.model.epochs = self.before.1.saturating_add(epoch as u64);
                self.failed = true;
                Error::NotFinite { step, epoch, loss }
            }
            error => error,
        }
    }

    async fn receive(&mut self, results: &[StepResult]) -> Result<()> {
        for result in results {
            let Some((epoch, batch, rate)) = self.expected.pop_front() else { continue };
            self.model.completed(1);
            self.sums.add(result)?;
            self.history.batch_losses.push(result.loss);
            let last = batch + 1 == self.trainer.batches();
            self.report_batch(epoch, batch, result.loss).await?;
            if last {
                self.log_epoch(epoch, rate);
            }
        }
        Ok(())
    }

    async fn report_batch(&mut self, epoch: usize, batch: usize, loss: f32) -> Result<()> {
        if self.callbacks.is_empty() {
            return Ok(());
        }
        let so_far = self.sums.evaluation();
        let log = BatchLog {
            epoch,
            batch: batch + 1,
            batches: self.trainer.batches(),
            step: self.model.steps,
            loss,
            epoch_loss: so_far.loss,
            metrics: so_far.metrics,
        };
        for index in 0..self.callbacks.len() {
            let signal = self.callbacks.get_mut(index).map(|callback| callback.on_batch_end(&log));
            self.obey(index, signal.unwrap_or_default(), Moment::Batch).await?;
        }
        Ok(())
    }

    fn log_epoch(&mut self, epoch: usize, learning_rate: f32) {
        let evaluation = self.sums.evaluation();
        self.sums.clear();
        self.history.epochs.push(EpochLog {
            epoch,
            epochs: self.epochs,
            loss: evaluation.loss,
            metrics: evaluation.metrics,
            validation: None,
            learning_rate,
            seconds: self.clock.seconds(),
        });
    }

    /// Validation and callbacks at an epoch's end. An epoch that a callback cut short has no entry.
    async fn finish_epoch(&mut self, epoch: usize) -> Result<()> {
        if self.history.last().is_none_or(|log| log.epoch != epoch) {
            return Ok(());
        }
        if let Some((validator, sums)) = &mut self.validator {
            let evaluation = evaluate_with(validator, sums).await?;
            if let Some(log) = self.history.epochs.last_mut() {
                log.validation = Some(evaluation);
                log.seconds = self.clock.seconds();
            }
        }
        for index in 0..self.callbacks.len() {
            let (Some(callback), Some(log)) =
                (self.callbacks.get_mut(index), self.history.epochs.last())
            else {
                continue;
            };
            let signal = callback.on_epoch_end(log);
            self.obey(index, signal, Moment::Rest).await?;
        }
        Ok(())
    }

    /// Does what callback `index` wants.
    ///
    /// # Errors
    /// [`Error::Argument`] if that cannot be at this moment; the errors of the device.
    async fn obey(&mut self, index: usize, signal: Signal, moment: Moment) -> Result<()> {
        let signal = match (signal, moment) {
            (Signal::Remember | Signal::ShowWeights, Moment::Batch) => {
                let rule = "given after an epoch, not after a batch: the device is ahead of it";
                return Err(Error::argument("a callback's signal", format!("{signal:?}"), rule));
            }
            (Signal::ShowWeights, Moment::Rest) => {
                let weights = self.model.weights().await?;
                let callback = self.callbacks.get_mut(index);
                callback.map_or(Signal::Continue, |callback| callback.on_weights(&weights))
            }
            (signal, _) => signal,
        };
        let Some(snapshot) = self.snapshots.get_mut(index) else { return Ok(()) };
        match (signal, snapshot) {
            (Signal::Continue, _) => {}
            (Signal::Remember, Some(snapshot)) => {
                self.model.parameters().save_to(snapshot).await?;
            }
            (Signal::Remember, empty) => *empty = Some(self.model.parameters().snapshot().await?),
            (Signal::ShowWeights, _) => {
                let rule = "another than this after `on_weights`, which has just been shown them";
                return Err(Error::argument("a callback's signal", "ShowWeights", rule));
            }
            (Signal::LearningRate(rate), _) => self.model.set_learning_rate(rate)?,
            (Signal::Stop, _) => self.end(),
            (Signal::RestoreAndStop, snapshot) => {
                if snapshot.is_some() {
                    self.restore = Some(index);
                }
                self.end();
            }
        }
        Ok(())
    }

    fn end(&mut self) {
        self.stop = true;
        self.history.stopped_early = true;
    }
}

/// The first rows and the last `fraction` of them.
fn split_last(data: &Dataset, fraction: f64) -> Result<(Dataset, Dataset)> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(Error::argument("validation split", fraction, "above 0 and below 1"));
    }
    let held_out = (data.rows() as f64 * fraction).round() as usize;
    Ok(data.split_at(data.rows().saturating_sub(held_out))?)
}
