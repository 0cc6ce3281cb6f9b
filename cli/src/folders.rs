//! Folders that files are to be written to.

use std::path::Path;

use crate::failure::{Failure, Outcome};

/// That a file can be made: its folder is there.
pub fn needs_folder(path: &Path) -> Outcome {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => {
            let message = format!("{}: there is no such folder; make it first", folder.display());
            Err(Failure::new(message))
        }
        _ => Ok(()),
    }
}
