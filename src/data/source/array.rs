//! Files of arrays, IDX and `.npy`, of which rows are read by their place.

use std::fs::File;
use std::io::{ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::element::{Element, Header, Kind};
use super::npy;
use super::read::{ReadRows, RowReader};
use crate::data::error::{DataError, SourceError};
use crate::data::idx::read_header;
use crate::data::origin::Origin;

/// A file that holds an array, IDX or `.npy`: its first axis are the rows, the others together the numbers of a
/// row. Elements are integers or floats of any size; each is rounded to what `f32` holds.
///
/// Rows are read by their place, by plain reads. The file is not mapped into memory: what another process cut
/// off of a mapped file would kill this one (SIGBUS), where a read ends in an error.
#[derive(Clone, Debug, PartialEq)]
pub struct ArrayFile {
    path: PathBuf,
    element: Element,
    dims: Vec<usize>,
    rows: usize,
    width: usize,
    /// Bytes before the first element.
    header: u64,
    divisor: f32,
}

impl ArrayFile {
    /// A file as `numpy.save` writes it.
    ///
    /// # Errors
    /// If it cannot be read; is no `.npy` file, or one of text, complex numbers or Python's objects; is in Fortran's
    /// order; has no rows, or rows without numbers; or is shorter or longer than its header says.
    pub fn npy(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::new(path.as_ref(), npy::read_header)
    }

    /// An IDX file, with elements of any type that the format knows; not gzipped.
    ///
    /// # Errors
    /// If it cannot be read; is gzipped, or no IDX file; has no rows, or rows without numbers; or is shorter or longer
    /// than its header says.
    pub fn idx(path: impl AsRef<Path>) -> Result<Self, DataError> {
        Self::new(path.as_ref(), |file, origin| {
            let (element, dims, bytes) = read_header(file, origin)?;
            use crate::data::idx_element::IdxElement as Idx;
            let kind = match element {
                Idx::UnsignedByte => Kind::U8,
                Idx::SignedByte => Kind::I8,
                Idx::Short => Kind::I16,
                Idx::Int => Kind::I32,
                Idx::Float => Kind::F32,
                Idx::Double => Kind::F64,
            };
            Ok(Header { element: Element { kind, big_endian: true }, dims, bytes: bytes as u64 })
        })
    }

    fn new(
        path: &Path,
        header: impl FnOnce(&mut File, &Origin) -> Result<Header, DataError>,
    ) -> Result<Self, DataError> {
        let origin = Origin::File(path.to_path_buf());
        let (mut file, length) = open(path)?;
        let mut start = [0; 2];
        if length >= 2 && file.read_exact(&mut start).is_ok() && start == [0x1f, 0x8b] {
            return Err(SourceError::Gzipped { origin }.into());
        }
        file.rewind().map_err(|cause| DataError::Read { origin: origin.clone(), cause })?;
        let Header { element, dims, bytes: header } = header(&mut file, &origin)?;
        let product = |dims: &[usize]| dims.iter().try_fold(1_usize, |all, &d| all.checked_mul(d));
        let (rows, rest) = dims.split_first().map_or((0, &[][..]), |(&rows, rest)| (rows, rest));
        let width = product(rest);
        let bytes = width.and_then(|width| width.checked_mul(rows)?.checked_mul(element.bytes()));
        let expected = bytes.and_then(|bytes| header.checked_add(bytes as u64));
        let (Some(width), Some(expected)) = (width, expected) else {
            return Err(DataError::IdxDimensions { origin, dims });
        };
        if rows == 0 || width == 0 {
            return Err(DataError::Empty { origin });
        }
        check_length(&origin, expected, length)?;
        let path = path.to_path_buf();
        Ok(Self { path, element, dims, rows, width, header, divisor: 1.0 })
    }

    /// With every number divided by this one: 255 makes shares of the bytes of an image's pixels.
    ///
    /// # Errors
    /// If it is no number from 1 up.
    pub fn divided_by(self, divisor: f32) -> Result<Self, DataError> {
        match divisor.is_finite() && divisor >= 1.0 {
            true => Ok(Self { divisor, ..self }),
            false => Err(DataError::MaxValue { max_value: divisor }),
        }
    }

    /// The extents, slowest first: the first are the rows.
    pub fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// The first number that reading moves by a half or more, since `f32` holds some seven digits: its row, its
    /// column, and the number as it stands in the file. Reads the file up to there; not at all if its type has no
    /// such numbers.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn first_rounded(&self) -> Result<Option<(usize, usize, String)>, DataError> {
        let Self { element, rows, width, .. } = *self;
        if !element.exceeds_f32() {
            return Ok(None);
        }
        let file = open(&self.path)?.0;
        let (mut opened, mut before, mut found) =
            (Opened { array: self.clone(), file, bytes: Vec::new() }, 0, None);
        opened.pieces(0, rows, |bytes| {
            found = element.first_rounded(bytes);
            before += if found.is_none() { bytes.len() / element.bytes() } else { 0 };
            found.is_none()
        })?;
        let place = |(at, number)| ((before + at) / width, (before + at) % width, number);
        Ok(found.map(place))
    }

    /// Bytes of the whole file.
    fn length(&self) -> u64 {
        self.header + (self.rows * self.width * self.element.bytes()) as u64
    }
}

