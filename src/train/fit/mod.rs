//! The training loop that most people need.

mod checkpoint;
mod keeper;
mod model;
mod moments;
mod run;
pub(crate) mod state;
mod survive;
mod validator;
mod wishes;
#[cfg(not(target_arch = "wasm32"))]
mod written;

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
pub use checkpoint::Checkpoint;
pub use checkpoint::Every;
pub(crate) use keeper::Keeper;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use model::split_last;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use run::{Completed, Run, Start, Trainee};
pub(crate) use state::Moment;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use state::{Call, Wishes};
pub use survive::Survive;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use survive::{end_all, is_device_lost, to_go_on};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use validator::Validator;
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use written::FileWritten;

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use std::path::PathBuf;

use super::callback::Callback;
use super::feed::Residency;
use super::figure::Figure;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use super::file::folder::last_moment;
use super::task::Task;
use crate::data::{AsData, Data};
use crate::nn::Metric;
use crate::{Error, Result};

/// Rows per step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchSize {
    /// So many; 1 is stochastic gradient descent in the strict sense.
    Rows(usize),
    /// All: full-batch gradient descent.
    Full,
}

/// How to train, a model or [lanes](crate::lanes::Parallel): the arguments of Keras's `fit`.
pub struct FitOptions<'a> {
    pub(crate) epochs: usize,
    /// Nothing where it was not said.
    pub(crate) batch: Option<BatchSize>,
    pub(crate) shuffle: Option<u64>,
    pub(crate) validation: Option<Validation<'a>>,
    /// Nothing where it was not said.
    pub(crate) residency: Option<Residency>,
    pub(crate) callbacks: Vec<&'a mut dyn Callback>,
    pub(crate) survive: Option<Survive<'a>>,
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub(crate) checkpoint: Option<Checkpoint>,
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub(crate) resume: Option<PathBuf>,
}

pub(crate) enum Validation<'a> {
    Data(Data<'a>),
    Split(f64),
}

impl<'a> FitOptions<'a> {
    /// Trains for `epochs` (more) epochs with batches of 32 rows, or of as many as lanes were laid out
    /// for, shuffled with seed 0.
    pub fn new(epochs: usize) -> Self {
        Self {
            epochs,
            batch: None,
            shuffle: Some(0),
            validation: None,
            residency: None,
            callbacks: Vec::new(),
            survive: None,
            #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
            checkpoint: None,
            #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
            resume: None,
        }
    }

    /// Rows per step. The last batch of an epoch has those that are left; where the data has fewer rows
    /// than one batch, that is all of them. Lanes are laid out for batches of one size, and take no other.
    pub fn batch_size(mut self, rows: usize) -> Self {
        self.batch = Some(BatchSize::Rows(rows));
        self
    }

    /// One step per epoch, over all rows.
    pub fn full_batch(mut self) -> Self {
        self.batch = Some(BatchSize::Full);
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

    /// Evaluates the model on `data`, a data set or a source, after every epoch. Of several calls of this and
    /// [`FitOptions::validation_split`], the last one counts.
    pub fn validation(mut self, data: &'a impl AsData) -> Self {
        self.validation = Some(Validation::Data(data.as_data()));
        self
    }

    /// Holds out the last `fraction` of the rows (of a source: of its [blocks](crate::data::Source::split_last)), before
    /// any shuffling, and evaluates on them. Lanes are
    /// laid out for all of their rows, and hold out none.
    pub fn validation_split(mut self, fraction: f64) -> Self {
        self.validation = Some(Validation::Split(fraction));
        self
    }

    /// Where the data lies; unless set [`Residency::Auto`], or as lanes were laid out.
    pub fn residency(mut self, residency: Residency) -> Self {
        self.residency = Some(residency);
        self
    }

    /// Adds a callback. Callbacks are called in the order in which they were added.
    pub fn callback(mut self, callback: &'a mut dyn Callback) -> Self {
        self.callbacks.push(callback);
        self
    }

    /// Goes on on a new device after the device was lost, or that of a lane.
    pub fn survive(mut self, survive: Survive<'a>) -> Self {
        self.survive = Some(survive);
        self
    }

    /// Writes files from which the training can be [resumed](FitOptions::resume) after the process has ended.
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub fn checkpoint(mut self, checkpoint: Checkpoint) -> Self {
        self.checkpoint = Some(checkpoint);
        self
    }

    /// Goes on from the newest [checkpoint](FitOptions::checkpoint) in this folder as if the training had
    /// never stopped: to the same bits, with the same history. Model, data and options must be those that it
    /// began with, except for the number of epochs and for how many lanes train under which schedule.
    /// Callbacks go on from what they say of themselves ([`Callback::state`]). Where there is no checkpoint yet,
    /// the training begins.
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub fn resume(mut self, folder: impl Into<PathBuf>) -> Self {
        self.resume = Some(folder.into());
        self
    }

    /// What keeps moments of a training of `task`, and that from which it goes on. Where another process writes
    /// them, there is nothing but the moments at which it does.
    ///
    /// # Errors
    /// [`Error::Argument`] if nothing would ever be kept, or another training lies in the folder;
    /// [`Error::File`] and [`Error::ModelFile`].
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub(crate) fn kept(&mut self, task: &Task, writes: bool) -> Result<(Keeper, Option<Moment>)> {
        let resumed = match self.resume.take() {
            Some(folder) => last_moment(task, &folder)?,
            None => None,
        };
        let keeper = self.keeper()?;
        if let (Some(checkpoint), false) = (&self.checkpoint, writes) {
            return Ok((keeper.keeping_time(checkpoint.interval()?), resumed));
        }
        Ok(match self.checkpoint.take().map(Checkpoint::open).transpose()? {
            Some((every, folder)) => (keeper.writing(every, folder, task.clone()), resumed),
            None => (keeper, resumed),
        })
    }

    /// Without files a moment is kept in memory at most.
    #[cfg(not(all(feature = "files", not(target_arch = "wasm32"))))]
    pub(crate) fn kept(&mut self, _task: &Task, _writes: bool) -> Result<(Keeper, Option<Moment>)> {
        Ok((self.keeper()?, None))
    }

    /// What keeps moments in memory.
    fn keeper(&self) -> Result<Keeper> {
        Ok(match &self.survive {
            Some(survive) => {
                survive.every.check("copies to the host")?;
                Keeper::default().remembering(survive.every)
            }
            None => Keeper::default(),
        })
    }

    /// The figures that every epoch will have, of a task with these metrics.
    ///
    /// # Errors
    /// [`Error::Argument`] if there is no epoch, or a callback watches a figure that none will have.
    pub(crate) fn figures(&self, metrics: &[Metric]) -> Result<Vec<Figure>> {
        if self.epochs == 0 {
            return Err(Error::argument("epochs", 0, "at least 1"));
        }
        let figures = Figure::all(metrics, self.validation.is_some());
        for name in self.callbacks.iter().filter_map(|callback| callback.figure()) {
            Figure::among(&figures, "figure that a callback watches", name)?;
        }
        Ok(figures)
    }
}
