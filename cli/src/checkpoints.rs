//! What a training leaves behind when its process is killed, and how the same command goes on from it: a
//! folder beside the model, with a folder for each of the trainings that a command is made of.

use std::cell::Cell;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use wgrad::train::{Checkpoint, Every, FitOptions};

use crate::failure::{Failure, Outcome};

/// Multiply-adds between two files: seconds of a processor, less of a GPU. A small table has none but those at
/// the end of each training.
const WORK_BETWEEN: u64 = 1 << 37;

/// How the files of a training begin, and how those that are whole end.
const FILES: &str = "step-";
const WHOLE: &str = ".wgrad";

/// Times that a folder is entered which others remove meanwhile.
const TRIES: usize = 100;

/// Locked by the command that is at work in the folder. When its process ends, however it does, the system unlocks
/// it.
const LOCK: &str = ".wgrad-lock";

/// There while the trainings are removed, so that what is left of them is never gone on with.
const REMOVED: &str = ".wgrad-removed";

/// Where a command keeps its trainings.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
    /// What else can be done where another command is at work.
    instead: &'static str,
    /// Held while the command is at work here.
    lock: Option<File>,
    /// Epochs from file to file, if they were said.
    every: Option<u64>,
    /// Whether what is there is gone on with.
    resumes: bool,
    /// Trainings that were begun.
    begun: Cell<usize>,
}

impl Checkpoints {
    /// Those of the command that makes `model`.
    pub fn beside(model: &Path, every: Option<u64>, resumes: bool) -> Self {
        let mut folder = model.as_os_str().to_owned();
        folder.push(".checkpoints");
        Self::new(folder.into(), ", or choose another file by --output", every, resumes)
    }

    /// Those in a folder, to go on with.
    pub fn in_folder(folder: PathBuf, every: Option<u64>) -> Self {
        Self::new(folder, "", every, true)
    }

    fn new(folder: PathBuf, instead: &'static str, every: Option<u64>, resumes: bool) -> Self {
        Self { folder, instead, lock: None, every, resumes, begun: Cell::new(0) }
    }

    /// Keeps other commands out, and finishes what one that was killed had begun to remove; what must be said.
    ///
    /// # Errors
    /// If another command is at work here; those of the disk.
    pub fn enter(&mut self) -> Outcome<Option<String>> {
        let path = self.folder.join(LOCK);
        let here =
            |error| Failure::that_may_pass(format!("{}: cannot be used: {error}", path.display()));
        let mut note = None;
        for _ in 0..TRIES {
            fs::create_dir_all(&self.folder).map_err(here)?;
            let opened = OpenOptions::new().create(true).append(true).open(&path);
            let file = match opened {
                // The command that was here removed the folder.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                opened => opened.map_err(here)?,
            };
            match file.try_lock() {
                // Nor does a lock on a file count that was removed meanwhile.
                Ok(()) if !is_at(&file, &path).map_err(here)? => {}
                Ok(()) => self.lock = Some(file),
                Err(TryLockError::WouldBlock) => {
                    return Err(Failure::that_may_pass(format!(
                        "{}: another command is training this model; wait for its end{}",
                        self.folder.display(),
                        self.instead
                    )));
                }
                Err(TryLockError::Error(error)) => {
                    note = Some(format!(
                        "note: {} cannot be locked ({error}); let no other command train this model meanwhile",
                        path.display()
                    ));
                    self.lock = Some(file);
                }
            }
            if self.lock.is_some() {
                break;
            }
        }
        if self.lock.is_none() {
            return Err(Failure::new(format!(
                "{}: cannot be locked: others removed it {TRIES} times; wait for the end of other commands",
                path.display()
            )));
        }
        if self.folder.join(REMOVED).exists() {
            self.clear()?;
        }
        Ok(note)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether there is a moment to go on from. A command that was killed before the first leaves a folder without
    /// files, or with one that is not whole.
    pub fn are_there(&self) -> bool {
        let of_training = |entry: fs::DirEntry| {
            let name = entry.file_name();
            name.to_str().is_some_and(|name| name.starts_with(FILES) && name.ends_with(WHOLE))
        };
        fs::read_dir(self.of_training(0))
            .is_ok_and(|mut entries| entries.any(|entry| entry.is_ok_and(of_training)))
    }

    fn of_training(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Has the next training of the command kept, and gone on with where that is wanted and it is there. An epoch of
    /// it is `work` multiply-adds.
    pub fn keep<'a>(&self, options: FitOptions<'a>, work: u64) -> FitOptions<'a> {
        let folder = self.of_training(self.begun.get());
        self.begun.set(self.begun.get() + 1);
        let every = self.every.unwrap_or_else(|| WORK_BETWEEN.div_ceil(work.max(1)));
        let checkpoint = Checkpoint::every(Every::Epochs(every)).in_folder(&folder);
        let options = options.checkpoint(checkpoint);
        if self.resumes { options.resume(folder) } else { options }
    }

    /// Removes all that commands put here, and the folder if nothing else is in it.
    pub fn leave(mut self) -> Outcome {
        self.clear()?;
        let left = self.remove_own_folder();
        // What is locked here from now on is another command's.
        self.lock = None;
        left
    }

    /// Removes the folder if no training left anything in it.
    fn remove_own_folder(&self) -> Outcome {
        // The lock's file goes while it is locked: who opens it until then is refused, and who opened it sees that it
        // is gone.
        remove_if_there(&self.folder.join(LOCK))?;
        remove_if_empty(&self.folder).map_err(|error| unremovable(&self.folder, error))
    }

    /// Removes the files of all trainings, and their folders if nothing else is in them.
    pub fn clear(&self) -> Outcome {
        let at = unremovable;
        let removed = self.folder.join(REMOVED);
        File::create(&removed).map_err(|error| at(&removed, error))?;
        let trainings = (0..).map(|number| self.of_training(number));
        let trainings: Vec<PathBuf> = trainings.take_while(|training| training.is_dir()).collect();
        // The first last: where it is, there is something to go on with, or to remove.
        for training in trainings.into_iter().rev() {
            for entry in fs::read_dir(&training).map_err(|error| at(&training, error))? {
                let path = entry.map_err(|error| at(&training, error))?.path();
                let name = path.file_name().and_then(|name| name.to_str());
                if name.is_some_and(|name| name.starts_with(FILES)) {
                    fs::remove_file(&path).map_err(|error| at(&path, error))?;
                }
            }
            remove_if_empty(&training).map_err(|error| at(&training, error))?;
        }
        remove_if_there(&removed)
    }
}

/// Where nothing was left to go on from, nothing stays; what cannot be removed then hinders nobody.
impl Drop for Checkpoints {
    fn drop(&mut self) {
        if self.lock.is_some() && !self.are_there() {
            let _ = self.clear().and_then(|()| self.remove_own_folder());
        }
    }
}

/// Whether a path leads to a file that is open.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;

    let own = file.metadata()?;
    match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        other => other.map(|other| (other.dev(), other.ino()) == (own.dev(), own.ino())),
    }
}

/// Elsewhere files that are open have no name to compare by.
#[cfg(not(unix))]
fn is_at(_file: &File, path: &Path) -> io::Result<bool> {
    Ok(path.exists())
}

fn unremovable(path: &Path, error: io::Error) -> Failure {
    Failure::new(format!("{}: cannot be removed: {error}", path.display()))
}

fn remove_if_there(path: &Path) -> Outcome {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(unremovable(path, error)),
        _ => Ok(()),
    }
}

fn remove_if_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error)
            if !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty
            ) =>
        {
            Err(error)
        }
        _ => Ok(()),
    }
}
