//! Tables out of CSV files, whole or in blocks of rows.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;
use std::sync::Arc;

use super::guess::{self, Counts};
use super::{Place, Table};
use crate::data::bytes;
use crate::data::csv::lines::{Marked, Rows};
use crate::data::error::{CsvError, DataError, TableError};
use crate::data::options::DataOptions;
use crate::data::origin::{Origin, excerpt};

/// How a table is read.
///
/// ```
/// use wgrad::data::TableOptions;
/// let options = TableOptions { delimiter: Some(b';'), ..TableOptions::default() };
/// assert_eq!(options.header, None);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableOptions {
    /// The byte between fields; if none is given, the one of comma, semicolon, tab, `|` and space that
    /// the first lines show.
    pub delimiter: Option<u8>,
    /// Whether the first line names the columns; if it is not said, it does unless all of its fields are
    /// numbers. Without names, columns are called by their position: `0`, `1`, ….
    pub header: Option<bool>,
    /// How much is held in memory at once: in bytes of text and in fields, of a table or of one block of
    /// it; and the most columns.
    pub bounds: DataOptions,
}

/// Reads a table in blocks of rows, so that one larger than the memory, or one that never ends, goes
/// through it.
///
/// The first line of the tables that scikit-learn brings along (`150,4,setosa,versicolor,virginica`)
/// is understood: columns are called by their position, the last one is `target`, and holds the
/// classes' names in place of their numbers.
///
/// ```
/// use wgrad::data::{TableOptions, TableReader};
/// # fn main() -> Result<(), wgrad::data::DataError> {
/// let text = "x,y\n1,2\n3,4\n5,6\n";
/// let mut reader = TableReader::new(text.as_bytes(), &TableOptions::default())?;
/// while let Some(block) = reader.next_block(2)? {
///     assert_eq!(block.names(), ["x", "y"]);
/// }
/// # Ok(())
/// # }
/// ```
pub struct TableReader<'a> {
    rows: Rows<Marked<Box<dyn Read + 'a>>>,
    names: Arc<[String]>,
    /// Whether the first line says them.
    named: bool,
    /// Rows that were read to see what the file is like, with their lines.
    pending: VecDeque<(u64, Vec<String>)>,
    /// What the first line says, in a table of scikit-learn's.
    counts: Option<Counts>,
    /// Rows that were given out.
    given: usize,
    bounds: DataOptions,
    origin: Origin,
}

/// Reads a whole CSV text as a table, gzipped or not, up to the end of `reader`.
///
/// # Errors
/// As [`TableReader::new`] and [`TableReader::next_block`].
pub fn read_table(reader: impl Read, options: &TableOptions) -> Result<Table, DataError> {
    TableReader::new(reader, options)?.read_all()
}

/// Reads a whole CSV file as a table, gzipped or not.
///
/// # Errors
/// As [`read_table`], and if the file cannot be opened.
pub fn read_table_file(path: impl AsRef<Path>, options: &TableOptions) -> Result<Table, DataError> {
    TableReader::open(path, options)?.read_all()
}

impl TableReader<'static> {
    /// A file's rows, gzipped or not.
    ///
    /// # Errors
    /// As [`TableReader::new`], and if the file cannot be opened.
    pub fn open(path: impl AsRef<Path>, options: &TableOptions) -> Result<Self, DataError> {
        let (file, origin): (BufReader<File>, Origin) = bytes::open(path.as_ref())?;
        Self::from(file, options, origin)
    }
}

impl<'a> TableReader<'a> {
    /// The rows of a CSV text, gzipped or not; its first lines are read.
    ///
    /// # Errors
    /// If reading fails, the text is empty, the data is gzipped and the feature `gzip` is off, the
    /// delimiter is a quote, a line ending or not ASCII, two columns have one name, or the first line has
    /// more columns than allowed or is not UTF-8.
    pub fn new(reader: impl Read + 'a, options: &TableOptions) -> Result<Self, DataError> {
        Self::from(reader, options, Origin::Memory)
    }

    /// The same of a reader that errors call `name`.
    ///
    /// # Errors
    /// As [`TableReader::new`].
    pub fn named(
        reader: impl Read + 'a,
        name: &str,
        options: &TableOptions,
    ) -> Result<Self, DataError> {
        Self::from(reader, options, Origin::Named(name.into()))
    }

    fn from(
        reader: impl Read + 'a,
        options: &TableOptions,
        origin: Origin,
    ) -> Result<Self, DataError> {
        let bounds = options.bounds;
        // A stream may be longer than what is held of it, which the blocks bound.
        let unbounded = DataOptions { max_unpacked_bytes: u64::MAX, ..bounds };
        let mut text = bytes::unpacked(reader, &unbounded, &origin)?;
        let (start, whole) = first_lines(&mut text, &origin)?;
        let delimiter = match options.delimiter {
            Some(delimiter) => delimiter,
            None => guess::delimiter(&start, whole),
        };
        if !delimiter.is_ascii() || matches!(delimiter, b'"' | b'\n' | b'\r') {
            return Err(CsvError::Delimiter { delimiter }.into());
        }
        let text: Box<dyn Read + 'a> = Box::new(Cursor::new(start).chain(text));
        let rows = Rows::new(text, delimiter, &bounds, &origin)?;
        let names = Arc::from(Vec::new());
        let pending = VecDeque::new();
        let mut reader =
            Self { rows, names, named: false, pending, counts: None, given: 0, bounds, origin };
        reader.read_names(options.header)?;
        // Columns that have one name are found here.
        Table::empty(Arc::clone(&reader.names), reader.origin.clone())?;
        Ok(reader)
    }

