//! Rows to learn from, wherever they lie.

use std::borrow::Borrow;
use std::sync::Arc;

use super::Source;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::form::Form;

/// Rows to train or to evaluate on: a [`Dataset`] in memory, or a [`Source`].
#[derive(Clone, Copy, Debug)]
pub enum Data<'a> {
    /// All in memory.
    Dataset(&'a Dataset),
    /// Read in blocks.
    Source(&'a Source),
}

impl Data<'_> {
    /// What its rows are.
    ///
    /// # Errors
    /// [`SourceError::NoTargets`](crate::data::SourceError::NoTargets).
    pub(crate) fn form(self) -> Result<Form, DataError> {
        match self {
            Self::Dataset(data) => Ok(Form {
                width: data.width(),
                targets: data.targets().form(),
                weighted: data.weights().is_some(),
            }),
            Self::Source(source) => source.form(),
        }
    }

    /// How many there are.
    ///
    /// # Errors
    /// If they have to be counted, and cannot be read.
    pub(crate) fn rows(self) -> Result<usize, DataError> {
        match self {
            Self::Dataset(data) => Ok(data.rows()),
            Self::Source(source) => source.count(),
        }
    }

    /// A number by which a training knows its rows again.
    ///
    /// # Errors
    /// If rows cannot be read.
    pub(crate) fn checksum(self) -> Result<u64, DataError> {
        match self {
            Self::Dataset(data) => Ok(data.checksum()),
            Self::Source(source) => source.checksum(),
        }
    }
}

/// What gives [`Data`]: itself, a source, or a data set however it is held.
pub trait AsData {
    /// The rows.
    fn as_data(&self) -> Data<'_>;
}

impl<D: Borrow<Dataset>> AsData for D {
    fn as_data(&self) -> Data<'_> {
        Data::Dataset(self.borrow())
    }
}

impl AsData for Data<'_> {
    fn as_data(&self) -> Data<'_> {
        *self
    }
}

impl AsData for Source {
    fn as_data(&self) -> Data<'_> {
        Data::Source(self)
    }
}

impl AsData for &Source {
    fn as_data(&self) -> Data<'_> {
        Data::Source(self)
    }
}

impl AsData for OwnedData {
    fn as_data(&self) -> Data<'_> {
        match self {
            Self::Dataset(data) => Data::Dataset(data),
            Self::Source(source) => Data::Source(source),
        }
    }
}

/// [`Data`] that whoever trains on it keeps.
#[derive(Clone, Debug)]
pub enum OwnedData {
    /// All in memory.
    Dataset(Arc<Dataset>),
    /// Read in blocks.
    Source(Source),
}

impl From<Dataset> for OwnedData {
    fn from(data: Dataset) -> Self {
        Self::Dataset(Arc::new(data))
    }
}

impl From<Arc<Dataset>> for OwnedData {
    fn from(data: Arc<Dataset>) -> Self {
        Self::Dataset(data)
    }
}

impl From<Source> for OwnedData {
    fn from(source: Source) -> Self {
        Self::Source(source)
    }
}
