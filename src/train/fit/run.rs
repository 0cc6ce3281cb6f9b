//! The loop over epochs, the same for a model on one device and for lanes: orders of rows, results,
//! callbacks, validation and the history are its own; the steps are the trainee's.

use std::ops::Range;

use crate::clock::Clock;
use crate::data::EpochOrder;
use crate::train::callback::{BatchLog, Callback, Signal, TrainLog};
use crate::train::figure::Figure;
use crate::train::fit::keeper::{Keeper, Pending};
use crate::train::fit::state::{Call, FitState, Wishes};
use crate::train::history::{EpochLog, History};
use crate::train::state::TrainingState;
use crate::train::sums::{Evaluation, Sums};
use crate::train::trainer::StepResult;
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

    /// Draws rows in the order of this epoch from the next submission on.
    async fn set_order(&mut self, order: EpochOrder) -> Result<()>;

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

    /// Remembered weights on the host.
    async fn remembered(&mut self, memory: &Self::Snapshot) -> Result<Vec<Vec<f32>>>;

    /// Remembers these weights.
    async fn remember_values(&mut self, values: &[Vec<f32>]) -> Result<Self::Snapshot>;

    /// η of every step to come, if it was set by hand.
    fn own_learning_rate(&self) -> Option<f32>;

    /// Has parameters and optimizer state copied to the host, as they are after all that was submitted.
    /// Nothing waits for it, unless the trainee does not [run ahead](Trainee::runs_ahead): then nothing may be
    /// under way.
    async fn capture(&mut self) -> Result<()>;

    /// Whether what was captured is here.
    fn is_captured(&self) -> bool;

    /// What was captured, after `step` steps.
    async fn captured(&mut self, step: u64) -> Result<TrainingState>;

    /// Loss and metrics of the present weights on the validation's rows, if there is a validation.
    async fn validate(&mut self) -> Result<Option<Evaluation>>;

    /// Tells other processes, whose callbacks are not asked, what was wanted; what they are to do.
    async fn share(&mut self, _own: Wishes) -> Result<Option<Wishes>> {
        Ok(None)
    }

    /// Hears how the training ended.
    fn ended(&mut self, _error: Option<&Error>) {}
}

/// A completed step.
#[derive(Debug)]
pub(crate) struct Completed {
    /// Its batch, from 0.
    pub(crate) batch: usize,
    pub(crate) learning_rate: f32,
    pub(crate) result: StepResult,
}

/// How a training begins.
#[derive(Debug)]
pub(crate) struct Start {
    pub(crate) epochs: usize,
    /// Where it begins, and over what.
    pub(crate) call: Call,
    /// Steps completed by now: more than when it began if it goes on.
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
    pub(super) trainee: T,
    pub(super) start: Start,
    pub(super) callbacks: Vec<&'c mut dyn Callback>,
    /// What each callback that has begun remembers.
    pub(super) snapshots: Vec<Option<T::Snapshot>>,
    /// The callback whose remembered weights are put back at the end.
    pub(super) restore: Option<usize>,
    /// Steps completed, those before included.
    pub(super) steps: u64,
    /// Steps submitted, those before included.
    pub(super) submitted: u64,
    /// The epoch of the steps whose results are yet to come, from 1.
    pub(super) epoch: usize,
    /// Where the next submission is: the epoch, from 1, and the batch in it.
    pub(super) place: (usize, usize),
    pub(super) sums: Sums,
    pub(super) history: History,
    pub(super) clock: Clock,
    /// Seconds of this training before it was broken off.
    pub(super) seconds: f64,
    pub(super) stop: bool,
    /// What callbacks wanted that other processes have to hear of.
    pub(super) wishes: Vec<(usize, Signal)>,
    pub(crate) keeper: Keeper,
    /// The moment that is on its way to the keeper.
    pub(super) pending: Option<Pending>,
    /// Weights that callbacks remember, where they are on the host.
    pub(super) on_host: Vec<Option<Vec<Vec<f32>>>>,
}

/// When a callback is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Occasion {
    /// After a batch: the device is ahead of the host.
    Batch,
    /// After an epoch or at the end: the device has done what was submitted.
    Rest,
}

impl<'c, T: Trainee> Run<'c, T> {
    pub(crate) fn new(
        trainee: T,
        start: Start,
        callbacks: Vec<&'c mut dyn Callback>,
        keeper: Keeper,
    ) -> Self {
        Self {
            trainee,
            callbacks,
            snapshots: Vec::new(),
            restore: None,
            steps: start.call.steps,
            submitted: start.call.steps,
            epoch: 1,
            place: (1, start.call.progress.batches as usize),
            sums: start.sums.clone(),
            history: History::default(),
            clock: Clock::now(),
            seconds: 0.0,
            stop: false,
            wishes: Vec::new(),
            keeper,
            pending: None,
            on_host: Vec::new(),
            start,
        }
    }

