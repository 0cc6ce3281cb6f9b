//! The files of a training in a folder: `step-000000000500.wgrad`.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::container::Container;
use super::disk::{UNFINISHED, at, unusable};
use super::model_file::ModelFile;
use crate::train::fit::state::Moment;
use crate::train::task::Task;
use crate::{Error, Result};

const PREFIX: &str = "step-";
const SUFFIX: &str = ".wgrad";

/// Makes a folder for the files of a training, and removes what a process left there that was killed while
/// it wrote.
pub(crate) fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|source| unusable(folder, source))?;
    for path in files(folder, &format!(".{UNFINISHED}"))? {
        fs::remove_file(&path).or_else(absent).map_err(|source| unusable(&path, source))?;
    }
    Ok(())
}

/// Nothing is wrong with a file that is not there any more.
fn absent(error: io::Error) -> io::Result<()> {
    if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) }
}

/// Writes a moment of a training of `task`, and leaves so many of the newest files; its bytes.
pub(crate) fn write_moment(task: &Task, moment: Moment, folder: &Path, keep: usize) -> Result<u64> {
    let Moment { state, progress, learning_rate, fit } = moment;
    let step = state.step;
    let file = ModelFile {
        fit: Some(Box::new(fit)),
        ..ModelFile::of(task, state, progress, learning_rate)
    };
    let path = folder.join(format!("{PREFIX}{step:012}{SUFFIX}"));
    file.write(&path)?;
    let bytes = fs::metadata(&path).map_or(0, |known| known.len());
    for path in newest_first(folder)?.into_iter().skip(keep) {
        fs::remove_file(&path).or_else(absent).map_err(|source| unusable(&path, source))?;
    }
    Ok(bytes)
}

/// The last moment of a training of `task` in a folder: that of the newest file that is whole.
pub(crate) fn last_moment(task: &Task, folder: &Path) -> Result<Option<Moment>> {
    let mut first = None;
    for path in newest_first(folder)? {
        let read = fs::read(&path)
            .map_err(|source| unusable(&path, source))
            .and_then(|bytes| Container::from_bytes(&bytes).map_err(|error| at(&path, error)));
        match read {
            Ok(Container { header, tensors }) => {
                let moment = header.moment(tensors, task).map_err(|error| at(&path, error))?;
                return moment.map(Some).ok_or_else(|| {
                    let reason =
                        "it is a model without a training; resume from a folder of checkpoints";
                    Error::ModelFile {
                        path: Some(path.display().to_string()),
                        reason: reason.into(),
                    }
                });
            }
            // An older one may be whole.
            Err(error) => first = first.or(Some(error)),
        }
    }
    first.map_or(Ok(None), Err)
}

fn newest_first(folder: &Path) -> Result<Vec<PathBuf>> {
    let step = |path: &PathBuf| {
        let name = path.file_name()?.to_str()?;
        name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse::<u64>().ok()
    };
    let mut files: Vec<(u64, PathBuf)> =
        files(folder, SUFFIX)?.into_iter().filter_map(|path| Some((step(&path)?, path))).collect();
    files.sort();
    Ok(files.into_iter().rev().map(|(_, path)| path).collect())
}

/// The files of a folder whose names begin as those of a training and end so; none where there is no folder.
fn files(folder: &Path, suffix: &str) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(|source| unusable(folder, source))?,
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(|source| unusable(folder, source))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if name.is_some_and(|name| name.starts_with(PREFIX) && name.ends_with(suffix)) {
            paths.push(path);
        }
    }
    Ok(paths)
}

impl ModelFile {
    /// Whether it is a checkpoint of a training, with all that is needed to
    /// [resume](crate::train::FitOptions::resume) it.
    pub fn is_checkpoint(&self) -> bool {
        self.fit.is_some()
    }
}
