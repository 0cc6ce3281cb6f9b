//! What values are, as errors name them.

use std::fmt;

/// Which values an error speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// The inputs of the model.
    Features,
    /// The outputs that the model should learn.
    Targets,
    /// Plain rows that are not (yet) part of a dataset.
    Values,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Features => "features",
            Self::Targets => "targets",
            Self::Values => "values",
        })
    }
}