fn open(path: &Path) -> Result<(File, u64), DataError> {
    let opened = File::open(path).and_then(|file| file.metadata().map(|data| (file, data.len())));
    opened.map_err(|cause| DataError::Read { origin: Origin::File(path.to_path_buf()), cause })
}

fn check_length(origin: &Origin, expected: u64, found: u64) -> Result<(), DataError> {
    let origin = origin.clone();
    match found.cmp(&expected) {
        std::cmp::Ordering::Less => Err(SourceError::Truncated { origin, expected, found }.into()),
        std::cmp::Ordering::Greater => {
            Err(SourceError::Trailing { origin, expected, found }.into())
        }
        std::cmp::Ordering::Equal => Ok(()),
    }
}

impl ReadRows for ArrayFile {
    fn origin(&self) -> Origin {
        Origin::File(self.path.clone())
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> Option<usize> {
        Some(self.rows)
    }

    fn reads_anywhere(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn RowReader>, DataError> {
        let (file, length) = open(&self.path)?;
        // It may be another one by now.
        check_length(&self.origin(), self.length(), length)?;
        Ok(Box::new(Opened { array: self.clone(), file, bytes: Vec::new() }))
    }
}

/// An array file that is being read.
struct Opened {
    array: ArrayFile,
    file: File,
    bytes: Vec<u8>,
}

/// Bytes that are read at once.
const PIECE: usize = 1 << 20;

impl Opened {
    /// Shows the bytes of rows, some whole numbers at a time, as long as more are wanted.
    fn pieces(
        &mut self,
        first: usize,
        count: usize,
        mut wants_more: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), DataError> {
        let Self { array, file, bytes } = self;
        let of_row = array.width * array.element.bytes();
        let failed = |cause: std::io::Error| match cause.kind() {
            ErrorKind::UnexpectedEof => {
                let found = std::fs::metadata(&array.path).map_or(0, |data| data.len());
                let (origin, expected) = (array.origin(), array.length());
                SourceError::Truncated { origin, expected, found }.into()
            }
            _ => DataError::Read { origin: array.origin(), cause },
        };
        file.seek(SeekFrom::Start(array.header + (first * of_row) as u64)).map_err(failed)?;
        let (mut left, size) = (count * of_row, array.element.bytes());
        while left > 0 {
            bytes.resize(left.min(PIECE / size * size), 0);
            file.read_exact(bytes).map_err(failed)?;
            if !wants_more(bytes) {
                break;
            }
            left -= bytes.len();
        }
        Ok(())
    }
}

impl RowReader for Opened {
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError> {
        let count = count.min(self.array.rows.saturating_sub(first));
        let (before, element, divisor) = (out.len(), self.array.element, self.array.divisor);
        self.pieces(first, count, |bytes| {
            element.decode(bytes, out);
            true
        })?;
        if divisor != 1.0 {
            out.iter_mut().skip(before).for_each(|number| *number /= divisor);
        }
        Ok(count)
    }
}
