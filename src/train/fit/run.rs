//! The loop over epochs, the same for a model on one device and for lanes: orders of rows, results,
//! callbacks, validation and the history are its own; the steps are the trainee's.

use std::ops::Range;

use crate::clock::Clock;
use crate::data::Dataset;
use crate::train::callback::{BatchLog, Callback, Signal, TrainLog};
use crate::train::evaluate::evaluate_with;
use crate::train::feed::Residency;
use crate::train::figure::Figure;
use crate::train::fit::epoch_order;
use crate::train::history::{EpochLog, History};
use crate::train::model::Model;
use crate::train::progress::Progress;
use crate::train::sums::{Evaluation, Sums};
use crate::train::trainer::{StepResult, Trainer};
use crate::{Error, Result};

/// What is trained: a model on a device, or lanes. However it is left, every step that was submitted
/// counts.
pub(crate) trait Trainee {
    /// Weights that are remembered.
    type Snapshot;

    /// Batches of an epoch.
    fn batches(&self) -> usize;

    /// Most batches of one submission.
    fn batches_at_once(&self) -> usize;

    /// Whether steps of an epoch can be submitted while those of the one before are under way.
    fn runs_ahead(&self) -> bool;

    /// Trains every step from the next on that is not submitted yet with η = `rate`.
    fn set_learning_rate(&mut self, rate: f32) -> Result<()>;

    /// Draws rows in this order from the next submission on.
    async fn set_order(&mut self, order: Vec<u32>) -> Result<()>;

    /// Submits these batches of the epoch, or adds them to a submission to come.
    async fn submit(&mut self, batches: Range<usize>) -> Result<()>;

    /// Takes back what was submitted and not begun, where that can be.
    fn stop(&mut self);

    /// The steps that were completed since, in order, if they are known already.
    async fn completed(&mut self) -> Result<Vec<Completed>>;

    /// The same, waiting for them; none when all that was submitted is done.
    async fn wait(&mut self) -> Result<Vec<Completed>>;

    /// Names and values of all parameters, when nothing is under way.
    async fn weights(&mut self) -> Result<Vec<(String, Vec<f32>)>>;

    /// Remembers the present weights, when nothing is under way.
    async fn remember(&mut self, memory: &mut Option<Self::Snapshot>) -> Result<()>;

    /// Puts remembered weights back.
    async fn put_back(&mut self, memory: &Self::Snapshot) -> Result<()>;

    /// Loss and metrics of the present weights on the validation's rows, if there is a validation.
    async fn validate(&mut self) -> Result<Option<Evaluation>>;
}

/// A completed step.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Its batch, from 0.
    pub(crate) batch: usize,
    pub(crate) learning_rate: f32,
    pub(crate) result: StepResult,
}

/// Looks at a model after every epoch.
#[derive(Debug)]
pub(crate) struct Validator<'d> {
    trainer: Trainer<&'d Dataset>,
    sums: Sums,
}

/// Rows that a validation takes at a time, where the device allows and the training takes fewer.
const LEAST_VALIDATED: usize = 256;

impl<'d> Validator<'d> {
    /// On the rows of `data`, for a training in batches of `batch` rows.
    pub(crate) async fn new(
        model: &Model,
        data: &'d Dataset,
        batch: usize,
        residency: Residency,
    ) -> Result<Self> {
        let most = batch.max(LEAST_VALIDATED);
        let trainer = Trainer::evaluating("validation", model, data, most, residency).await?;
        Ok(Self { trainer, sums: model.sums(data) })
    }

    /// Loss and metrics of the model's present weights.
    pub(crate) async fn evaluate(&mut self) -> Result<Evaluation> {
        evaluate_with(&mut self.trainer, &mut self.sums).await
    }
}

/// How a training begins.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) epochs: usize,
    pub(crate) shuffle: Option<u64>,
    /// Rows of an epoch.
    pub(crate) rows: usize,
    /// Where it goes on.
    pub(crate) progress: Progress,
    /// Steps completed before.
    pub(crate) steps: u64,
    /// η of the first step.
    pub(crate) learning_rate: f32,
    pub(crate) figures: Vec<Figure>,
    /// Whether every epoch ends with a validation.
    pub(crate) validates: bool,
    /// Sums of nothing yet.
    pub(crate) sums: Sums,
}

/// One call of `fit`.
pub(crate) struct Run<'c, T: Trainee> {
    trainee: T,
    start: Start,
    callbacks: Vec<&'c mut dyn Callback>,
    /// What each callback that has begun remembers.
    snapshots: Vec<Option<T::Snapshot>>,
    /// The callback whose remembered weights are put back at the end.
    restore: Option<usize>,
    /// Steps completed, those before included.
    steps: u64,
    /// The epoch of the steps whose results are yet to come, from 1.
    epoch: usize,
    sums: Sums,
    history: History,
    clock: Clock,
    stop: bool,
}

/// When a callback is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// After a batch: the device is ahead of the host.
    Batch,
    /// After an epoch or at the end: the device has done what was submitted.
    Rest,
}

impl<'c, T: Trainee> Run<'c, T> {
    pub(crate) fn new(trainee: T, start: Start, callbacks: Vec<&'c mut dyn Callback>) -> Self {
        Self {
            trainee,
            callbacks,
            snapshots: Vec::new(),
            restore: None,
            steps: start.steps,
            epoch: 1,
            sums: start.sums.clone(),
            history: History::default(),
            clock: Clock::now(),
            stop: false,
            start,
        }
    }

    /// Trains. Callbacks hear of every end, also of one by an error; the first error is returned.
    pub(crate) async fn run(mut self) -> Result<History> {
        let trained = match self.begin_callbacks() {
            Ok(()) => self.train().await,
            Err(error) => Err(error),
        };
        let ended = self.end_callbacks().await;
        trained.and(ended)?;
        Ok(self.history)
    }

