//! Text with one kind of line ending, and rows that know their line.

use std::io::{self, BufRead, BufReader, Cursor, Read};

use csv::ByteRecord;

use crate::data::error::DataError;
use crate::data::origin::{Origin, excerpt};
use crate::data::source;

/// The rows of a CSV text, numbered by the line that each starts on.
pub(super) struct Rows<'a, R> {
    reader: csv::Reader<UnixLines<R>>,
    record: ByteRecord,
    origin: &'a Origin,
}

/// One row: its fields, without the white space around them.
pub(super) struct Row<'a> {
    /// The line that the row starts on, from 1.
    pub line: u64,
    pub fields: Vec<&'a str>,
}

impl<'a, R: Read> Rows<'a, Marked<R>> {
    pub(super) fn new(reader: R, delimiter: u8, origin: &'a Origin) -> Result<Self, DataError> {
        let reader =
            UnixLines { inner: BufReader::new(without_mark(reader, origin)?), after_return: false };
        let reader = csv::ReaderBuilder::new()
            .delimiter(delimiter)
            .has_headers(false)
            .flexible(true)
            .from_reader(reader);
        Ok(Self { reader, record: ByteRecord::new(), origin })
    }
}

impl<R: Read> Rows<'_, R> {
    /// The next row; blank lines are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Row<'_>>, DataError> {
        let before = self.reader.position().line();
        match self.reader.read_byte_record(&mut self.record) {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(cause) => {
                return Err(DataError::Read { origin: self.origin.clone(), cause: cause.into() });
            }
        }
        // The line before the record includes blank lines that were passed over, so it is counted
        // back from the line after it. A record that the end of the file ends has no line after it.
        let after = self.reader.position().line();
        let within = self.record.as_slice().iter().filter(|&&byte| byte == b'\n').count() as u64;
        let line = after.saturating_sub(within + 1).max(before);

        let mut fields = Vec::with_capacity(self.record.len());
        for (column, field) in self.record.iter().enumerate() {
            let text = str::from_utf8(field).map_err(|_| DataError::CsvNotUtf8 {
                origin: self.origin.clone(),
                line,
                column,
                value: excerpt(&String::from_utf8_lossy(field)),
            })?;
            fields.push(text.trim());
        }
        Ok(Some(Row { line, fields }))
    }
}

type Marked<R> = io::Chain<Cursor<Vec<u8>>, R>;

/// Takes off the byte-order mark that spreadsheets put before UTF-8, which would become part of
/// the first column's name. (The csv crate does so too, but only if one read brings all of it.)
fn without_mark<R: Read>(mut reader: R, origin: &Origin) -> Result<Marked<R>, DataError> {
    const MARK: [u8; 3] = [0xef, 0xbb, 0xbf];
    let mut start = source::take(&mut reader, MARK.len(), origin)?;
    if start == MARK {
        start.clear();
    }
    Ok(Cursor::new(start).chain(reader))
}

/// Turns `\r\n` and a lone `\r` into `\n`: the csv crate reads all three as the end of a row, but
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
