//! What an error shows of the data: where it came from, and no more of it than fits a message.

use std::fmt;
use std::path::PathBuf;

/// Where data came from, so that an error can name it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A slice or a reader handed over by the caller.
    Memory,
    /// A file opened by path.
    File(PathBuf),
    /// A reader that the caller has named: `standard input`.
    Named(Box<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("in-memory data"),
            Self::File(path) => path.display().fmt(f),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// Names for a message, not so many as to flood the screen.
pub(super) fn list(names: &[String]) -> String {
    const SHOWN: usize = 24;
    let shown: Vec<String> =
        names.iter().take(SHOWN).map(|name| format!("{:?}", excerpt(name))).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The start of a text for a message: in a damaged file, one field may be most of the file.
pub(super) fn excerpt(text: &str) -> String {
    const SHOWN: usize = 40;
    match text.char_indices().nth(SHOWN) {
        Some(_) => text.chars().take(SHOWN).chain(['…']).collect(),
        None => text.to_owned(),
    }
}