    /// Tells every callback that training begins, up to one that refuses to.
    fn begin_callbacks(&mut self) -> Result<()> {
        let log = TrainLog {
            epochs: self.start.epochs,
            batches: self.trainee.batches(),
            step: self.start.steps,
            learning_rate: self.start.learning_rate,
            figures: std::mem::take(&mut self.start.figures),
        };
        for callback in &mut self.callbacks {
            callback.on_train_begin(&log)?;
            self.snapshots.push(None);
        }
        Ok(())
    }

    async fn train(&mut self) -> Result<()> {
        let Start { epochs, shuffle, rows, progress, .. } = self.start;
        if shuffle.is_none() {
            self.trainee.set_order((0..crate::kernel::word(rows)).collect()).await?;
        }
        // Only a callback or a validation needs an epoch's end to be an end on the device too.
        let waits_at_epochs =
            !self.trainee.runs_ahead() || !self.callbacks.is_empty() || self.start.validates;
        for epoch in 1..=epochs {
            if let Some(seed) = shuffle {
                // Counted from 0 over all calls.
                let number = progress.epochs.saturating_add(epoch as u64 - 1);
                self.trainee.set_order(epoch_order(rows, seed, number)).await?;
            }
            // An epoch that was broken off goes on where it was.
            let first = if epoch == 1 { progress.batches as usize } else { 0 };
            self.submit_epoch(first).await?;
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
            Some(snapshot) => self.trainee.put_back(snapshot).await,
            None => Ok(()),
        }
    }

    /// Submits the batches of an epoch from `first` on.
    async fn submit_epoch(&mut self, first: usize) -> Result<()> {
        let (batches, most) = (self.trainee.batches(), self.trainee.batches_at_once());
        for first in (first..batches).step_by(most) {
            let range = first..first.saturating_add(most).min(batches);
            self.trainee.submit(range).await?;
            loop {
                let completed = self.trainee.completed().await;
                let completed = completed.map_err(|error| self.locate(error))?;
                if completed.is_empty() {
                    break;
                }
                self.receive(completed).await?;
            }
            if self.stop {
                break;
            }
        }
        Ok(())
    }

    /// Waits for all that was submitted.
    async fn drain(&mut self) -> Result<()> {
        loop {
            let completed = self.trainee.wait().await.map_err(|error| self.locate(error))?;
            if completed.is_empty() {
                return Ok(());
            }
            self.receive(completed).await?;
        }
    }

    /// Adds the epoch to an error.
    fn locate(&self, error: Error) -> Error {
        match error {
            Error::NotFinite { step, loss, .. } => {
                let Start { steps, progress, .. } = self.start;
                let before = progress.batches.saturating_add(step.saturating_sub(steps));
                let epochs = before / (self.trainee.batches().max(1) as u64);
                let epoch = usize::try_from(epochs).unwrap_or(usize::MAX).saturating_add(1);
                Error::NotFinite { step, epoch, loss }
            }
            error => error,
        }
    }

    async fn receive(&mut self, completed: Vec<Completed>) -> Result<()> {
        for Completed { batch, learning_rate, result } in completed {
            self.steps = self.steps.saturating_add(1);
            self.sums.add(&result)?;
            self.history.batch_losses.push(result.loss);
            self.report_batch(batch, result.loss).await?;
            if batch + 1 == self.trainee.batches() {
                self.log_epoch(learning_rate);
            }
        }
        Ok(())
    }

    async fn report_batch(&mut self, batch: usize, loss: f32) -> Result<()> {
        if self.callbacks.is_empty() {
            return Ok(());
        }
        let so_far = self.sums.evaluation();
        let log = BatchLog {
            epoch: self.epoch,
            batch: batch + 1,
            batches: self.trainee.batches(),
            step: self.steps,
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

    fn log_epoch(&mut self, learning_rate: f32) {
        let evaluation = self.sums.evaluation();
        self.sums.clear();
        self.history.epochs.push(EpochLog {
            epoch: self.epoch,
            epochs: self.start.epochs,
            loss: evaluation.loss,
            metrics: evaluation.metrics,
            validation: None,
            learning_rate,
            seconds: self.clock.seconds(),
        });
        self.epoch = self.epoch.saturating_add(1);
    }

    /// Validation and callbacks at an epoch's end. An epoch that a callback cut short has no entry.
    async fn finish_epoch(&mut self, epoch: usize) -> Result<()> {
        if self.history.last().is_none_or(|log| log.epoch != epoch) {
            return Ok(());
        }
        if let Some(evaluation) = self.trainee.validate().await?
            && let Some(log) = self.history.epochs.last_mut()
        {
            log.validation = Some(evaluation);
            log.seconds = self.clock.seconds();
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
                let weights = self.trainee.weights().await?;
                let callback = self.callbacks.get_mut(index);
                callback.map_or(Signal::Continue, |callback| callback.on_weights(&weights))
            }
            (signal, _) => signal,
        };
        let Some(snapshot) = self.snapshots.get_mut(index) else { return Ok(()) };
        match signal {
            Signal::Continue => {}
            Signal::Remember => self.trainee.remember(snapshot).await?,
            Signal::ShowWeights => {
                let rule = "another than this after `on_weights`, which has just been shown them";
                return Err(Error::argument("a callback's signal", "ShowWeights", rule));
            }
            Signal::LearningRate(rate) => self.trainee.set_learning_rate(rate)?,
            Signal::Stop => self.end(),
            Signal::RestoreAndStop => {
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
        self.trainee.stop();
    }
}
