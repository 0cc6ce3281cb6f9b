//! Callbacks: code of the user's that runs while a model trains.

use std::pin::Pin;

use super::figure::Figure;
use super::history::EpochLog;
use crate::nn::Metric;
use crate::{Error, Result};

/// A call of `fit`, as it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainLog {
    /// Epochs asked for.
    pub epochs: usize,
    /// Batches in an epoch.
    pub batches: usize,
    /// Steps completed before, since the model was compiled.
    pub step: u64,
    /// η of the first step.
    pub learning_rate: f32,
    /// The figures that every epoch will have.
    pub figures: Vec<Figure>,
}

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
    /// Metrics over the epoch's rows so far. R² is known only after the last batch.
    pub metrics: Vec<(Metric, f64)>,
}

/// What a callback wants to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Signal {
    /// Go on.
    #[default]
    Continue,
    /// Remember the present weights for this callback, on the device (those of lanes on the host), and go
    /// on. Not after a batch: during an epoch the device is ahead of the host.
    Remember,
    /// Read the present weights and give them to [`Callback::on_weights`]. Not after a batch, either.
    ShowWeights,
    /// Await what [`Callback::wait`] gives, and do then what it came to: for what takes its time, such as an
    /// upload or a question to a user. The device has nothing to do meanwhile.
    Wait,
    /// Train with this learning rate from the next step on that is not submitted yet, as
    /// [`Model::set_learning_rate`](super::Model::set_learning_rate) does.
    LearningRate(f32),
    /// End training.
    Stop,
    /// End training, and then put this callback's remembered weights back (if any). Where several
    /// callbacks ask for theirs, the last to ask has its way.
    RestoreAndStop,
}

/// What can be sent to another thread natively, so that the future of [`Model::fit`](super::Model::fit) can
/// be spawned on any executor; anything in a browser, which has one thread and callbacks that hold values of
/// JavaScript.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// Anything; natively what can be sent to another thread.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// What training waits for when a callback says [`Signal::Wait`].
#[cfg(not(target_arch = "wasm32"))]
pub type Wait<'a> = Pin<Box<dyn Future<Output = Signal> + Send + 'a>>;
/// What training waits for when a callback says [`Signal::Wait`].
#[cfg(target_arch = "wasm32")]
pub type Wait<'a> = Pin<Box<dyn Future<Output = Signal> + 'a>>;

/// Code that runs while a model trains, on a device or over lanes. Batches are reported in order, but
/// late: the device runs ahead of the host by up to four submissions, a lane by two steps.
///
/// A callback may be used for one `fit` after another; what it remembers of the last one it should
/// forget in [`Callback::on_train_begin`]. This one halves the learning rate whenever the loss has not
/// fallen for two epochs:
///
/// ```
/// use wgrad::prelude::*;
///
/// #[derive(Default)]
/// struct HalveOnPlateau {
///     best: f64,
///     waited: u32,
/// }
///
/// impl Callback for HalveOnPlateau {
///     fn on_train_begin(&mut self, _: &TrainLog) -> Result<(), Error> {
///         *self = Self { best: f64::INFINITY, waited: 0 };
///         Ok(())
///     }
///
///     fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
///         if log.loss < self.best {
///             *self = Self { best: log.loss, waited: 0 };
///             return Signal::Continue;
///         }
///         self.waited += 1;
///         if self.waited < 2 {
///             return Signal::Continue;
///         }
///         self.waited = 0;
///         Signal::LearningRate(log.learning_rate / 2.0)
///     }
/// }
/// ```
pub trait Callback: MaybeSend {
    /// The figure it watches, if it watches one: `fit` refuses a name that no epoch will have.
    fn figure(&self) -> Option<&str> {
        None
    }

    /// Before the first step of a `fit`.
    ///
    /// # Errors
    /// Whatever keeps it from watching this training; then nothing is trained, and `fit` says why.
    fn on_train_begin(&mut self, _log: &TrainLog) -> Result<()> {
        Ok(())
    }

    /// After a batch's results have arrived.
    fn on_batch_end(&mut self, _log: &BatchLog) -> Signal {
        Signal::Continue
    }

    /// After an epoch, and after its validation.
    fn on_epoch_end(&mut self, _log: &EpochLog) -> Signal {
        Signal::Continue
    }

    /// After it has asked for them by [`Signal::ShowWeights`]: names and values of all parameters.
    fn on_weights(&mut self, _weights: &[(String, Vec<f32>)]) -> Signal {
        Signal::Continue
    }

    /// What training waits for after it has said [`Signal::Wait`].
    fn wait(&mut self) -> Wait<'_> {
        Box::pin(std::future::ready(Signal::Continue))
    }

    /// What it needs to go on in the middle of this training, later or in another process: figures as text.
    /// Weights that it [remembers](Signal::Remember) are kept besides.
    fn state(&self) -> String {
        String::new()
    }

    /// Goes on from what [`Callback::state`] said, after [`Callback::on_train_begin`].
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it never says such a thing.
    fn resume(&mut self, _state: &str) -> Result<()> {
        Ok(())
    }

    /// After the device was lost, before the training goes on on another; see
    /// [`FitOptions::survive`](super::FitOptions::survive). The batches since `step` steps were completed are
    /// reported again.
    fn on_device_lost(&mut self, _error: &Error, _step: u64) {}

    /// When training has ended, however it did: after the last epoch, by a callback, or by an error.
    /// The present weights are still those of the last step: remembered ones are put back afterwards.
    fn on_train_end(&mut self) -> Signal {
        Signal::Continue
    }
}

