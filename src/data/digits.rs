//! Real data that needs no download.

use super::error::DataError;
use super::idx::read_idx;
use super::idx_set::IdxSet;

const IMAGES: &[u8] = include_bytes!("../../data/digits/images-idx3-ubyte");
const LABELS: &[u8] = include_bytes!("../../data/digits/labels-idx1-ubyte");

/// Handwritten digits, built into the crate: 1797 images of 8×8 pixels, from 0 (paper) to 1 (ink)
/// in steps of 1/16, in 10 classes of 174 to 183 images each.
///
/// From the "Optical Recognition of Handwritten Digits" of E. Alpaydin and C. Kaynak (UCI Machine
/// Learning Repository, CC BY 4.0); see `data/digits/README.md`.
///
/// # Errors
/// None, unless the crate was built from damaged files.
pub fn digits() -> Result<IdxSet, DataError> {
    IdxSet::from_arrays(&read_idx(IMAGES)?, &read_idx(LABELS)?, 16.0, Some(10))
}
