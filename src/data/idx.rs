//! The IDX format, in which MNIST and its relatives come.
//!
//! Two zeros, one byte for the element type, one for the number of dimensions; then each dimension
//! as a big-endian `u32`; then the elements, last dimension fastest.

use std::io::{Read, Write};
use std::path::Path;

use super::bytes;
use super::error::DataError;
use super::idx_element::IdxElement;
use super::options::DataOptions;
use super::origin::Origin;

/// An array read from an IDX file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdxArray {
    element: IdxElement,
    dims: Vec<usize>,
    data: Vec<u8>,
}

impl IdxArray {
    /// The type of the elements.
    pub fn element(&self) -> IdxElement {
        self.element
    }

    /// The extents, slowest first: `[images, rows, columns]` or `[labels]`. There is at least one;
    /// an extent may be 0.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The elements, last dimension fastest; as many as the product of the extents.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The extents and the elements.
    pub fn into_parts(self) -> (Vec<usize>, Vec<u8>) {
        (self.dims, self.data)
    }
}

/// Reads an IDX array of unsigned bytes, gzipped or not, up to the end of `reader`.
///
/// Memory is taken for the bytes that come, never for those that the header promises.
///
/// # Errors
/// If reading fails; there is more than [`DataOptions::default`] allows; the data is gzipped and the feature `gzip` is off; it is no IDX file, is
/// empty, ends early or goes on too long; its elements are no unsigned bytes; or its dimensions are
/// none, or beyond all memory.
pub fn read_idx(reader: impl Read) -> Result<IdxArray, DataError> {
    read_idx_with(reader, &DataOptions::default())
}

/// [`read_idx`], with bounds of one's own.
///
/// # Errors
/// As [`read_idx`].
pub fn read_idx_with(reader: impl Read, options: &DataOptions) -> Result<IdxArray, DataError> {
    read_from(reader, options, &Origin::Memory)
}

/// Reads the IDX array in a file, gzipped or not, whatever the file's name says.
///
/// # Errors
/// As [`read_idx`], and if the file cannot be opened.
pub fn read_idx_file(path: impl AsRef<Path>) -> Result<IdxArray, DataError> {
    read_idx_file_with(path, &DataOptions::default())
}

/// [`read_idx_file`], with bounds of one's own.
///
/// # Errors
/// As [`read_idx_file`].
pub fn read_idx_file_with(
    path: impl AsRef<Path>,
    options: &DataOptions,
) -> Result<IdxArray, DataError> {
    let (file, origin) = bytes::open(path.as_ref())?;
    read_from(file, options, &origin)
}

/// Writes bytes as an IDX array with the given extents, slowest first.
///
/// # Errors
/// If there are no extents or more than 255, one does not fit in 32 bits, their product is not the
/// number of bytes, or writing fails.
pub fn write_idx(mut writer: impl Write, dims: &[usize], data: &[u8]) -> Result<(), DataError> {
    let wrong_shape = || DataError::IdxArrayShape { dims: dims.to_vec(), length: data.len() };
    let rank = u8::try_from(dims.len()).map_err(|_| wrong_shape())?;
    if rank == 0 || product(dims) != Some(data.len()) {
        return Err(wrong_shape());
    }
    let mut header = vec![0, 0, IdxElement::UnsignedByte.code(), rank];
    for &extent in dims {
        let extent = u32::try_from(extent).map_err(|_| wrong_shape())?;
        header.extend_from_slice(&extent.to_be_bytes());
    }
    let written = writer.write_all(&header).and_then(|()| writer.write_all(data));
    // A buffered writer would swallow the error of its last write when it is dropped.
    written
        .and_then(|()| writer.flush())
        .map_err(|cause| DataError::Write { origin: Origin::Named("the array".into()), cause })
}

pub(super) fn read_from(
    reader: impl Read,
    options: &DataOptions,
    origin: &Origin,
) -> Result<IdxArray, DataError> {
    let mut reader = bytes::unpacked(reader, options, origin)?;
    let (element, dims, header) = read_header(&mut reader, origin)?;
    if element != IdxElement::UnsignedByte {
        return Err(DataError::IdxElementType { origin: origin.clone(), element });
    }
    let rank = dims.len();
    // One byte more than promised is asked for below, to see whether the file goes on.
    let countable = |&length: &usize| rank > 0 && length.checked_add(header + 1).is_some();
    let Some(length) = product(&dims).filter(countable) else {
        return Err(DataError::IdxDimensions { origin: origin.clone(), dims });
    };
    let data = bytes::take(&mut reader, length + 1, origin)?;
    if data.len() < length {
        return Err(truncated(origin, header + length, header + data.len()));
    }
    if data.len() > length {
        let expected = (header + length) as u64;
        return Err(DataError::IdxTrailing { origin: origin.clone(), expected });
    }
    Ok(IdxArray { element, dims, data })
}

/// The type of the elements, the extents, slowest first, and how many bytes say so.
pub(super) fn read_header(
    reader: &mut impl Read,
    origin: &Origin,
) -> Result<(IdxElement, Vec<usize>, usize), DataError> {
    const MAGIC: usize = 4;
    let magic = bytes::take(reader, MAGIC, origin)?;
    if magic.is_empty() {
        return Err(DataError::Empty { origin: origin.clone() });
    }
    let Ok(magic) = <[u8; MAGIC]>::try_from(magic.as_slice()) else {
        return Err(truncated(origin, MAGIC, magic.len()));
    };
    let (element, rank) = match magic {
        [0, 0, code, rank] => (IdxElement::from_code(code), usize::from(rank)),
        _ => (None, 0),
    };
    let Some(element) = element else {
        return Err(DataError::NotIdx { origin: origin.clone(), start: magic });
    };
    let header = MAGIC + rank * size_of::<u32>();
    let extents = bytes::take(reader, header - MAGIC, origin)?;
    if MAGIC + extents.len() < header {
        return Err(truncated(origin, header, MAGIC + extents.len()));
    }
    let extent = |bytes: &[u8]| bytes.iter().fold(0, |all, &byte| all << 8 | usize::from(byte));
    Ok((element, extents.chunks_exact(size_of::<u32>()).map(extent).collect(), header))
}

fn truncated(origin: &Origin, expected: usize, found: usize) -> DataError {
    let (expected, found) = (expected as u64, found as u64);
    DataError::IdxTruncated { origin: origin.clone(), expected, found }
}

/// The number of elements, if it can be counted. An extent of 0 makes the array empty, however
/// large the others.
fn product(dims: &[usize]) -> Option<usize> {
    if dims.contains(&0) {
        return Some(0);
    }
    dims.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent))
}
