//! Tables, from files and from standard input.

use std::io;
use std::path::Path;

use wgrad::data::{DataOptions, Encoder, LeftOutReason, Table, TableOptions, TableReader};

use crate::args::TableArgs;
use crate::array::{self, ArrayReader};
use crate::failure::Outcome;
use crate::progress::Voice;

/// Whether a path stands for standard input.
pub fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// A table that is read, from text or an array.
pub enum Reader {
    Text(Box<TableReader<'static>>),
    Array(Box<ArrayReader>),
}

impl Reader {
    /// The next `rows` rows, as many each time; nothing after the last.
    pub fn next_block(&mut self, rows: usize) -> Outcome<Option<Table>> {
        Ok(match self {
            Self::Text(reader) => reader.next_block(rows)?,
            Self::Array(reader) => reader.next_block(rows)?,
        })
    }

    /// All rows; `instead` is what can be done where an array has too many.
    pub fn read_all(self, instead: &str) -> Outcome<Table> {
        match self {
            Self::Text(reader) => Ok(reader.read_all()?),
            Self::Array(reader) => reader.read_all(instead),
        }
    }

    /// Says which number of an array is not read as it stands there.
    pub fn note_rounded(&self, voice: Voice) -> Outcome {
        match self {
            Self::Text(_) => Ok(()),
            Self::Array(reader) => array::note_rounded(reader.file(), voice),
        }
    }

    /// Says where the first line names the columns, and may be a row.
    pub fn doubt_header(&self, voice: Voice) {
        let Self::Text(reader) = self else { return };
        let names = reader.names();
        if !reader.has_names() || names.iter().all(|name| name.parse::<f64>().is_err()) {
            return;
        }
        voice.say(format!(
            "note: the first line is taken for the names of the columns ({}), some of which are numbers; if it is a \
             row, give --no-header",
            names.iter().take(5).cloned().collect::<Vec<_>>().join(", ")
        ));
    }
}

/// A reader of the table at `path`.
pub fn open(path: &Path, args: &TableArgs) -> Outcome<Reader> {
    Ok(open_with(path, None, args)?.0)
}

/// Readers of the table at `path`, and of one beside it. Options of text may be of either.
pub fn open_with(
    path: &Path,
    beside: Option<&Path>,
    args: &TableArgs,
) -> Outcome<(Reader, Option<Reader>)> {
    let table = open_any(path, args)?;
    let beside = beside.map(|path| open_any(path, args)).transpose()?;
    let is_array = |reader: &Reader| matches!(reader, Reader::Array(_));
    if is_array(&table) && beside.as_ref().is_none_or(is_array) {
        array::refuse_options(path, args)?;
    }
    Ok((table, beside))
}

fn open_any(path: &Path, args: &TableArgs) -> Outcome<Reader> {
    let options = TableOptions {
        delimiter: args.delimiter,
        header: args.no_header.then_some(false),
        bounds: DataOptions::default(),
    };
    if is_stdin(path) {
        let reader = TableReader::named(io::stdin(), "standard input", &options)?;
        return Ok(Reader::Text(Box::new(reader)));
    }
    Ok(match array::file(path)? {
        Some(file) => Reader::Array(Box::new(ArrayReader::new(file))),
        None => Reader::Text(Box::new(TableReader::open(path, &options)?)),
    })
}

/// The whole table at `path`.
pub fn read(path: &Path, args: &TableArgs, voice: Voice) -> Outcome<Table> {
    let reader = open(path, args)?;
    reader.note_rounded(voice)?;
    reader.read_all("give some of its rows")
}

/// A table whose targets stand in another one, row by row. Columns that are called by their position go on
/// counting.
pub fn join(table: Table, targets: Table) -> Outcome<(Table, Vec<String>)> {
    let first = table.names().len();
    let by_position = targets.names().iter().enumerate().all(|(at, name)| *name == at.to_string());
    let names: Vec<String> = match by_position {
        true if targets.names().len() == 1 => vec!["target".into()],
        true => (0..targets.names().len()).map(|at| (first + at).to_string()).collect(),
        false => targets.names().to_vec(),
    };
    let targets = targets.renamed(names.clone())?;
    Ok((table.join(&targets)?, names))
}

/// Says what each column is taken for, and which are left out.
pub fn describe(encoder: &Encoder, voice: Voice) {
    for (column, range) in encoder.column_features() {
        let kind = column.encoding.column_type().name();
        let features = range.len();
        let s = if features == 1 { "" } else { "s" };
        voice.say(format!("column: {}, {kind}, {features} feature{s}", column.name));
    }
    for column in encoder.left_out() {
        let why = match &column.reason {
            LeftOutReason::Constant(value) if value.is_empty() => "it is empty".to_owned(),
            LeftOutReason::Constant(value) => format!("it holds {value:?} in every row"),
            _ => "ignored".to_owned(),
        };
        voice.say(format!("column: {} is left out: {why}", column.name));
    }
}
