//! Callbacks: code of the user's that runs while a model trains.

use super::history::EpochLog;
use crate::nn::Metric;

/// One batch, with the epoch so far.
#[derive(Clone, Debug, PartialEq)]
pub struct BatchLog {
    /// Number of the epoch, from 1.
    pub epoch: usize,
    /// Number of the batch in the epoch, from 1.
    pub batch: usize,
    /// Batches in the epoch.
    pub batches: usize,
    /// Steps completed, this one included, since the model was compiled.
    pub step: u64,
    /// Mean loss of this batch.
    pub loss: f32,
    /// Mean loss over the epoch's rows so far.
    pub epoch_loss: f64,
    /// Metrics over the epoch's rows so far. R² is only known at an epoch's end.
    pub metrics: Vec<(Metric, f64)>,
}

/// What a callback wants to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Signal {
    /// Go on.
    #[default]
    Continue,
    /// Remember the present weights for this callback, on the device, and go on. Only at an
    /// epoch's end: during an epoch the device is ahead of the host.
    Remember,
    /// End training.
    Stop,
    /// End training, and then put this callback's remembered weights back (if any). Where several
    /// callbacks ask for theirs, the last to ask has its way.
    RestoreAndStop,
}

/// Code that runs while a model trains. Batches are reported in order, but late: the device runs
/// ahead of the host by up to four submissions.
pub trait Callback {
    /// The figure it watches, if it watches one: `fit` refuses a name that no epoch will have.
    fn figure(&self) -> Option<&str> {
        None
    }

    /// After a batch's results have arrived.
    fn on_batch_end(&mut self, _log: &BatchLog) -> Signal {
        Signal::Continue
    }

    /// After an epoch, and after its validation.
    fn on_epoch_end(&mut self, _log: &EpochLog) -> Signal {
        Signal::Continue
    }

    /// When training has ended, however it did: after the last epoch, by a callback, or by an error.
    fn on_train_end(&mut self) -> Signal {
        Signal::Continue
    }
}

/// Whether a larger or a smaller figure is better.
fn is_better(name: &str, value: f64, best: f64, margin: f64) -> bool {
    let larger = name.ends_with("accuracy") || name.ends_with("r_squared");
    if larger { value > best + margin } else { value < best - margin }
}

/// Watches a figure for improvement.
#[derive(Clone, Debug)]
struct Watch {
    name: String,
    best: Option<f64>,
    margin: f64,
}

impl Watch {
    fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), best: None, margin: 0.0 }
    }

    /// Whether the epoch is the best so far; an unknown figure never is.
    fn improves(&mut self, log: &EpochLog) -> bool {
        let Some(value) = log.value(&self.name) else { return false };
        let better = self.best.is_none_or(|best| is_better(&self.name, value, best, self.margin));
        if better {
            self.best = Some(value);
        }
        better
    }
}

/// Ends training when a figure has not improved for some epochs, and leaves the model with the weights
/// of the best one, also where training ends otherwise.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    watch: Watch,
    patience: usize,
    waited: usize,
}

impl EarlyStopping {
    /// Watches the figure `name` (`val_loss`, `accuracy`, …; see [`EpochLog::value`]) and stops
    /// after `patience` epochs in a row without improvement.
    pub fn new(name: impl Into<String>, patience: usize) -> Self {
        Self { watch: Watch::new(name), patience, waited: 0 }
    }

    /// The least change that counts as an improvement.
    pub fn min_delta(mut self, margin: f64) -> Self {
        self.watch.margin = margin;
        self
    }
}

impl Callback for EarlyStopping {
    fn figure(&self) -> Option<&str> {
        Some(&self.watch.name)
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if self.watch.improves(log) {
            self.waited = 0;
            return Signal::Remember;
        }
        self.waited += 1;
        if self.waited >= self.patience { Signal::RestoreAndStop } else { Signal::Continue }
    }

    fn on_train_end(&mut self) -> Signal {
        Signal::RestoreAndStop
    }
}

/// Leaves the model with the weights of its best epoch, however training ends.
#[derive(Clone, Debug)]
pub struct KeepBest {
    watch: Watch,
}

impl KeepBest {
    /// Watches the figure `name`; see [`EpochLog::value`].
    pub fn new(name: impl Into<String>) -> Self {
        Self { watch: Watch::new(name) }
    }

    /// The best figure so far.
    pub fn best(&self) -> Option<f64> {
        self.watch.best
    }
}

impl Callback for KeepBest {
    fn figure(&self) -> Option<&str> {
        Some(&self.watch.name)
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if self.watch.improves(log) { Signal::Remember } else { Signal::Continue }
    }

    fn on_train_end(&mut self) -> Signal {
        Signal::RestoreAndStop
    }
}
