//! When files of a training were written, for its timeline.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Files of which it is kept when they were written, where nobody has said to ask for it.
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
pub(crate) struct Written(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    files: Vec<FileWritten>,
    /// Whether somebody will ask.
    all: bool,
}

impl Written {
    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(feature = "files")]
    pub(super) fn note(&self, file: FileWritten) {
        let mut noted = self.noted();
        if !noted.all {
            let surplus = (noted.files.len() + 1).saturating_sub(MOST);
            noted.files.drain(..surplus);
        }
        noted.files.push(file);
    }

    /// Keeps all from now on, however many, for somebody who will [take](Self::take) them.
    pub(crate) fn keep_all(&self) {
        self.noted().all = true;
    }

    pub(crate) fn take(&self) -> Vec<FileWritten> {
        std::mem::take(&mut self.noted().files)
    }
}

#[cfg(all(test, feature = "files"))]
mod tests {
    use super::*;

    #[test]
    fn who_asks_has_all_files() {
        let now = Instant::now();
        let note = |written: &Written| {
            (0..1500).for_each(|step| {
                written.note(FileWritten { step, begun: now, ended: now, bytes: 1 });
            });
        };
        let steps = |written: &Written| -> Vec<u64> {
            written.take().iter().map(|file| file.step).collect()
        };
        let written = Written::default();
        note(&written);
        assert_eq!(steps(&written), (500..1500).collect::<Vec<_>>());
        written.keep_all();
        note(&written.clone());
        assert_eq!(steps(&written), (0..1500).collect::<Vec<_>>());
    }
}
