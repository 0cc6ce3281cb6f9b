//! What a source reads its rows with.

use crate::data::error::DataError;
use crate::data::origin::Origin;

/// Rows of numbers that are read some at a time: a file, or whatever a program brings. Files of arrays
/// ([`ArrayFile`](super::ArrayFile)) and [`Source::of_blocks`](super::Source::of_blocks) are there already.
pub trait ReadRows: Send + Sync + 'static {
    /// What it is, as errors name it.
    fn origin(&self) -> Origin;

    /// Numbers of a row, at least 1.
    fn width(&self) -> usize;

    /// How many rows there are, where that is known before they are read.
    fn rows(&self) -> Option<usize>;

    /// Whether rows anywhere are had as fast as the next ones. Where they are not, blocks are never shuffled.
    fn reads_anywhere(&self) -> bool;

    /// Begins to read. Each reader is used by one thread at a time; several may be open at once.
    ///
    /// # Errors
    /// If the rows cannot be had.
    fn open(&self) -> Result<Box<dyn RowReader>, DataError>;
}

/// Rows that are being read.
pub trait RowReader: Send {
    /// Adds the `count` rows from row `first` on to `out`, row by row; fewer only where there are no more.
    /// Returns how many were added. Numbers that are not finite are found by the caller.
    ///
    /// # Errors
    /// If the rows cannot be had. What was added then means nothing.
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError>;
}
