//! What all rows of numbers must hold, whoever has them.

use super::error::DataError;
use super::origin::Origin;
use super::part::Part;

/// How many rows of `width` finite values there are; at least one.
pub(crate) fn checked_rows(values: &[f32], width: usize, part: Part) -> Result<usize, DataError> {
    let rows = whole_rows(values.len(), width, part)?;
    check_count(rows)?;
    match crate::finite::first_not_finite(values) {
        Some((index, value)) => {
            let (row, column) = (index / width, index % width);
            Err(DataError::NotFinite { part, row, column, value, name: None })
        }
        None => Ok(rows),
    }
}

/// How many rows of `width` values `length` values make; possibly none.
pub(super) fn whole_rows(length: usize, width: usize, part: Part) -> Result<usize, DataError> {
    if width == 0 {
        return Err(DataError::ZeroWidth { part });
    }
    if !length.is_multiple_of(width) {
        return Err(DataError::UnevenLength { part, length, width });
    }
    Ok(length / width)
}

pub(super) fn check_count(rows: usize) -> Result<(), DataError> {
    if rows == 0 {
        return Err(DataError::Empty { origin: Origin::Memory });
    }
    match u32::try_from(rows) {
        Ok(_) => Ok(()),
        Err(_) => Err(DataError::TooManyRows { rows }),
    }
}
