//! CSV files of numbers.

use std::path::Path;
use std::sync::Arc;

use super::forward::Forward;
use super::{Source, TargetsFrom};
use crate::data::csv::CsvOptions;
use crate::data::csv::numbers::NumberRows;
use crate::data::error::DataError;
use crate::data::form::TargetForm;
use crate::data::origin::Origin;

/// Rows that are parsed at once.
const AT_ONCE: usize = 1024;

impl Source {
    /// The rows of a CSV file, gzipped or not, whose columns hold numbers; which are features and which targets,
    /// `options` say, as for [`read_csv_file`](crate::data::read_csv_file). What its bounds say of bytes and fields of
    /// the whole file does not count here. Rows are counted when their number is first asked for, by a pass over
    /// the file; then each must be there again.
    ///
    /// # Errors
    /// As [`read_csv_file`](crate::data::read_csv_file) for what stands before the rows; those of the rows when they
    /// are read.
    pub fn csv(path: impl AsRef<Path>, options: &CsvOptions) -> Result<Self, DataError> {
        let path = path.as_ref().to_path_buf();
        let rows = NumberRows::open(&path, options)?;
        let ((width, targets), names) = (rows.width(), rows.names());
        let (origin, options) = (Origin::File(path.clone()), options.clone());
        let rows = Forward::new(origin, width, None, move || {
            let mut rows = NumberRows::open(&path, &options)?;
            Ok(Box::new(move || rows.next(AT_ONCE)))
        });
        let source = Self { names: Arc::new(names), ..Self::new(rows) };
        source.with(TargetsFrom::Last(TargetForm::Values { width: targets }))
    }
}
