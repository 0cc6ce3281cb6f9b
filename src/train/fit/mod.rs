//! The training loop that most people need.

mod model;
mod run;

#[cfg(not(target_arch = "wasm32"))]
pub(crate) use run::{Completed, Run, Start, Trainee, Validator};

use super::callback::Callback;
use super::feed::Residency;
use super::figure::Figure;
use crate::data::{Dataset, permutation};
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
}

pub(crate) enum Validation<'a> {
    Data(&'a Dataset),
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

    /// Evaluates the model on `data` after every epoch. Of several calls of this and
    /// [`FitOptions::validation_split`], the last one counts.
    pub fn validation(mut self, data: &'a Dataset) -> Self {
        self.validation = Some(Validation::Data(data));
        self
    }

    /// Holds out the last `fraction` of the rows, before any shuffling, and evaluates on them. Lanes are
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

/// The order in which `fit` draws `rows` rows in epoch `epoch` of a model's life, counted from 0 over
/// all calls of `fit`.
pub fn epoch_order(rows: usize, seed: u64, epoch: u64) -> Vec<u32> {
    // The constant spreads neighbouring seeds (Steele et al., 2014).
    permutation(rows, seed.wrapping_add(epoch.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
}
