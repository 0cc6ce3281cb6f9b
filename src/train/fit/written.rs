//! When files of a training were written, for its timeline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Files of which it is kept when they were written, until that is asked for.
#[cfg(feature = "files")]
const MOST: usize = 1000;

/// A file that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FileWritten {
    /// The step after which it is.
    pub(crate) step: u64,
    pub(crate) begun: Instant,
    pub(crate) ended: Instant,
    pub(crate) bytes: u64,
}

/// Those of which nobody was told yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Written(Arc<Mutex<Vec<FileWritten>>>);

impl Written {
    #[cfg(feature = "files")]
    pub(super) fn note(&self, file: FileWritten) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody may ask; who does has the latest.
        let surplus = (files.len() + 1).saturating_sub(MOST);
        files.drain(..surplus);
        files.push(file);
    }

    pub(crate) fn take(&self) -> Vec<FileWritten> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
