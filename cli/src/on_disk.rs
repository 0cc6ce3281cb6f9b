//! Tables that are larger than memory: read in blocks, encoded as a sample of their rows shows, and kept as numbers in
//! files of a folder.

use std::fs;
use std::path::{Path, PathBuf};

use wgrad::data::{DataError, Encoder, NpyWriter, Source, Table, TableError};

use crate::args::TableArgs;
use crate::failure::{Failure, Outcome};
use crate::table::{self, Reader};

/// Rows that are read at once.
const BLOCK: usize = 8192;

/// Rows by which columns are judged, and fields that they have together, at most.
const SAMPLE_ROWS: usize = 100_000;
const SAMPLE_FIELDS: usize = 4 << 20;

/// A table in blocks of rows, perhaps with its targets beside it.
pub struct Blocks {
    table: Reader,
    targets: Option<Reader>,
    /// What the columns of targets are called.
    names: Vec<String>,
    first: usize,
}

impl Blocks {
    pub fn open(path: &Path, targets: Option<&Path>, reading: &TableArgs) -> Outcome<Self> {
        for path in [Some(path), targets].into_iter().flatten() {
            if table::is_stdin(path) {
                return Err(Failure::usage(
                    "--on-disk reads a table twice, and standard input is there once; give a file",
                ));
            }
        }
        let targets = targets.map(|targets| table::open(targets, reading)).transpose()?;
        let table = table::open(path, reading)?;
        Ok(Self { table, targets, names: Vec::new(), first: 0 })
    }

    /// The next rows, and the number of the first.
    pub fn next(&mut self) -> Outcome<Option<(usize, Table)>> {
        let first = self.first;
        let mut table = self.table.next_block(BLOCK)?;
        if let Some(targets) = &mut self.targets {
            table = match (table, targets.next_block(BLOCK)?) {
                (Some(table), Some(targets)) => {
                    let (joined, names) = table::join(table, targets)?;
                    self.names = names;
                    Some(joined)
                }
                (None, None) => None,
                (Some(_), None) => return Err(uneven("fewer", first)),
                (None, Some(_)) => return Err(uneven("more", first)),
            };
        }
        self.first += table.as_ref().map_or(0, Table::rows);
        Ok(table.map(|table| (first, table)))
    }

    /// Some of the rows that are `wanted`, of which each is as likely as any other, in their order (Vitter's
    /// algorithm R, 1985); and how many rows there are.
    pub fn sample(mut self, seed: u64, wanted: impl Fn(usize) -> bool) -> Outcome<Sample> {
        let (mut names, mut met, mut total) = (Vec::new(), 0u64, 0);
        let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
        while let Some((first, block)) = self.next()? {
            let width = block.names().len();
            let most = (SAMPLE_FIELDS / width.max(1)).clamp(1, SAMPLE_ROWS);
            for row in (0..block.rows()).filter(|row| wanted(first + row)) {
                met += 1;
                let place = match rows.len() < most {
                    true => rows.len(),
                    false => (share(seed, met) * met as f64) as usize,
                };
                if place >= most {
                    continue;
                }
                let of = |column| block.field(row, column).unwrap_or_default().to_owned();
                let fields = (first + row, (0..width).map(of).collect::<Vec<String>>());
                match rows.get_mut(place) {
                    Some(kept) => *kept = fields,
                    None => rows.push(fields),
                }
            }
            names = block.names().to_vec();
            total = first + block.rows();
        }
        rows.sort_by_key(|(row, _)| *row);
        if names.is_empty() {
            return Err(Failure::new("the table holds no rows"));
        }
        let table = Table::new(names, rows.into_iter().map(|(_, fields)| fields))?;
        Ok(Sample { table, targets: self.names, total })
    }
}

fn uneven(which: &str, row: usize) -> Failure {
    Failure::new(format!(
        "the table of targets has {which} rows than the other, which has {row} or more"
    ))
}

/// Rows of a table by which it is judged.
pub struct Sample {
    pub table: Table,
    /// What the columns of targets beside the table are called.
    pub targets: Vec<String>,
    /// Rows of the whole table.
    pub total: usize,
}

/// A number from 0 to 1 that a row has, whenever it is asked for (SplitMix64).
pub fn share(seed: u64, row: u64) -> f64 {
    let mut z = seed.wrapping_add(row.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) as f64 / (u64::MAX as f64 + 1.0)
}

/// What an encoder made of a block; nothing if all of its rows lack a value and are left out.
pub fn unless_dropped<T>(encoded: Result<T, DataError>) -> Outcome<Option<T>> {
    match encoded {
        Ok(encoded) => Ok(Some(encoded)),
        Err(DataError::Table(TableError::AllDropped { .. })) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// A file of numbers that goes with this.
pub struct Spool {
    path: PathBuf,
    file: Option<NpyWriter>,
    pub rows: usize,
    width: usize,
}

impl Spool {
    /// In a folder, with so many numbers a row.
    pub fn create(folder: &Path, what: &str, width: usize) -> Outcome<Self> {
        let path = folder.join(format!("wgrad-{what}-{}.npy", std::process::id()));
        let file = Some(NpyWriter::create(&path, width)?);
        Ok(Self { path, file, rows: 0, width })
    }

    pub fn write(&mut self, rows: &[f32]) -> Outcome {
        self.rows += rows.len() / self.width.max(1);
        match &mut self.file {
            Some(file) => Ok(file.write(rows)?),
            None => Err(Failure::new("rows for a file that is complete")),
        }
    }

    /// What was written.
    pub fn read(&mut self) -> Outcome<Source> {
        if let Some(file) = self.file.take() {
            file.finish()?;
        }
        Ok(Source::npy(&self.path)?)
    }

    /// Bytes of it.
    pub fn bytes(&self) -> usize {
        4 * self.rows * self.width
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // What cannot be removed is somebody else's by now.
        let _ = fs::remove_file(&self.path);
    }
}

/// The features of all rows in a file, and which rows were left out.
pub fn features(
    mut blocks: Blocks,
    encoder: &Encoder,
    folder: &Path,
    mut report: impl FnMut(wgrad::data::EncodingReport),
) -> Outcome<(Spool, Vec<usize>)> {
    let mut file = Spool::create(folder, "rows", encoder.width())?;
    let mut left_out = Vec::new();
    while let Some((first, block)) = blocks.next()? {
        let encoded = unless_dropped(encoder.encode(&block))?;
        let mut kept = encoded.iter().flat_map(|encoded| &encoded.rows).peekable();
        left_out.extend(
            (0..block.rows()).filter_map(|row| {
                kept.next_if(|&&kept| kept == row).is_none().then_some(first + row)
            }),
        );
        if let Some(encoded) = encoded {
            file.write(&encoded.features)?;
            report(encoded.report);
        }
    }
    Ok((file, left_out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_spread_evenly() {
        let below = |seed, most: f64| (0..10_000).filter(|&row| share(seed, row) < most).count();
        for (seed, most) in [(0, 0.2), (1, 0.2), (7, 0.9)] {
            // Within five deviations.
            let (found, expected) = (below(seed, most) as f64, 10_000.0 * most);
            assert!((found - expected).abs() < 5.0 * (expected * (1.0 - most)).sqrt(), "{found}");
        }
        assert_ne!(share(0, 1), share(1, 1));
    }
}
