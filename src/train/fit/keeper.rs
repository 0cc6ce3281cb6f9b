//! Keeping moments of a training, to go on from them.

use super::checkpoint::Every;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use super::checkpoint::Folder;
use super::state::{FitState, Moment};
#[cfg(not(target_arch = "wasm32"))]
use super::written::Written;
use crate::Result;
#[cfg(all(feature = "files", not(target_arch = "wasm32")))]
use crate::train::task::Task;

/// A moment whose parameters are on their way to the host.
#[derive(Debug)]
pub(super) struct Pending {
    /// The step after which it is.
    pub(super) step: u64,
    /// The epoch that goes on, and its batches that are done.
    pub(super) epoch: usize,
    pub(super) batch: usize,
    pub(super) learning_rate: Option<f32>,
    /// What `fit` knows at that moment, once all results before it are here.
    pub(super) fit: Option<FitState>,
}

/// Says when a moment is kept, and keeps it.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    every: Vec<Every>,
    /// Whether the last moment stays in memory.
    remembers: bool,
    pub(crate) last: Option<Moment>,
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    folder: Option<(Folder, Task)>,
}

impl Keeper {
    /// Keeps the last moment in memory, and one so often.
    pub(crate) fn remembering(mut self, every: Every) -> Self {
        self.every.push(every);
        self.remembers = true;
        self
    }

    /// Writes moments of a training of `task` into a folder, and one so often.
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub(crate) fn writing(mut self, every: Every, folder: Folder, task: Task) -> Self {
        self.every.push(every);
        self.folder = Some((folder, task));
        self
    }

    /// Comes to the moments at which another process writes one.
    #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
    pub(crate) fn keeping_time(mut self, every: Every) -> Self {
        self.every.push(every);
        self
    }

    /// When its files were written, if it writes such.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn written(&self) -> Option<Written> {
        #[cfg(feature = "files")]
        return self.folder.as_ref().map(|(folder, _)| folder.written.clone());
        #[cfg(not(feature = "files"))]
        None
    }

    /// Whether the last moment stays in memory.
    pub(super) fn remembers(&self) -> bool {
        self.remembers
    }

    /// Whether anything is kept.
    pub(super) fn keeps(&self) -> bool {
        !self.every.is_empty()
    }

    /// How many more steps after `step` until a moment is kept within an epoch.
    pub(super) fn steps_to_next(&self, step: u64) -> Option<u64> {
        self.every.iter().filter_map(|every| every.steps_to_next(step)).min()
    }

    /// Whether one is kept after `step` steps, within an epoch.
    pub(super) fn is_due(&self, step: u64) -> bool {
        self.every.iter().any(|every| every.is_due_at_step(step))
    }

    /// Whether one is kept after so many epochs and steps, at the end of an epoch.
    pub(super) fn is_due_after_epoch(&self, epochs: u64, step: u64) -> bool {
        self.is_due(step) || self.every.iter().any(|every| every.is_due_after_epoch(epochs))
    }

    /// Keeps a moment. Files are written by a thread of their own; the one before is waited for.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the file of the moment before could not be written.
    pub(super) fn keep(&mut self, moment: Moment) -> Result<()> {
        #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
        if let Some((folder, task)) = &mut self.folder {
            folder.write(task, moment.clone())?;
        }
        if self.remembers {
            self.last = Some(moment);
        }
        Ok(())
    }

    /// Waits until all is on the disk.
    ///
    /// # Errors
    /// [`Error::File`](crate::Error::File) if the last file could not be written.
    pub(super) fn finish(&mut self) -> Result<()> {
        #[cfg(all(feature = "files", not(target_arch = "wasm32")))]
        if let Some((folder, _)) = &mut self.folder {
            folder.finish()?;
        }
        Ok(())
    }
}
