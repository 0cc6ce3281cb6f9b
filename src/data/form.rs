//! What rows look like, wherever they lie.

use super::dataset::Targets;

/// What the targets of a row are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TargetForm {
    /// So many numbers.
    Values {
        /// Numbers per row.
        width: usize,
    },
    /// One class of so many.
    Classes {
        /// How many there are.
        classes: usize,
    },
}

impl TargetForm {
    /// Items per row: a class is one.
    pub(crate) fn width(self) -> usize {
        match self {
            Self::Values { width } => width,
            Self::Classes { .. } => 1,
        }
    }
}

impl Targets {
    pub(crate) fn form(&self) -> TargetForm {
        match self {
            Self::Values { width, .. } => TargetForm::Values { width: *width },
            Self::Classes { classes, .. } => TargetForm::Classes { classes: *classes },
        }
    }

    /// All of them as a device has them, in words of four bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        match self {
            Self::Values { data, .. } => bytemuck::cast_slice(data),
            Self::Classes { labels, .. } => bytemuck::cast_slice(labels),
        }
    }
}

/// What a row is: its features and its targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Features per row.
    pub(crate) width: usize,
    /// Its targets.
    pub(crate) targets: TargetForm,
    /// Whether it has a weight in the loss.
    pub(crate) weighted: bool,
}
