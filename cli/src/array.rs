//! Files of arrays, `.npy` and IDX, as tables: columns are called by their position, as in a text without names.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::path::Path;

use flate2::read::GzDecoder;
use wgrad::data::{ArrayFile, DataError, FeatureBatches, Origin, Source, Table};

use crate::args::TableArgs;
use crate::failure::{Failure, Outcome};
use crate::progress::Voice;

/// Fields of an array that is held as a table, at most: each takes some twenty bytes.
const MOST_FIELDS: usize = 1 << 28;

/// Bytes that say what a file is.
const START: u64 = 6;

/// The array at `path`; nothing if it is no file of one.
pub fn file(path: &Path) -> Outcome<Option<ArrayFile>> {
    // What cannot be opened is said by whoever reads it as text.
    let Ok(known) = fs::metadata(path) else { return Ok(None) };
    if known.is_dir() {
        return Err(Failure::new(format!("{}: is a folder; give a file", path.display())));
    }
    // What is read of a pipe is gone.
    if !known.is_file() {
        return Ok(None);
    }
    let start = start(path)
        .map_err(|cause| DataError::Read { origin: Origin::File(path.into()), cause })?;
    Ok(match start.as_slice() {
        b"\x93NUMPY" => Some(ArrayFile::npy(path)?),
        [0, 0, 8..=14, axes, ..] if *axes > 0 => Some(ArrayFile::idx(path)?),
        _ => None,
    })
}

/// How a file starts, unpacked: a gzipped array is told, too, and refused by who opens it.
fn start(path: &Path) -> std::io::Result<Vec<u8>> {
    let (mut file, mut start) = (File::open(path)?, Vec::new());
    file.by_ref().take(START).read_to_end(&mut start)?;
    if start.starts_with(&[0x1f, 0x8b]) {
        file.rewind()?;
        let mut unpacked = Vec::new();
        // Damage is found and said where it is read as text.
        if GzDecoder::new(file).take(START).read_to_end(&mut unpacked).is_ok() {
            start = unpacked;
        }
    }
    Ok(start)
}

/// Refuses options of text, which an array is not.
pub fn refuse_options(path: &Path, args: &TableArgs) -> Outcome {
    let given = [("delimiter", args.delimiter.is_some()), ("no-header", args.no_header)];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Failure::usage(format!(
            "--{option} is of text, and {} is an array; leave it out",
            path.display()
        ))),
        None => Ok(()),
    }
}

/// Says which number is not read as it stands in an array's file.
pub fn note_rounded(file: &ArrayFile, voice: Voice) -> Outcome {
    if let Some((row, column, number)) = file.first_rounded()? {
        voice.say(format!(
            "note: row {row}, column {column} (from 0) holds {number}: numbers of arrays are rounded to some seven \
             digits (f32), which moves this one; a table of text keeps more of them"
        ));
    }
    Ok(())
}

/// What the columns of an array are called.
pub fn names(source: &Source) -> Vec<String> {
    (0..source.width()).map(|column| column.to_string()).collect()
}

/// The rows of an array, some at a time as a table.
pub struct ArrayReader {
    file: ArrayFile,
    source: Source,
    batches: Option<(usize, FeatureBatches)>,
}

impl ArrayReader {
    pub fn new(file: ArrayFile) -> Self {
        Self { source: Source::new(file.clone()), file, batches: None }
    }

    pub fn file(&self) -> &ArrayFile {
        &self.file
    }

    /// The next `rows` rows, as many each time; nothing after the last.
    pub fn next_block(&mut self, rows: usize) -> Result<Option<Table>, DataError> {
        let batches = match &mut self.batches {
            Some((of, batches)) if *of == rows => batches,
            begun => &mut begun.insert((rows, self.source.feature_batches(rows)?)).1,
        };
        batches.next().map(|values| table(&self.source, &values?)).transpose()
    }

    /// All rows; `instead` is what can be done where they are too many.
    pub fn read_all(self, instead: &str) -> Outcome<Table> {
        let (rows, width) = (self.source.count()?, self.source.width());
        if rows.saturating_mul(width) > MOST_FIELDS {
            return Err(Failure::new(format!(
                "the array has {rows} rows of {width} numbers, too many to be held as a table; {instead}"
            )));
        }
        let mut values = Vec::with_capacity(rows * width);
        for some in self.source.feature_batches(rows)? {
            values.extend(some?);
        }
        Ok(table(&self.source, &values)?)
    }
}

fn table(source: &Source, values: &[f32]) -> Result<Table, DataError> {
    let rows = values.chunks(source.width().max(1));
    Table::new(names(source), rows.map(|row| row.iter().map(f32::to_string)))
}
