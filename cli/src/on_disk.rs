//! Tables that are larger than memory: read in blocks, encoded as a sample of their rows shows, and kept as numbers in
//! files of a folder.

use std::collections::HashMap;
use std::fs::{self, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use wgrad::data::{
    DataError, Encoder, EncodingReport, NpyWriter, Origin, Source, Table, TableError,
};

use crate::args::TableArgs;
use crate::failure::{Failure, Outcome};
use crate::interrupt;
use crate::progress::Voice;
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
            let once = match fs::metadata(path) {
                _ if table::is_stdin(path) => "standard input".to_owned(),
                Ok(known) if !known.is_file() && !known.is_dir() => path.display().to_string(),
                _ => continue,
            };
            return Err(Failure::usage(format!(
                "--on-disk reads a table twice, and {once} is there once; give a file"
            )));
        }
        let (table, targets) = table::open_with(path, targets, reading)?;
        Ok(Self { table, targets, names: Vec::new(), first: 0 })
    }

    /// Says which numbers are not read as they stand in a file.
    pub fn note_rounded(&self, voice: Voice) -> Outcome {
        [Some(&self.table), self.targets.as_ref()]
            .into_iter()
            .flatten()
            .try_for_each(|reader| reader.note_rounded(voice))
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
    /// algorithm R, 1985); and how many rows there are. With `targets`, which may be empty for the last column, also
    /// these rows with one more for each value of the target that none of them has.
    pub fn sample(
        mut self,
        seed: u64,
        targets: Option<&[String]>,
        wanted: impl Fn(usize) -> bool,
    ) -> Outcome<Sample> {
        let (mut names, mut met, mut total) = (Vec::new(), 0u64, 0);
        let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
        let (mut classes, mut target) = (Some(Classes::default()), None);
        while let Some((first, block)) = self.next()? {
            let width = block.names().len();
            let most = (SAMPLE_FIELDS / width.max(1)).clamp(1, SAMPLE_ROWS);
            target = match targets {
                Some([]) => width.checked_sub(1),
                Some([target]) => block.column(target),
                _ => None,
            };
            let of = |row: usize| {
                let field = |column| block.field(row, column).unwrap_or_default().to_owned();
                (first + row, (0..width).map(field).collect::<Vec<String>>())
            };
            for row in 0..block.rows() {
                let wanted = wanted(first + row);
                if let (Some(known), Some(target)) = (&mut classes, target) {
                    known.see(block.field(row, target).unwrap_or_default(), wanted, || of(row));
                    if known.first.len() > MOST_CLASSES.min(most) {
                        classes = None;
                    }
                }
                if !wanted {
                    continue;
                }
                met += 1;
                let place = match rows.len() < most {
                    true => rows.len(),
                    false => (share(seed, met) * met as f64) as usize,
                };
                if place >= most {
                    continue;
                }
                match rows.get_mut(place) {
                    Some(kept) => *kept = of(row),
                    None => rows.push(of(row)),
                }
            }
            names = block.names().to_vec();
            total = first + block.rows();
        }
        rows.sort_by_key(|(row, _)| *row);
        if names.is_empty() {
            return Err(Failure::new("the table holds no rows"));
        }
        if let (Some(classes), Some(target)) = (&mut classes, target) {
            rows.iter().filter_map(|(_, row)| row.get(target)).for_each(|value| {
                classes.first.remove(value);
            });
        }
        let rare = classes.into_iter().flat_map(|classes| classes.first.into_values());
        let mut rare: Vec<(usize, Vec<String>)> = rare.map(|(_, row)| row).collect();
        rare.sort_by_key(|(row, _)| *row);
        let fields = |rows: &[(usize, Vec<String>)]| -> Vec<Vec<String>> {
            rows.iter().map(|(_, fields)| fields.clone()).collect()
        };
        let with_rare = match rare.is_empty() {
            true => None,
            false => Some(Table::new(names.clone(), [fields(&rows), fields(&rare)].concat())?),
        };
        let table = Table::new(names, rows.into_iter().map(|(_, fields)| fields))?;
        Ok(Sample { table, with_rare, targets: self.names, total })
    }
}

fn uneven(which: &str, row: usize) -> Failure {
    Failure::new(format!(
        "the table of targets has {which} rows than the other, which has {row} or more"
    ))
}

/// Values of a target up to which they may be classes of which a sample has none.
const MOST_CLASSES: usize = 1000;

/// The first row of each value of a target, of those that are wanted if one of these has it.
#[derive(Default)]
struct Classes {
    first: HashMap<String, (bool, (usize, Vec<String>))>,
}

impl Classes {
    fn see(&mut self, value: &str, wanted: bool, row: impl Fn() -> (usize, Vec<String>)) {
        match self.first.get_mut(value) {
            Some(known) if wanted && !known.0 => *known = (true, row()),
            Some(_) => {}
            None => {
                self.first.insert(value.to_owned(), (wanted, row()));
            }
        }
    }
}

/// Rows of a table by which it is judged.
pub struct Sample {
    pub table: Table,
    /// The same with a row of each value of the target that none of them has, if there are such.
    pub with_rare: Option<Table>,
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

/// What an encoder made of a block; nothing if all of its rows lack a value and are left out, which are counted.
pub fn unless_dropped<T>(
    encoded: Result<T, DataError>,
    met: &mut EncodingReport,
) -> Outcome<Option<T>> {
    match encoded {
        Ok(encoded) => Ok(Some(encoded)),
        Err(DataError::Table(TableError::AllDropped { dropped, .. })) => {
            met.dropped += dropped;
            Ok(None)
        }
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
        let process = std::process::id();
        // Processes of two machines, or of two containers, may have one number and one folder.
        for attempt in 0..u16::MAX {
            let path = folder.join(format!("wgrad-{what}-{process}-{attempt}.npy"));
            match OpenOptions::new().write(true).create_new(true).open(&path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(cause) => {
                    return Err(DataError::Write { origin: Origin::File(path), cause }.into());
                }
                Ok(_) => {}
            }
            let mut own = Self { path, file: None, rows: 0, width };
            own.file = Some(NpyWriter::create(&own.path, width)?);
            return Ok(own);
        }
        let message =
            format!("{}: is full of files wgrad-{what}-{process}-…; remove them", folder.display());
        Err(Failure::new(message))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
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

/// The features of all rows in a file, and which rows were left out; Ctrl-C removes the file and ends the process.
pub fn features(
    mut blocks: Blocks,
    encoder: &Encoder,
    folder: &Path,
    met: &mut EncodingReport,
) -> Outcome<(Spool, Vec<usize>)> {
    let mut file = Spool::create(folder, "rows", encoder.width())?;
    interrupt::remove_and_end(file.path().to_path_buf());
    let mut left_out = Vec::new();
    while let Some((first, block)) = blocks.next()? {
        let encoded = unless_dropped(encoder.encode(&block), met)?;
        let mut kept = encoded.iter().flat_map(|encoded| &encoded.rows).peekable();
        left_out.extend(
            (0..block.rows()).filter_map(|row| {
                kept.next_if(|&&kept| kept == row).is_none().then_some(first + row)
            }),
        );
        if let Some(encoded) = encoded {
            file.write(&encoded.features)?;
            met.add(encoded.report);
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
