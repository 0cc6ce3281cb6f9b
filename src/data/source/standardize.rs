//! Means and deviations of a source.

use super::{Source, Wanted};
use crate::data::error::DataError;
use crate::data::moments::Moments;
use crate::data::standardize::Standardizer;

impl Standardizer {
    /// As [`fit`](Standardizer::fit), of the features of a source, in one pass over it; in memory are a few MiB of its
    /// rows. The bits are those of the same rows in memory, whatever the blocks of the source. Of a source that is
    /// standardized already, these are the means and deviations of what it gives.
    ///
    /// To hold rows out, [split](Source::split_last) the source before, and fit the part that is trained on.
    ///
    /// ```no_run
    /// use wgrad::data::{Source, Standardizer};
    /// # fn main() -> Result<(), wgrad::data::DataError> {
    /// let rows = Source::npy("rows.npy")?;
    /// let standardizer = Standardizer::fit_source(&rows)?;
    /// let rows = rows.standardized(&standardizer)?; // shifted and scaled whenever they are read
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// If its rows cannot be read, there are none, or a number is NaN or infinite.
    pub fn fit_source(source: &Source) -> Result<Self, DataError> {
        let mut moments = Moments::of_width(source.width());
        source.each(Wanted::Features, |window| {
            moments.add(&window.rows.features);
            Ok(())
        })?;
        Ok(Self::of(&moments))
    }
}