    /// Trains, from where it was broken off if it was. Callbacks hear of every end, also of one by an error,
    /// unless `survives` says that training goes on after it; the first error is returned.
    pub(crate) async fn run(
        &mut self,
        resumed: Option<FitState>,
        survives: impl Fn(&Error) -> bool,
    ) -> Result<History> {
        let trained = match self.begin(resumed).await {
            Ok(()) => self.train().await,
            Err(error) => Err(error),
        };
        if let Err(error) = &trained
            && self.keeper.last.is_some()
            && survives(error)
        {
            return trained.map(|()| History::default());
        }
        if let Err(error) = &trained {
            self.trainee.ended(Some(error));
        }
        let ended = self.end_callbacks().await;
        let ended = trained.and(ended).and(self.keeper.finish());
        self.trainee.ended(ended.as_ref().err());
        ended?;
        Ok(std::mem::take(&mut self.history))
    }

    async fn begin(&mut self, resumed: Option<FitState>) -> Result<()> {
        self.begin_callbacks()?;
        match resumed {
            Some(state) => self.go_on(state).await,
            None => Ok(()),
        }
    }

    /// Tells every callback that training begins, up to one that refuses to.
    fn begin_callbacks(&mut self) -> Result<()> {
        let log = TrainLog {
            epochs: self.start.epochs,
            batches: self.trainee.batches(),
            step: self.start.call.steps,
            learning_rate: self.start.learning_rate,
            figures: std::mem::take(&mut self.start.figures),
        };
        for callback in &mut self.callbacks {
            callback.on_train_begin(&log)?;
            self.snapshots.push(None);
            self.on_host.push(None);
        }
        Ok(())
    }

    async fn train(&mut self) -> Result<()> {
        let Start { epochs, call, .. } = self.start;
        if call.shuffle.is_none() {
            self.trainee.set_order(EpochOrder::AS_THEY_LIE).await?;
        }
        // Only a callback or a validation needs an epoch's end to be an end on the device too.
        if self.keeper.remembers() && self.keeper.last.is_none() {
            self.capture().await?;
            self.finish_capture().await?;
        }
        let waits_at_epochs =
            !self.trainee.runs_ahead() || !self.callbacks.is_empty() || self.start.validates;
        for epoch in self.place.0..=epochs {
            if self.stop {
                break;
            }
            // Counted from 0 over all calls.
            let number = call.progress.epochs.saturating_add(epoch as u64 - 1);
            if call.shuffle.is_some() {
                self.trainee.set_order(EpochOrder::new(call.shuffle, number)).await?;
            }
            self.submit_epoch(epoch).await?;
            if waits_at_epochs {
                self.drain().await?;
                self.finish_epoch(epoch).await?;
                self.share().await?;
            }
            let is_over = self.place.0 > epoch && !self.stop;
            if is_over && self.keeper.is_due_after_epoch(number.saturating_add(1), self.submitted) {
                self.capture().await?;
            }
        }
        self.drain().await?;
        self.take_back();
        if self.keeper.keeps() {
            self.capture().await?;
            self.finish_capture().await?;
        }
        Ok(())
    }

    /// Steps that a trainee took back when it was to stop were never submitted.
    fn take_back(&mut self) {
        if self.steps < self.submitted {
            let Call { steps, progress, .. } = self.start.call;
            self.submitted = self.steps;
            let batches = self.trainee.batches().max(1) as u64;
            let done = progress.batches.saturating_add(self.steps.saturating_sub(steps));
            let epoch = usize::try_from(done / batches).unwrap_or(usize::MAX).saturating_add(1);
            self.place = (epoch, (done % batches) as usize);
        }
    }

    /// Tells every callback that has begun that training has ended, then puts remembered weights back if one asks
    /// for it: only now, when no step is under way that would move them again, and no callback is
    /// left that would remember them for its own.
    async fn end_callbacks(&mut self) -> Result<()> {
        let stopped_early = self.history.stopped_early;
        let mut outcome = Ok(());
        for index in 0..self.snapshots.len() {
            let signal = self.callbacks.get_mut(index).map(|callback| callback.on_train_end());
            let obeyed = self.obey(index, signal.unwrap_or_default(), Occasion::Rest).await;
            outcome = outcome.and(obeyed);
        }
        outcome = outcome.and(self.share().await);
        self.history.stopped_early = stopped_early;
        outcome?;
        match self.restore.and_then(|index| self.snapshots.get(index)?.as_ref()) {
            Some(snapshot) => self.trainee.put_back(snapshot).await,
            None => Ok(()),
        }
    }

    /// Submits the batches of an epoch. One that was broken off goes on where it was.
    async fn submit_epoch(&mut self, epoch: usize) -> Result<()> {
        let (batches, most) = (self.trainee.batches(), self.trainee.batches_at_once());
        while self.place == (epoch, self.place.1) && !self.stop {
            let first = self.place.1;
            let next = self.keeper.steps_to_next(self.submitted).unwrap_or(u64::MAX);
            let most = usize::try_from(next).unwrap_or(usize::MAX).min(most);
            let end = first.saturating_add(most).min(batches);
            self.trainee.submit(first..end).await?;
            self.submitted = self.submitted.saturating_add((end - first) as u64);
            self.place = if end < batches { (epoch, end) } else { (epoch + 1, 0) };
            loop {
                let completed = self.trainee.completed().await;
                let completed = completed.map_err(|error| self.locate(error))?;
                if completed.is_empty() {
                    break;
                }
                self.receive(completed).await?;
            }
            if self.place.0 == epoch && self.keeper.is_due(self.submitted) {
                if !self.trainee.runs_ahead() {
                    // Whether anybody wants to stop before, all know then.
                    self.drain().await?;
                    self.share().await?;
                }
                if !self.stop {
                    self.capture().await?;
                }
            }
            if self.trainee.is_captured() {
                self.hand_over().await?;
            }
        }
        Ok(())
    }

