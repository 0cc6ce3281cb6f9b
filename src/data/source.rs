//! Bytes from a file or a reader, unpacked if they are gzipped.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

use super::error::DataError;
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
pub(super) fn unpacked<'a>(
    mut reader: impl Read + 'a,
    origin: &Origin,
) -> Result<Box<dyn Read + 'a>, DataError> {
    const GZIP: [u8; 2] = [0x1f, 0x8b];
    let start = take(&mut reader, GZIP.len(), origin)?;
    let gzipped = start == GZIP;
    let whole = Cursor::new(start).chain(reader);
    if gzipped { gunzip(whole, origin) } else { Ok(Box::new(whole)) }
}

#[cfg(feature = "gzip")]
fn gunzip<'a>(reader: impl Read + 'a, _: &Origin) -> Result<Box<dyn Read + 'a>, DataError> {
    // A gzip file may have several members; the single-member decoder would take what follows the
    // first, garbage too, for the end.
    Ok(Box::new(flate2::read::MultiGzDecoder::new(reader)))
}

#[cfg(not(feature = "gzip"))]
fn gunzip<'a>(_: impl Read + 'a, origin: &Origin) -> Result<Box<dyn Read + 'a>, DataError> {
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
        Err(cause) => Err(DataError::Read { origin: origin.clone(), cause }),
    }
}
