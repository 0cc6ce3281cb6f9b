//! Model files on disk: written whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::model_file::ModelFile;
use crate::gpu::Gpu;
use crate::nn::Loaders;
use crate::train::model::Model;
use crate::train::predictor::Predictor;
use crate::{Error, Result};

impl ModelFile {
    /// Reads a model's file.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be read, and those of [`ModelFile::from_bytes`].
    pub fn read(path: impl AsRef<Path>) -> Result<Self> {
        Self::read_with(path, &Loaders::new())
    }

    /// The same for a model with layers of a program's own, of which `loaders` knows.
    ///
    /// # Errors
    /// Those of [`ModelFile::read`], and those of the loaders.
    pub fn read_with(path: impl AsRef<Path>, loaders: &Loaders) -> Result<Self> {
        let path = path.as_ref();
        let bytes = fs::read(path).map_err(|source| unusable(path, source))?;
        Self::from_bytes_with(&bytes, loaders).map_err(|error| at(path, error))
    }

    /// Writes the model's file: beside its place first, and there when it is whole and on the disk. So a file
    /// of that name is always a whole one, the older or the newer, whenever the process or the machine ends.
    ///
    /// # Errors
    /// [`Error::File`] if it cannot be written; those of [`ModelFile::to_bytes`].
    pub fn write(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        write(path, self.to_bytes())
    }
}

impl Model {
    /// Saves the model with everything it needs to train on; see [`ModelFile`].
    ///
    /// # Errors
    /// Those of [`Model::file`] and [`ModelFile::write`].
    pub async fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.file().await?.write(path)
    }

    /// A model that was saved, on a device.
    ///
    /// # Errors
    /// Those of [`ModelFile::read`] and [`ModelFile::model`].
    pub async fn load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        ModelFile::read(path)?.model(gpu).await
    }
}

impl Predictor {
    /// What predicts with a model that was saved, on a device.
    ///
    /// # Errors
    /// Those of [`ModelFile::read`] and [`ModelFile::predictor`].
    pub async fn load(gpu: &Gpu, path: impl AsRef<Path>) -> Result<Self> {
        ModelFile::read(path)?.predictor(gpu).await
    }
}

/// Writes the bytes of a model whole or not at all.
pub(super) fn write(path: &Path, bytes: Result<Vec<u8>>) -> Result<()> {
    let bytes = bytes.map_err(|error| at(path, error))?;
    replace(path, &bytes).map_err(|source| unusable(path, source))
}

pub(super) fn unusable(path: &Path, source: io::Error) -> Error {
    Error::File { path: path.display().to_string(), source }
}

/// The error of a file, with its path.
pub(super) fn at(path: &Path, error: Error) -> Error {
    match error {
        Error::ModelFile { path: None, reason } => {
            Error::ModelFile { path: Some(path.display().to_string()), reason }
        }
        error => error,
    }
}

/// What the name of a file ends in that is not whole yet.
pub(super) const UNFINISHED: &str = "unfinished";

/// Puts a file in the place of another, as one step.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (unfinished, mut file) = beside(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    drop(file);
    let moved = written.and_then(|()| fs::rename(&unfinished, path));
    if moved.is_err() {
        // The error that is told is the first one.
        let _ = fs::remove_file(&unfinished);
    }
    moved?;
    sync_folder(path)
}

/// A new file beside `path` that nobody else writes: the number is that of a try.
fn beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidFilename))?;
    let process = std::process::id();
    for attempt in 0..u16::MAX {
        let mut other = name.to_os_string();
        other.push(format!(".{process}-{attempt}.{UNFINISHED}"));
        let other = path.with_file_name(other);
        match OpenOptions::new().write(true).create_new(true).open(&other) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            opened => return opened.map(|file| (other, file)),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// That a file has another name is on the disk when its folder is.
#[cfg(unix)]
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Elsewhere folders cannot be opened for that; the system keeps its own journal.
#[cfg(not(unix))]
fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}
