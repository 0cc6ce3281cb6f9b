//! What a training leaves behind when its process is killed, and how the same command goes on from it: a
//! folder beside the model, with a folder for each of the trainings that a command is made of.

use std::cell::Cell;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use wgrad::train::{Checkpoint, Every, FitOptions};

use crate::failure::{Failure, Outcome};

/// Multiply-adds between two files: seconds of a processor, less of a GPU. A small table has none but those at
/// the end of each training.
const WORK_BETWEEN: u64 = 1 << 37;

/// How the files of a training begin.
const FILES: &str = "step-";

/// Where a command keeps its trainings.
#[derive(Debug)]
pub struct Checkpoints {
    folder: PathBuf,
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
        Self { resumes, ..Self::in_folder(folder.into(), every) }
    }

    /// Those in a folder, to go on with.
    pub fn in_folder(folder: PathBuf, every: Option<u64>) -> Self {
        Self { folder, every, resumes: true, begun: Cell::new(0) }
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether a command that was broken off has left anything.
    pub fn are_there(&self) -> bool {
        self.of_training(0).is_dir()
    }

    /// Whether there is a moment to go on from.
    pub fn have_files(&self) -> bool {
        let of_training = |entry: fs::DirEntry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(FILES))
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

    /// Removes the files of all trainings, and the folders if nothing else is in them.
    pub fn remove(&self) -> Outcome {
        let at = |path: &Path, error: io::Error| {
            Failure::new(format!("{}: cannot be removed: {error}", path.display()))
        };
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
        remove_if_empty(&self.folder).map_err(|error| at(&self.folder, error))
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