    /// Waits for all that was submitted.
    pub(super) async fn drain(&mut self) -> Result<()> {
        loop {
            let completed = self.trainee.wait().await.map_err(|error| self.locate(error))?;
            if completed.is_empty() {
                return Ok(());
            }
            self.receive(completed).await?;
        }
    }

    /// Adds the epoch to an error.
    pub(super) fn locate(&self, error: Error) -> Error {
        match error {
            Error::NotFinite { step, loss, mixed, .. } => {
                let Call { steps, progress, .. } = self.start.call;
                let before = progress.batches.saturating_add(step.saturating_sub(steps));
                let epochs = before / (self.trainee.batches().max(1) as u64);
                let epoch = usize::try_from(epochs).unwrap_or(usize::MAX).saturating_add(1);
                Error::NotFinite { step, epoch, loss, mixed }
            }
            error => error,
        }
    }

    pub(super) async fn receive(&mut self, completed: Vec<Completed>) -> Result<()> {
        for Completed { batch, learning_rate, result } in completed {
            // Nobody hears of a step before the moment ahead of it is safe: so never more than the steps of
            // one interval are lost. The device has other work meanwhile.
            self.hand_over().await?;
            self.keeper.finish()?;
            self.steps = self.steps.saturating_add(1);
            self.sums.add(&result)?;
            self.history.batch_losses.push(result.loss);
            self.report_batch(batch, result.loss).await?;
            if batch + 1 == self.trainee.batches() {
                self.log_epoch(learning_rate);
            }
            self.note_moment().await?;
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
            self.obey(index, signal.unwrap_or_default(), Occasion::Batch).await?;
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
            seconds: self.seconds(),
        });
        self.epoch = self.epoch.saturating_add(1);
    }

    /// Validation and callbacks at an epoch's end. An epoch that a callback cut short has no entry.
    async fn finish_epoch(&mut self, epoch: usize) -> Result<()> {
        if self.history.last().is_none_or(|log| log.epoch != epoch) {
            return Ok(());
        }
        let evaluation = self.trainee.validate().await?;
        let seconds = self.seconds();
        if let Some(evaluation) = evaluation
            && let Some(log) = self.history.epochs.last_mut()
        {
            log.validation = Some(evaluation);
            log.seconds = seconds;
        }
        for index in 0..self.callbacks.len() {
            let (Some(callback), Some(log)) =
                (self.callbacks.get_mut(index), self.history.epochs.last())
            else {
                continue;
            };
            let signal = callback.on_epoch_end(log);
            self.obey(index, signal, Occasion::Rest).await?;
        }
        Ok(())
    }

    /// Does what callback `index` wants.
    ///
    /// # Errors
    /// [`Error::Argument`] if that cannot be at this moment; the errors of the device.
    pub(super) async fn obey(
        &mut self,
        index: usize,
        signal: Signal,
        moment: Occasion,
    ) -> Result<()> {
        let signal = match (signal, self.callbacks.get_mut(index)) {
            (Signal::Wait, Some(callback)) => callback.wait().await,
            (signal, _) => signal,
        };
        let signal = match (signal, moment) {
            (Signal::Remember | Signal::ShowWeights, Occasion::Batch) => {
                let rule = "given after an epoch, not after a batch: the device is ahead of it";
                return Err(Error::argument("a callback's signal", format!("{signal:?}"), rule));
            }
            (Signal::ShowWeights, Occasion::Rest) => {
                let weights = self.trainee.weights().await?;
                let callback = self.callbacks.get_mut(index);
                callback.map_or(Signal::Continue, |callback| callback.on_weights(&weights))
            }
            (signal, _) => signal,
        };
        if moment == Occasion::Rest && signal != Signal::Continue {
            self.wishes.push((index, signal));
        }
        let Some(snapshot) = self.snapshots.get_mut(index) else { return Ok(()) };
        match signal {
            Signal::Continue => {}
            Signal::Remember => {
                self.trainee.remember(snapshot).await?;
                if let Some(copy) = self.on_host.get_mut(index) {
                    *copy = None;
                }
            }
            Signal::Wait | Signal::ShowWeights => {
                let rule = "another than this after `wait` or `on_weights`, which it has just had";
                return Err(Error::argument("a callback's signal", format!("{signal:?}"), rule));
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

    pub(super) fn end(&mut self) {
        self.stop = true;
        self.history.stopped_early = true;
        self.trainee.stop();
    }
}
