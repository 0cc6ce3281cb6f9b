//! Where a call of `fit` stands, beside the model itself: what it needs to go on as if it had never stopped.

use crate::data::Data;
use crate::train::callback::Signal;
use crate::train::history::EpochLog;
use crate::train::progress::Progress;
use crate::train::state::TrainingState;
use crate::train::sums::SumsSoFar;
use crate::{Error, Result};

/// A moment of a training, between two steps.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    /// Parameters, the optimizer's state and the step.
    pub(crate) state: TrainingState,
    pub(crate) progress: Progress,
    /// η of every step to come, if it was set by hand.
    pub(crate) learning_rate: Option<f32>,
    pub(crate) fit: FitState,
}

/// What callbacks wanted at an epoch's end, by their numbers, and how things stand since.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Wishes {
    pub(crate) signals: Vec<(usize, Signal)>,
    pub(crate) stop: bool,
    /// The callback whose remembered weights are put back at the end.
    pub(crate) restore: Option<usize>,
}

/// What a call of `fit` knows beside the model. Numbers in large numbers stand apart from the rest in a file.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct FitState {
    pub(crate) call: Call,
    /// The epoch at hand, from 1 in this call; one more than it has when all are over.
    pub(crate) epoch: usize,
    /// Batches of it that are done.
    pub(crate) batch: usize,
    /// Whether a callback ended the training.
    pub(crate) stopped: bool,
    /// Sums over the rows of the epoch so far.
    pub(crate) sums: SumsSoFar,
    pub(crate) epochs: Vec<EpochLog>,
    #[cfg_attr(feature = "files", serde(skip))]
    pub(crate) batch_losses: Vec<f32>,
    /// What each callback has said of itself.
    pub(crate) callbacks: Vec<String>,
    /// The weights that each callback remembers.
    #[cfg_attr(feature = "files", serde(skip))]
    pub(crate) remembered: Vec<Option<Vec<Vec<f32>>>>,
    /// The callback whose weights are put back at the end.
    pub(crate) restore: Option<usize>,
    pub(crate) seconds: f64,
}

/// What makes a call of `fit` the same call.
#[cfg_attr(feature = "files", derive(serde::Serialize, serde::Deserialize))]
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Call {
    /// Steps completed when it began.
    pub(crate) steps: u64,
    /// Where it began among the epochs, and over which rows.
    pub(crate) progress: Progress,
    pub(crate) shuffle: Option<u64>,
    /// Checksum of the rows that are validated.
    pub(crate) validation: Option<u64>,
}

impl Call {
    /// # Errors
    /// If rows of a source that is validated cannot be read.
    pub(crate) fn new(
        steps: u64,
        progress: Progress,
        shuffle: Option<u64>,
        validation: Option<Data<'_>>,
    ) -> Result<Self> {
        let validation = validation.map(Data::checksum).transpose()?;
        Ok(Self { steps, progress, shuffle, validation })
    }

    /// # Errors
    /// [`Error::Argument`] naming the first thing in which `other`, a call that goes on, is not this one.
    fn check(&self, other: &Self) -> Result<()> {
        let differs = |what: &str, found: String, rule: &str| {
            let rule = format!(
                "{rule}; go on with what the training began with, or begin anew in another folder"
            );
            Err(Error::argument(&format!("{what} of a training that is resumed"), found, &rule))
        };
        if !self.progress.is_over_course_of(&other.progress) {
            return differs(
                "data",
                "another, or in other batches".into(),
                "the rows and the batch size it had",
            );
        }
        let order =
            |seed: Option<u64>| seed.map_or("in order".into(), |seed| format!("seed {seed}"));
        if self.shuffle != other.shuffle {
            return differs("order of rows", order(other.shuffle), &order(self.shuffle));
        }
        let rows = |sum: Option<u64>| match sum {
            Some(_) => "rows",
            None => "none",
        };
        if self.validation != other.validation {
            let rule = format!("the {} it had", rows(self.validation));
            return differs("validation", format!("other {}", rows(other.validation)), &rule);
        }
        Ok(())
    }
}

impl FitState {
    /// # Errors
    /// [`Error::Argument`] naming the first thing in which a call with `callbacks` callbacks that goes on is
    /// not the one that was broken off.
    pub(crate) fn check(&self, call: &Call, callbacks: usize) -> Result<()> {
        self.call.check(call)?;
        if self.callbacks.len() != callbacks {
            let rule = format!("{}, as it had, in their order", self.callbacks.len());
            return Err(Error::argument(
                "callbacks of a training that is resumed",
                callbacks,
                &rule,
            ));
        }
        Ok(())
    }
}
