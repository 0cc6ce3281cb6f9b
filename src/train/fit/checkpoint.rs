//! How often a training is kept, and in which folder.

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use std::path::PathBuf;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use std::thread::JoinHandle;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use std::time::Instant;

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use super::state::Moment;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use super::written::{FileWritten, Written};
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use crate::train::file::folder;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use crate::train::task::Task;
use crate::{Error, Result};

/// How often a training is kept. Counted are the steps and epochs of the model's life, so that a training
/// that goes on is kept at the same moments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Every {
    /// After so many steps.
    Steps(u64),
    /// After so many epochs.
    Epochs(u64),
}

impl Every {
    /// # Errors
    /// [`Error::Argument`] if it is never.
    pub(crate) fn check(self, what: &str) -> Result<()> {
        match self {
            Every::Steps(0) | Every::Epochs(0) => {
                Err(Error::argument(&format!("interval of {what}"), 0, "at least 1"))
            }
            _ => Ok(()),
        }
    }

    /// How many more steps after `step`.
    pub(super) fn steps_to_next(self, step: u64) -> Option<u64> {
        match self {
            Every::Steps(every) => Some(every - step.checked_rem(every)?),
            Every::Epochs(_) => None,
        }
    }

    pub(super) fn is_due_at_step(self, step: u64) -> bool {
        matches!(self, Every::Steps(every) if step.checked_rem(every) == Some(0))
    }

    pub(super) fn is_due_after_epoch(self, epochs: u64) -> bool {
        matches!(self, Every::Epochs(every) if epochs.checked_rem(every) == Some(0))
    }
}

/// Files of a training while it runs, from which it is [resumed](super::FitOptions::resume): each has the
/// model, the optimizer's state, the place in the epoch, the history so far, and what callbacks and early
/// stopping remember. Each is a [`ModelFile`](crate::train::ModelFile), too.
///
/// The device copies its numbers between two steps and trains on; a thread of its own writes the file, whole
/// or not at all. Callbacks hear of the next step when the file is on the disk: of what they have heard, never
/// more than one interval is lost.
///
/// ```no_run
/// use wgrad::prelude::*;
/// use wgrad::train::{Checkpoint, Every};
///
/// # async fn run(model: &mut Model, data: &Dataset) -> wgrad::Result<()> {
/// // Run again after a crash, it goes on from the last file, and comes to the same bits.
/// let checkpoint = Checkpoint::every(Every::Steps(500)).in_folder("checkpoints").keep(2);
/// let fit = FitOptions::new(100).checkpoint(checkpoint).resume("checkpoints");
/// let history = model.fit(data, fit).await?;
/// # Ok(())
/// # }
/// ```
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    every: Every,
    folder: PathBuf,
    keep: usize,
}

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
impl Checkpoint {
    /// A file so often, and one at the end, in the folder `checkpoints`, of which the last two stay.
    pub fn every(every: Every) -> Self {
        Self { every, folder: "checkpoints".into(), keep: 2 }
    }

    /// In this folder, which is made if it is not there. It is for one training at a time.
    pub fn in_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = folder.into();
        self
    }

    /// Keeps so many files, at least 1; older ones are removed.
    pub fn keep(mut self, files: usize) -> Self {
        self.keep = files;
        self
    }

    /// How often there is one.
    ///
    /// # Errors
    /// [`Error::Argument`] if it is never.
    pub(crate) fn interval(&self) -> Result<Every> {
        self.every.check("checkpoints").map(|()| self.every)
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// [`Error::Argument`] if nothing would ever be kept, [`Error::File`] if the folder cannot be made.
    pub(crate) fn open(self) -> Result<(Every, Folder)> {
        self.every.check("checkpoints")?;
        if self.keep == 0 {
            return Err(Error::argument("checkpoints to keep", self.keep, "at least 1"));
        }
        folder::make_folder(&self.folder)?;
        Ok((
            self.every,
            Folder {
                path: self.folder,
                keep: self.keep,
                writing: None,
                written: Written::default(),
            },
        ))
    }
}

/// Where checkpoints are written.
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    keep: usize,
    /// The file that is being written.
    writing: Option<JoinHandle<Result<()>>>,
    /// When others were.
    pub(super) written: Written,
}

#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
impl Folder {
    /// Has a moment written, when the one before is.
    pub(super) fn write(&mut self, task: &Task, moment: Moment) -> Result<()> {
        self.finish()?;
        let (task, path, keep) = (task.clone(), self.path.clone(), self.keep);
        let (written, step) = (self.written.clone(), moment.state.step);
        let write = move || {
            let begun = Instant::now();
            let bytes = folder::write_moment(&task, moment, &path, keep)?;
            written.note(FileWritten { step, begun, ended: Instant::now(), bytes });
            Ok(())
        };
        let thread = std::thread::Builder::new().name("wgrad checkpoint".into()).spawn(write);
        let thread = thread
            .map_err(|source| Error::Thread { purpose: "a checkpoint's file".into(), source })?;
        self.writing = Some(thread);
        Ok(())
    }

    /// Waits for the file that is being written.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.writing.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(written)) => written,
            Some(Err(_)) => Err(Error::bug("the thread that writes checkpoints panicked")),
        }
    }
}
