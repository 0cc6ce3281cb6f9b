//! Text with one kind of line ending, and rows that know their line.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use csv_core::ReadRecordResult;

use crate::data::bytes;
use crate::data::error::{CsvError, DataError};
use crate::data::options::DataOptions;
use crate::data::origin::{Origin, excerpt};

/// The rows of a CSV text, numbered by the line that each starts on. It reads with `csv-core`, the parser
/// of the crate `csv`, which lets a line's fields be counted while they come.
pub(in crate::data) struct Rows<R> {
    reader: BufReader<UnixLines<R>>,
    parser: csv_core::Reader,
    /// The text of the present row's fields, one after another, and where each of them ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    bounds: DataOptions,
    origin: Origin,
}

/// One row: its fields, without the white space around them.
pub(in crate::data) struct Row<'a> {
    /// The line that the row starts on, from 1.
    pub line: u64,
    pub fields: Vec<&'a str>,
}

impl<R: Read> Rows<Marked<R>> {
    /// Rows within `bounds`.
    pub(in crate::data) fn new(
        reader: R,
        delimiter: u8,
        bounds: &DataOptions,
        origin: &Origin,
    ) -> Result<Self, DataError> {
        let lines =
            UnixLines { inner: BufReader::new(without_mark(reader, origin)?), after_return: false };
        let parser = csv_core::ReaderBuilder::new().delimiter(delimiter).build();
        let (reader, text, ends) = (BufReader::new(lines), Vec::new(), Vec::new());
        Ok(Self { reader, parser, text, ends, bounds: *bounds, origin: origin.clone() })
    }
}

impl<R: Read> Rows<R> {
    /// The next row; lines with nothing but white space are passed over.
    pub(in crate::data) fn next(&mut self) -> Result<Option<Row<'_>>, DataError> {
        let line = loop {
            let Some(line) = self.read()? else { return Ok(None) };
            if self.ends.len() != 1 || !self.text.iter().all(u8::is_ascii_whitespace) {
                break line;
            }
        };
        let mut fields = Vec::with_capacity(self.ends.len());
        let mut start = 0;
        for (column, &end) in self.ends.iter().enumerate() {
            let field = self.text.get(start..end).unwrap_or_default();
            start = end;
            let text = str::from_utf8(field).map_err(|_| {
                DataError::Csv(CsvError::NotUtf8 {
                    origin: self.origin.clone(),
                    line,
                    column,
                    value: excerpt(&String::from_utf8_lossy(field)),
                })
            })?;
            fields.push(text.trim());
        }
        Ok(Some(Row { line, fields }))
    }

    /// Reads a row into `text` and `ends`; the line that it starts on, or `None` at the end.
    fn read(&mut self) -> Result<Option<u64>, DataError> {
        let before = self.parser.line();
        let (mut length, mut count) = (0, 0);
        loop {
            // Room for what is there already, and for more of it.
            self.text.resize(self.text.len().max(length + 1024), 0);
            self.ends.resize(self.ends.len().max(count + 64), 0);
            let input = self.reader.fill_buf().map_err(|e| bytes::read_error(e, &self.origin))?;
            let (text, ends) = (self.text.get_mut(length..), self.ends.get_mut(count..));
            let (result, read, written, ended) =
                self.parser.read_record(input, text.unwrap_or_default(), ends.unwrap_or_default());
            self.reader.consume(read);
            (length, count) = (length + written, count + ended);
            let most = self.bounds.max_unpacked_bytes;
            if length as u64 > most {
                return Err(DataError::TooManyBytes { origin: self.origin.clone(), most });
            }
            if count > self.bounds.max_columns {
                let (origin, most) = (self.origin.clone(), self.bounds.max_columns);
                return Err(DataError::Csv(CsvError::TooManyColumns {
                    origin,
                    line: before,
                    most,
                }));
            }
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.text.resize(2 * self.text.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => break,
                ReadRecordResult::End => return Ok(None),
            }
        }
        self.text.truncate(length);
        self.ends.truncate(count);
        // The line before the row includes blank lines that were passed over, so it is counted back from
        // the line after it. A row that the end of the file ends has no line after it.
        let after = self.parser.line();
        let within = self.text.iter().filter(|&&byte| byte == b'\n').count() as u64;
        Ok(Some(after.saturating_sub(within + 1).max(before)))
    }
}

pub(in crate::data) type Marked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Takes off the byte-order mark that spreadsheets put before UTF-8, which would become part of
/// the first column's name. (The csv crate does so too, but only if one read brings all of it.)
fn without_mark<R: Read>(mut reader: R, origin: &Origin) -> Result<Marked<R>, DataError> {
    const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
    let mut start = bytes::take(&mut reader, MARK.len(), origin)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(reader))
}

/// Turns `\r\n` and a lone `\r` into `\n`: csv-core reads all three as the end of a row, but
/// counts only `\n` as the end of a line, and that with the row after it.
struct UnixLines<R> {
    inner: BufReader<R>,
    after_return: bool,
}

impl<R: Read> Read for UnixLines<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        loop {
            let input = self.inner.fill_buf()?;
            if input.is_empty() || out.is_empty() {
                return Ok(0);
            }
            let mut slots = out.iter_mut();
            let mut used = 0;
            let mut written = 0;
            for &byte in input {
                let skipped = byte == b'\n' && self.after_return;
                if !skipped {
                    let Some(slot) = slots.next() else { break };
                    *slot = if byte == b'\r' { b'\n' } else { byte };
                    written += 1;
                }
                self.after_return = byte == b'\r';
                used += 1;
            }
            self.inner.consume(used);
            // A read of 0 bytes would mean the end; a lone skipped `\n` is not.
            if written > 0 {
                return Ok(written);
            }
        }
    }
}
