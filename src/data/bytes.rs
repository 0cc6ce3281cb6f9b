//! Bytes from a file or a reader, unpacked if they are gzipped, and not more of them than allowed.

use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use super::error::DataError;
use super::options::DataOptions;
use super::origin::Origin;

/// Opens a file for [`unpacked`], with the origin to name in errors.
pub(super) fn open(path: &Path) -> Result<(BufReader<File>, Origin), DataError> {
    let origin = Origin::File(path.to_path_buf());
    match File::open(path) {
        Ok(file) => Ok((BufReader::new(file), origin)),
        Err(cause) => Err(DataError::Read { origin, cause }),
    }
}

/// The bytes of `reader`, unpacked if they start as a gzip file does. The name of a file says
/// less: browsers and download tools unpack some files and keep the name.
pub(super) fn unpacked<R: Read>(
    mut reader: R,
    options: &DataOptions,
    origin: &Origin,
) -> Result<Bounded<Unpacked<R>>, DataError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let start = take(&mut reader, GZIP.len(), origin)?;
    let gzipped = start == GZIP;
    let whole = Cursor::new(start).chain(reader);
    let inner = if gzipped { gunzip(whole, origin)? } else { Unpacked::Plain(whole) };
    let most = options.max_unpacked_bytes;
    Ok(Bounded { inner, left: most, most })
}

type Whole<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Bytes as they are, or unpacked.
pub(super) enum Unpacked<R: Read> {
    Plain(Whole<R>),
    #[cfg(feature = "gzip")]
    Gzip(Box<super::gzip::Members<BufReader<Whole<R>>>>),
}

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(reader) => reader.read(out),
            #[cfg(feature = "gzip")]
            Self::Gzip(reader) => reader.read(out),
        }
    }
}

#[cfg(feature = "gzip")]
fn gunzip<R: Read>(reader: Whole<R>, _: &Origin) -> Result<Unpacked<R>, DataError> {
    Ok(Unpacked::Gzip(Box::new(super::gzip::Members::new(BufReader::new(reader)))))
}

#[cfg(not(feature = "gzip"))]
fn gunzip<R: Read>(_: Whole<R>, origin: &Origin) -> Result<Unpacked<R>, DataError> {
    Err(DataError::GzipFeature { origin: origin.clone() })
}

/// The next `count` bytes, fewer only at the end. Memory grows with the bytes that come, so
/// `count` may be a promise that nobody has checked.
pub(super) fn take(
    reader: &mut impl Read,
    count: usize,
    origin: &Origin,
) -> Result<Vec<u8>, DataError> {
    let mut bytes = Vec::new();
    match reader.take(count as u64).read_to_end(&mut bytes) {
        Ok(_) => Ok(bytes),
        Err(cause) => Err(read_error(cause, origin)),
    }
}

/// The error of a read, which may have met the bound.
pub(super) fn read_error(cause: io::Error, origin: &Origin) -> DataError {
    let origin = origin.clone();
    match cause.get_ref().and_then(|inner| inner.downcast_ref::<TooManyBytes>()) {
        Some(&TooManyBytes(most)) => DataError::TooManyBytes { origin, most },
        None => DataError::Read { origin, cause },
    }
}

/// A reader that gives `most` bytes, and then an error unless it is at its end.
pub(super) struct Bounded<R> {
    inner: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.left == 0 {
            return match self.inner.read(&mut [0])? {
                0 => Ok(0),
                _ => Err(io::Error::other(TooManyBytes(self.most))),
            };
        }
        let room = usize::try_from(self.left).map_or(out.len(), |left| out.len().min(left));
        let count = self.inner.read(out.get_mut(..room).unwrap_or_default())?;
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

/// What a [`Bounded`] reader says at its bound.
#[derive(Debug)]
struct TooManyBytes(u64);

impl fmt::Display for TooManyBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "more than {} bytes", self.0)
    }
}

impl std::error::Error for TooManyBytes {}
