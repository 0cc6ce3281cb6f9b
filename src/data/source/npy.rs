//! The format of `numpy.save`: six bytes that say so, two of a version, the length of a text, and the text, a
//! Python dictionary with the element type, the order and the shape; then the elements
//! (<https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>).

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::element::{Element, Header, Kind};
use crate::data::bytes::take;
use crate::data::error::{DataError, SourceError};
use crate::data::origin::{Origin, excerpt};

const MAGIC: &[u8] = b"\x93NUMPY";

/// Bytes of a header at most; numpy itself reads none of more than 10,000 characters unless asked to.
const LONGEST_HEADER: usize = 1 << 16;

pub(super) fn read_header(file: &mut File, origin: &Origin) -> Result<Header, DataError> {
    let wrong = |what: String| DataError::from(SourceError::Npy { origin: origin.clone(), what });
    let start = take(file, MAGIC.len() + 2, origin)?;
    let version = match start.split_at_checked(MAGIC.len()) {
        Some((magic, &[version, _])) if magic == MAGIC => version,
        _ => return Err(wrong(format!("is no .npy file: it starts with the bytes {start:02x?}"))),
    };
    let length_bytes = match version {
        1 => 2,
        2 | 3 => 4,
        _ => {
            return Err(wrong(format!(
                "is of version {version} of the format, where 1 to 3 are known"
            )));
        }
    };
    let cut = || wrong("ends within its header".into());
    let length = take(file, length_bytes, origin)?;
    if length.len() < length_bytes {
        return Err(cut());
    }
    let length = length.iter().rev().fold(0, |all, &byte| all << 8 | usize::from(byte));
    if length > LONGEST_HEADER {
        return Err(wrong(format!("says that its header has {length} bytes")));
    }
    let text = take(file, length, origin)?;
    if text.len() < length {
        return Err(cut());
    }
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let rest = text.split_once(&format!("'{key}':"))?.1.trim_start();
        let end = if rest.starts_with('(') { rest.find(')')? + 1 } else { rest.find([',', '}'])? };
        rest.get(..end).map(str::trim)
    };
    let missing = |key: &str| wrong(format!("its header names no {key}: {:?}", excerpt(&text)));
    let element = value("descr").ok_or_else(|| missing("element type"))?;
    let element = self::element(element.trim_matches('\'')).ok_or_else(|| {
        wrong(format!("its elements are of the type {}, which is no number", excerpt(element)))
    })?;
    let shape = value("shape").ok_or_else(|| missing("shape"))?;
    let dims = shape.trim_matches(['(', ')']).split(',').map(str::trim).filter(|d| !d.is_empty());
    let dims = dims.map(str::parse).collect::<Result<Vec<usize>, _>>();
    let dims = dims.map_err(|_| wrong(format!("its shape is {}", excerpt(shape))))?;
    let fortran = value("fortran_order").ok_or_else(|| missing("order"))?;
    if fortran == "True" && dims.len() > 1 {
        return Err(wrong("is in Fortran's order, column by column".into()));
    }
    if dims.is_empty() {
        return Err(wrong("holds one number, and no rows".into()));
    }
    Ok(Header { element, dims, bytes: (MAGIC.len() + 2 + length_bytes + length) as u64 })
}

/// The type that numpy calls so: `<f4`, `|u1`, `>i8`.
fn element(name: &str) -> Option<Element> {
    let (order, kind) = (name.get(..1)?, name.get(1..)?);
    let kind = match kind {
        "u1" | "b1" => Kind::U8,
        "i1" => Kind::I8,
        "u2" => Kind::U16,
        "i2" => Kind::I16,
        "u4" => Kind::U32,
        "i4" => Kind::I32,
        "u8" => Kind::U64,
        "i8" => Kind::I64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    matches!(order, "<" | ">" | "|").then_some(Element { kind, big_endian: order == ">" })
}

/// Writes rows of `f32` to a `.npy` file, some at a time: the way to data that is larger than memory, and for
/// predictions of it.
///
/// ```no_run
/// use wgrad::data::NpyWriter;
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let mut file = NpyWriter::create("rows.npy", 2)?;
/// file.write(&[1.0, 2.0, 3.0, 4.0])?; // two rows
/// file.finish()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct NpyWriter {
    file: BufWriter<File>,
    path: PathBuf,
    width: usize,
    numbers: usize,
}

impl NpyWriter {
    /// Begins a file of rows of `width` numbers. Until [`finish`](Self::finish) it says that it has none.
    ///
    /// # Errors
    /// If the width is 0, or the file cannot be made.
    pub fn create(path: impl AsRef<Path>, width: usize) -> Result<Self, DataError> {
        if width == 0 {
            return Err(SourceError::Zero { what: "width of the rows of a .npy file" }.into());
        }
        let path = path.as_ref().to_path_buf();
        let created = File::create(&path).map(BufWriter::new);
        let file = created.map_err(|cause| unwritable(&path, cause))?;
        let mut writer = Self { file, path, width, numbers: 0 };
        writer.write_header()?;
        Ok(writer)
    }

    fn write_header(&mut self) -> Result<(), DataError> {
        let (rows, width) = (self.numbers / self.width, self.width);
        let mut text =
            format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
        // 128 bytes of header, room for any number of rows; numpy wants a multiple of 64 that ends in a line's end.
        text.extend(std::iter::repeat_n(' ', 117_usize.saturating_sub(text.len())));
        text.push('\n');
        let mut header = [MAGIC, &[1, 0]].concat();
        header.extend((text.len() as u16).to_le_bytes());
        header.extend(text.bytes());
        self.file.write_all(&header).map_err(|cause| unwritable(&self.path, cause))
    }

    /// Adds numbers, one row after another.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, numbers: &[f32]) -> Result<(), DataError> {
        const AT_ONCE: usize = 1 << 16;
        for some in numbers.chunks(AT_ONCE) {
            let bytes: Vec<u8> = some.iter().flat_map(|number| number.to_le_bytes()).collect();
            self.file.write_all(&bytes).map_err(|cause| unwritable(&self.path, cause))?;
        }
        self.numbers += numbers.len();
        Ok(())
    }

    /// Says in the file how many rows it has.
    ///
    /// # Errors
    /// If the numbers make no whole rows, or they cannot be written.
    pub fn finish(mut self) -> Result<(), DataError> {
        if !self.numbers.is_multiple_of(self.width) {
            let (origin, width) = (Origin::File(self.path), self.width);
            let (row, length) = (self.numbers / width, self.numbers % width);
            return Err(SourceError::Uneven { origin, row, length, width }.into());
        }
        self.file.seek(SeekFrom::Start(0)).map_err(|cause| unwritable(&self.path, cause))?;
        self.write_header()?;
        self.file.flush().map_err(|cause| unwritable(&self.path, cause))
    }
}

fn unwritable(path: &Path, cause: io::Error) -> DataError {
    DataError::Write { origin: Origin::File(path.to_path_buf()), cause }
}
