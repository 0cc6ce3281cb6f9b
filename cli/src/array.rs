//! Files of arrays, `.npy` and IDX, as tables: columns are called by their position, as in a text without names.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use wgrad::data::{DataError, FeatureBatches, Source, Table};

use crate::args::TableArgs;
use crate::failure::{Failure, Outcome};

/// Fields of an array that is held as a table, at most: each takes some twenty bytes.
const MOST_FIELDS: usize = 1 << 28;

/// The rows of an array at `path`; nothing if it is no file of one.
pub fn source(path: &Path, args: &TableArgs) -> Outcome<Option<Source>> {
    let mut start = Vec::new();
    // What cannot be opened is said by whoever reads it as text.
    if let Ok(file) = File::open(path) {
        file.take(6).read_to_end(&mut start)?;
    }
    let source = match start.as_slice() {
        b"\x93NUMPY" => Source::npy(path)?,
        [0, 0, 8..=14, axes, ..] if *axes > 0 => Source::idx(path, 1.0)?,
        _ => return Ok(None),
    };
    let given = [("delimiter", args.delimiter.is_some()), ("no-header", args.no_header)];
    match given.into_iter().find(|(_, given)| *given) {
        Some((option, _)) => Err(Failure::usage(format!(
            "--{option} is of text, and {} is an array; leave it out",
            path.display()
        ))),
        None => Ok(Some(source)),
    }
}

/// What the columns of an array are called.
pub fn names(source: &Source) -> Vec<String> {
    (0..source.width()).map(|column| column.to_string()).collect()
}

/// The rows of an array, some at a time as a table.
pub struct ArrayReader {
    source: Source,
    batches: Option<(usize, FeatureBatches)>,
}

impl ArrayReader {
    pub fn new(source: Source) -> Self {
        Self { source, batches: None }
    }

    /// The next `rows` rows, as many each time; nothing after the last.
    pub fn next_block(&mut self, rows: usize) -> Result<Option<Table>, DataError> {
        let batches = match &mut self.batches {
            Some((of, batches)) if *of == rows => batches,
            begun => &mut begun.insert((rows, self.source.feature_batches(rows)?)).1,
        };
        batches.next().map(|values| table(&self.source, &values?)).transpose()
    }

    pub fn read_all(self) -> Outcome<Table> {
        let (rows, width) = (self.source.count()?, self.source.width());
        if rows.saturating_mul(width) > MOST_FIELDS {
            return Err(Failure::new(format!(
                "the array has {rows} rows of {width} numbers, too many to be held as a table; --on-disk FOLDER trains \
                 on what is larger than memory"
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
