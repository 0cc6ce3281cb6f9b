//! Moments of a training: how `fit` makes one, and how it goes on from one.

use super::keeper::Pending;
use super::run::{Run, Trainee};
use super::state::{FitState, Moment};
use crate::{Error, Result};

impl<T: Trainee> Run<'_, T> {
    /// Seconds since the training began, without those in which it was broken off.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds + self.clock.seconds()
    }

    /// Goes on from a moment of this call. The trainee is there already.
    ///
    /// # Errors
    /// [`Error::Argument`] if more epochs are done than this call asks for; those of callbacks and of the trainee.
    pub(super) async fn go_on(&mut self, state: FitState) -> Result<()> {
        let (done, asked) = (state.epochs.len(), self.start.epochs);
        if done > asked {
            let rule = format!("at least {done}, which are done already");
            return Err(Error::argument("epochs of a training that is resumed", asked, &rule));
        }
        self.sums.go_on(&state.sums)?;
        self.steps = self.start.steps;
        self.submitted = self.steps;
        self.place = (state.epoch, state.batch);
        self.epoch = state.epoch;
        self.history.epochs = state.epochs;
        self.history.batch_losses = state.batch_losses;
        self.history.stopped_early = state.stopped;
        self.stop = state.stopped;
        self.restore = state.restore;
        self.seconds = state.seconds;
        self.make_room(state.callbacks.len());
        let remembered = state.callbacks.into_iter().zip(state.remembered);
        for (index, (said, remembered)) in remembered.enumerate() {
            if let Some(callback) = self.callbacks.get_mut(index) {
                callback.resume(&said)?;
            }
            if let (Some(values), Some(snapshot), Some(copy)) =
                (remembered, self.snapshots.get_mut(index), self.on_host.get_mut(index))
            {
                *snapshot = Some(self.trainee.remember_values(&values).await?);
                *copy = Some(values);
            }
        }
        // The epochs asked for may be others than before.
        for log in &mut self.history.epochs {
            log.epochs = self.start.epochs;
        }
        Ok(())
    }

    /// Has the present moment kept, after all that was submitted, while training goes on.
    pub(super) async fn capture(&mut self) -> Result<()> {
        self.finish_capture().await?;
        if !self.trainee.runs_ahead() {
            self.drain().await?;
        }
        self.trainee.capture().await?;
        let (epoch, batch) = self.place;
        let learning_rate = self.trainee.own_learning_rate();
        self.pending =
            Some(Pending { step: self.submitted, epoch, batch, learning_rate, fit: None });
        self.note_moment().await?;
        // What does not run ahead has the moment only until the next steps are submitted.
        if self.trainee.runs_ahead() { Ok(()) } else { self.hand_over().await }
    }

    /// Notes what `fit` knows at the moment that is on its way, when all results before it are here, and none
    /// after.
    pub(super) async fn note_moment(&mut self) -> Result<()> {
        let Some(pending) = &self.pending else { return Ok(()) };
        if pending.step != self.steps || pending.fit.is_some() {
            return Ok(());
        }
        for (snapshot, copy) in self.snapshots.iter().zip(&mut self.on_host) {
            if let (Some(snapshot), None) = (snapshot, &copy) {
                *copy = Some(self.trainee.remembered(snapshot).await?);
            }
        }
        let state = FitState {
            call: self.start.call,
            epoch: pending.epoch,
            batch: pending.batch,
            stopped: self.stop,
            sums: self.sums.so_far(),
            epochs: self.history.epochs.clone(),
            batch_losses: self.history.batch_losses.clone(),
            callbacks: self.callbacks.iter().map(|callback| callback.state()).collect(),
            remembered: self.on_host.clone(),
            restore: self.restore,
            seconds: self.seconds(),
        };
        if let Some(pending) = &mut self.pending {
            pending.fit = Some(state);
        }
        Ok(())
    }

    /// Gives the moment that is on its way to the keeper, waiting for it.
    pub(super) async fn finish_capture(&mut self) -> Result<()> {
        while self.pending.as_ref().is_some_and(|pending| pending.fit.is_none()) {
            let completed = self.trainee.wait().await.map_err(|error| self.locate(error))?;
            if completed.is_empty() {
                return Err(Error::bug("a moment is kept of steps that were never submitted"));
            }
            self.receive(completed).await?;
        }
        self.hand_over().await
    }

    /// Gives the moment to the keeper, if one is on its way of which all is known.
    pub(super) async fn hand_over(&mut self) -> Result<()> {
        let step = match &self.pending {
            Some(Pending { step, fit: Some(_), .. }) => *step,
            _ => return Ok(()),
        };
        let state = self.trainee.captured(step).await?;
        let Some(Pending { learning_rate, fit: Some(fit), .. }) = self.pending.take() else {
            return Err(Error::bug("a moment that is kept is not there"));
        };
        let begun = self.start.call;
        let progress = begun.progress.plus(step.saturating_sub(begun.steps));
        self.keeper.keep(Moment { state, progress, learning_rate, fit })
    }
}
