//! A smaller learning rate when a figure improves no more.

use super::callback::{Callback, Signal, TrainLog, Watch};
use super::history::EpochLog;
use crate::{Error, Result};

/// Lowers the learning rate when a figure has not improved for some epochs, as Keras's `ReduceLROnPlateau`
/// does: from the next step on it is the last one times a factor, whatever the optimizer's schedule says.
///
/// ```
/// use wgrad::train::{FitOptions, ReduceOnPlateau};
/// let mut plateau = ReduceOnPlateau::new("val_loss", 5).factor(0.5).floor(1e-5);
/// let fit = FitOptions::new(100).validation_split(0.2).callback(&mut plateau);
/// ```
#[derive(Clone, Debug)]
pub struct ReduceOnPlateau {
    watch: Watch,
    patience: usize,
    waited: usize,
    factor: f32,
    floor: f32,
}

impl ReduceOnPlateau {
    /// Watches the figure `name` (see [`Figure`](super::Figure)) and takes a tenth of the learning rate after
    /// `patience` epochs in a row without improvement, which are at least 1.
    pub fn new(name: impl Into<String>, patience: usize) -> Self {
        Self { watch: Watch::new(name), patience, waited: 0, factor: 0.1, floor: 0.0 }
    }

    /// What the learning rate is multiplied by: above 0 and below 1.
    pub fn factor(mut self, factor: f32) -> Self {
        self.factor = factor;
        self
    }

    /// The smallest learning rate that it sets, 0 or more.
    pub fn floor(mut self, rate: f32) -> Self {
        self.floor = rate;
        self
    }

    /// The least change that counts as an improvement, 0 or more.
    pub fn min_delta(mut self, margin: f64) -> Self {
        self.watch.margin = margin;
        self
    }
}

impl Callback for ReduceOnPlateau {
    fn figure(&self) -> Option<&str> {
        Some(&self.watch.name)
    }

    fn on_train_begin(&mut self, _log: &TrainLog) -> Result<()> {
        self.waited = 0;
        if self.patience == 0 {
            return Err(Error::argument("patience", self.patience, "at least 1"));
        }
        if !(self.factor > 0.0 && self.factor < 1.0) {
            return Err(Error::argument("factor", self.factor, "above 0 and below 1"));
        }
        if !(self.floor >= 0.0 && self.floor.is_finite()) {
            return Err(Error::argument("floor", self.floor, "0 or more, and finite"));
        }
        self.watch.begin()
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if self.watch.improves(log) {
            self.waited = 0;
            return Signal::Continue;
        }
        self.waited = self.waited.saturating_add(1);
        if self.waited < self.patience {
            return Signal::Continue;
        }
        self.waited = 0;
        let rate = (log.learning_rate * self.factor).max(self.floor);
        // A rate of 0 is none: products may be too small for a number.
        match rate > 0.0 && rate < log.learning_rate {
            true => Signal::LearningRate(rate),
            false => Signal::Continue,
        }
    }

    fn state(&self) -> String {
        self.watch.state_waiting(self.waited)
    }

    fn resume(&mut self, state: &str) -> Result<()> {
        self.waited = self.watch.resume_waiting(state)?;
        Ok(())
    }
}