/// Watches a figure for improvement.
#[derive(Clone, Debug)]
pub(super) struct Watch {
    pub(super) name: String,
    best: Option<f64>,
    pub(super) margin: f64,
}

impl Watch {
    pub(super) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), best: None, margin: 0.0 }
    }

    /// Forgets the last training. Whether this one has the figure, `fit` sees to.
    pub(super) fn begin(&mut self) -> Result<()> {
        self.best = None;
        if !(self.margin >= 0.0 && self.margin.is_finite()) {
            return Err(Error::argument("min_delta", self.margin, "0 or more, and finite"));
        }
        Ok(())
    }

    fn state(&self) -> String {
        self.best.map_or(NO_BEST.into(), |best| best.to_string())
    }

    fn resume(&mut self, state: &str) -> Result<()> {
        let number = || state.parse().map_err(|_| unknown_state(state));
        self.best = if state == NO_BEST { None } else { Some(number()?) };
        Ok(())
    }

    /// Its state, and for how many epochs it has waited for a better figure.
    pub(super) fn state_waiting(&self, waited: usize) -> String {
        format!("{waited} {}", self.state())
    }

    /// The epochs that it has waited, of such a state, which it takes.
    pub(super) fn resume_waiting(&mut self, state: &str) -> Result<usize> {
        let parts = state.split_once(' ');
        let parts = parts.and_then(|(waited, best)| Some((waited.parse().ok()?, best)));
        let (waited, best) = parts.ok_or_else(|| unknown_state(state))?;
        self.resume(best).map(|()| waited)
    }

    /// Whether the epoch is the best so far. It is not if the figure is NaN or as bad as can be
    /// (an infinite loss), or if it is unknown.
    pub(super) fn improves(&mut self, log: &EpochLog) -> bool {
        let Ok(figure) = Figure::among(&log.figures(), "figure", &self.name) else { return false };
        let (Some(value), direction) = (log.figure(figure), figure.direction()) else {
            return false;
        };
        let better = match self.best {
            Some(best) => direction.is_better(value, best, self.margin),
            None => direction.is_better(value, direction.worst(), 0.0),
        };
        if better {
            self.best = Some(value);
        }
        better
    }
}

/// What stands for a best figure that is not there yet.
const NO_BEST: &str = "none";

fn unknown_state(state: &str) -> Error {
    let rule = "what it said of itself; give the callbacks that the training began with";
    Error::argument("a callback's state", format!("'{state}'"), rule)
}

/// Ends training when a figure has not improved for some epochs, and leaves the model with the weights
/// of the best one, also where training ends otherwise. An epoch whose figure is NaN is never the best;
/// where all are, the weights stay those of the last step.
#[derive(Clone, Debug)]
pub struct EarlyStopping {
    watch: Watch,
    patience: usize,
    waited: usize,
}

impl EarlyStopping {
    /// Watches the figure `name` (`val_loss`, `accuracy`, …; see [`Figure`]) and stops after
    /// `patience` epochs in a row without improvement, which are at least 1.
    pub fn new(name: impl Into<String>, patience: usize) -> Self {
        Self { watch: Watch::new(name), patience, waited: 0 }
    }

    /// The least change that counts as an improvement, 0 or more.
    pub fn min_delta(mut self, margin: f64) -> Self {
        self.watch.margin = margin;
        self
    }

    /// The best figure of the training at hand, or of the last one.
    pub fn best(&self) -> Option<f64> {
        self.watch.best
    }
}

impl Callback for EarlyStopping {
    fn figure(&self) -> Option<&str> {
        Some(&self.watch.name)
    }

    fn on_train_begin(&mut self, _log: &TrainLog) -> Result<()> {
        self.waited = 0;
        if self.patience == 0 {
            let rule = "at least 1: with 1 the first epoch without improvement ends training";
            return Err(Error::argument("patience", self.patience, rule));
        }
        self.watch.begin()
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if self.watch.improves(log) {
            self.waited = 0;
            return Signal::Remember;
        }
        self.waited = self.waited.saturating_add(1);
        if self.waited >= self.patience { Signal::RestoreAndStop } else { Signal::Continue }
    }

    fn state(&self) -> String {
        self.watch.state_waiting(self.waited)
    }

    fn resume(&mut self, state: &str) -> Result<()> {
        self.waited = self.watch.resume_waiting(state)?;
        Ok(())
    }

    fn on_train_end(&mut self) -> Signal {
        Signal::RestoreAndStop
    }
}

/// Leaves the model with the weights of its best epoch, however training ends. An epoch whose figure
/// is NaN is never the best; where all are, the weights stay those of the last step.
#[derive(Clone, Debug)]
pub struct KeepBest {
    watch: Watch,
}

impl KeepBest {
    /// Watches the figure `name`; see [`Figure`].
    pub fn new(name: impl Into<String>) -> Self {
        Self { watch: Watch::new(name) }
    }

    /// The best figure of the training at hand, or of the last one.
    pub fn best(&self) -> Option<f64> {
        self.watch.best
    }
}

impl Callback for KeepBest {
    fn figure(&self) -> Option<&str> {
        Some(&self.watch.name)
    }

    fn on_train_begin(&mut self, _log: &TrainLog) -> Result<()> {
        self.watch.begin()
    }

    fn on_epoch_end(&mut self, log: &EpochLog) -> Signal {
        if self.watch.improves(log) { Signal::Remember } else { Signal::Continue }
    }

    fn state(&self) -> String {
        self.watch.state()
    }

    fn resume(&mut self, state: &str) -> Result<()> {
        self.watch.resume(state)
    }

    fn on_train_end(&mut self) -> Signal {
        Signal::RestoreAndStop
    }
}