    fn read_names(&mut self, header: Option<bool>) -> Result<(), DataError> {
        let Some((line, first)) = self.read_row()? else {
            return Err(DataError::Empty { origin: self.origin.clone() });
        };
        let second = self.read_row()?;
        let fields: Vec<&str> = first.iter().map(String::as_str).collect();
        let counts = match (&second, header) {
            (Some((_, row)), None) => Counts::of(&fields, row),
            _ => None,
        };
        let positions = |columns: usize| (0..columns).map(|position| position.to_string());
        let has_names = header.unwrap_or_else(|| !guess::is_data(&fields));
        self.names = match &counts {
            Some(counts) => positions(counts.features).chain(["target".to_owned()]).collect(),
            None if has_names => first.iter().cloned().collect(),
            None => positions(first.len()).collect(),
        };
        self.counts = counts;
        self.named = self.counts.is_none() && has_names;
        if self.counts.is_none() && !has_names {
            self.pending.push_back((line, first));
        }
        self.pending.extend(second);
        Ok(())
    }

    fn read_row(&mut self) -> Result<Option<(u64, Vec<String>)>, DataError> {
        let row = self.rows.next()?;
        Ok(row.map(|row| (row.line, row.fields.iter().map(|&field| field.to_owned()).collect())))
    }

    /// The names of the columns.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether the first line was taken for the names of the columns.
    pub fn has_names(&self) -> bool {
        self.named
    }

    /// The next `rows` rows, fewer only at the end; `None` where no more follow.
    ///
    /// # Errors
    /// If reading fails, a row has more or fewer fields than there are columns, a field is not UTF-8, or
    /// the block takes more than [`TableOptions::bounds`] allow. For a table of scikit-learn's, also if it has
    /// another number of rows than its first line says, or a class number that this does not name.
    pub fn next_block(&mut self, rows: usize) -> Result<Option<Table>, DataError> {
        let mut table = Table::empty(Arc::clone(&self.names), self.origin.clone())?;
        while table.rows() < rows && self.push_next(&mut table)? {
            self.check_size(&table)?;
        }
        self.given = self.given.saturating_add(table.rows());
        if let Some(Counts { rows: promised, .. }) = self.counts
            && (self.given > promised || table.rows() < rows && self.given != promised)
        {
            let (origin, found) = (self.origin.clone(), self.given);
            return Err(TableError::RowCount { origin, promised, found }.into());
        }
        Ok((table.rows() > 0).then_some(table))
    }

    /// All rows that are left.
    ///
    /// # Errors
    /// As [`TableReader::next_block`].
    pub fn read_all(mut self) -> Result<Table, DataError> {
        match self.next_block(usize::MAX)? {
            Some(table) => Ok(table),
            None => Err(DataError::Empty { origin: self.origin }),
        }
    }

    /// Adds a row to `table`; `false` at the end.
    fn push_next(&mut self, table: &mut Table) -> Result<bool, DataError> {
        let before = table.ends.len();
        let line = match self.pending.pop_front() {
            Some((line, fields)) => {
                fields.iter().for_each(|field| table.push_field(field));
                line
            }
            None => {
                let Some(row) = self.rows.next()? else { return Ok(false) };
                row.fields.iter().for_each(|field| table.push_field(field));
                row.line
            }
        };
        table.check_row(table.ends.len().saturating_sub(before), Place::Line(line))?;
        table.lines.push(line);
        if let Some(Counts { classes, .. }) = &self.counts {
            name_class(table, classes)?;
        }
        Ok(true)
    }

    fn check_size(&self, table: &Table) -> Result<(), DataError> {
        let most = self.bounds.max_unpacked_bytes;
        if table.text.len() as u64 > most {
            return Err(DataError::TooManyBytes { origin: self.origin.clone(), most });
        }
        let (rows, width, most) = (table.rows(), table.names.len(), self.bounds.max_fields);
        if table.ends.len() > most {
            return Err(
                CsvError::TooLarge { origin: self.origin.clone(), rows, width, most }.into()
            );
        }
        Ok(())
    }
}

/// Puts the name of the class in the place of the number that ends the last row.
fn name_class(table: &mut Table, classes: &[String]) -> Result<(), DataError> {
    let (row, column) = (table.rows().saturating_sub(1), table.names.len().saturating_sub(1));
    let value = table.field(row, column).unwrap_or_default();
    let Some(name) = value.parse().ok().and_then(|class: usize| classes.get(class)) else {
        return Err(TableError::ClassNumber {
            origin: table.origin.clone(),
            place: table.place(row),
            value: excerpt(value),
            classes: classes.len(),
        }
        .into());
    };
    table.ends.pop();
    table.text.truncate(table.ends.last().copied().unwrap_or(0));
    table.push_field(name);
    Ok(())
}

/// The first lines of a text, and whether they are all of it: enough to see its delimiter by. A pipe may
/// bring a line now and the next one much later, so no more is waited for than two lines.
fn first_lines(text: &mut impl Read, origin: &Origin) -> Result<(Vec<u8>, bool), DataError> {
    const MOST: usize = 1 << 16;
    let mut start = Vec::new();
    let mut part = [0; 4096];
    while start.len() < MOST && start.iter().filter(|&&byte| byte == b'\n').count() < 2 {
        let count = match text.read(&mut part) {
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(bytes::read_error(error, origin)),
        };
        if count == 0 {
            return Ok((start, true));
        }
        start.extend(part.iter().take(count));
    }
    Ok((start, false))
}
