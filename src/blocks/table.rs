//! Rows of finite numbers, in memory or of a source.

use std::borrow::Cow;

use super::Frame;
use crate::Result;
use crate::data::{FeatureBatches, Part, Source, checked_rows};

/// Where rows lie.
#[derive(Clone, Debug)]
enum Values<'a> {
    Memory(&'a [f32]),
    Source(&'a Source),
}

/// Rows of finite numbers, seen from a frame.
#[derive(Clone, Debug)]
pub(crate) struct Table<'a> {
    values: Values<'a>,
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) frame: Frame,
}

/// Rows that the host looks at at once.
const AT_ONCE: usize = 4096;

impl<'a> Table<'a> {
    /// Rows of `columns` numbers, seen from their own mean.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) unless they are whole rows of finite numbers, at least one.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Result<Self> {
        let rows = checked_rows(values, columns, Part::Values)?;
        Self::seen_from_its_mean(Values::Memory(values), columns, rows)
    }

    /// The features of a source, seen from their own mean, in a pass over them.
    ///
    /// # Errors
    /// [`Error::Data`](crate::Error::Data) if they cannot be read or are not finite.
    pub(crate) fn of_source(source: &'a Source) -> Result<Self> {
        Self::seen_from_its_mean(Values::Source(source), source.width(), source.count()?)
    }

    fn seen_from_its_mean(values: Values<'a>, columns: usize, rows: usize) -> Result<Self> {
        let frame = Frame { mean: vec![0.0; columns], unit: 1.0, inverse: 1.0 };
        let table = Self { values, columns, rows, frame };
        let frame = Frame::over(columns, rows, |take| {
            table.each(|_, values| {
                take(values);
                Ok(())
            })
        })?;
        Ok(Self { frame, ..table })
    }

    /// Rows seen from another table's frame.
    ///
    /// # Errors
    /// As for [`Table::new`].
    pub(crate) fn within(values: &'a [f32], frame: &Frame) -> Result<Self> {
        let columns = frame.mean.len();
        let rows = checked_rows(values, columns, Part::Values)?;
        Ok(Self { values: Values::Memory(values), columns, rows, frame: frame.clone() })
    }

    /// The features of a source, seen from another table's frame.
    ///
    /// # Errors
    /// [`Error::Argument`](crate::Error::Argument) if it has another number of columns; if its rows cannot be counted.
    pub(crate) fn of_source_within(source: &'a Source, frame: &Frame) -> Result<Self> {
        let (columns, width) = (frame.mean.len(), source.width());
        if columns != width {
            let rule = format!("{columns}, as the rows that were fitted had");
            return Err(crate::Error::argument("features per row of the source", width, &rule));
        }
        let rows = source.count()?;
        Ok(Self { values: Values::Source(source), columns, rows, frame: frame.clone() })
    }

    pub(crate) fn is_in_memory(&self) -> bool {
        matches!(self.values, Values::Memory(_))
    }

    /// The rows from the first to the last, as they are, `rows` at a time.
    ///
    /// # Errors
    /// If those of a source are too many to be numbered.
    pub(crate) fn blocks(&self, rows: usize) -> Result<Blocks<'a>> {
        let reading = match self.values {
            Values::Memory(values) => Reading::Memory(values),
            Values::Source(source) => Reading::Source(source.feature_batches(rows)?),
        };
        Ok(Blocks { reading, columns: self.columns, all: self.rows, rows, first: 0 })
    }

    /// Gives all rows to `take`, some at a time, with the number of the first of them.
    ///
    /// # Errors
    /// If they cannot be read; those of `take`.
    pub(crate) fn each(&self, mut take: impl FnMut(usize, &[f32]) -> Result<()>) -> Result<()> {
        let mut blocks = self.blocks(AT_ONCE)?;
        while let Some((first, values)) = blocks.next()? {
            take(first, &values)?;
        }
        Ok(())
    }

    /// What `of` makes of each row in turn.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn map<T>(&self, mut of: impl FnMut(usize, &[f32]) -> T) -> Result<Vec<T>> {
        let mut all = Vec::with_capacity(self.rows);
        self.each(|first, values| {
            let rows = values.chunks(self.columns).enumerate();
            all.extend(rows.map(|(at, row)| of(first + at, row)));
            Ok(())
        })?;
        Ok(all)
    }

    /// The sum over all rows, in their order, of what `of` makes of each.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn sum(&self, mut of: impl FnMut(usize, &[f32]) -> f64) -> Result<f64> {
        let mut sum = 0.0;
        self.each(|first, values| {
            let rows = values.chunks(self.columns).enumerate();
            rows.for_each(|(at, row)| sum += of(first + at, row));
            Ok(())
        })?;
        Ok(sum)
    }

    /// The sum of the squares of all numbers, in the frame.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn squares(&self) -> Result<f64> {
        self.sum(|_, row| self.frame.seen(row).map(|x| x * x).sum())
    }

    /// These rows as they are, one after another. Of a source they are read from the first to the last.
    ///
    /// # Errors
    /// If they cannot be read.
    pub(crate) fn rows_at(&self, rows: &[usize]) -> Result<Vec<f32>> {
        let columns = self.columns;
        match self.values {
            Values::Memory(values) => {
                let of = |&row: &usize| values.get(row * columns..(row + 1) * columns);
                Ok(rows.iter().filter_map(of).flatten().copied().collect())
            }
            Values::Source(source) => Ok(source.rows_at(rows)?),
        }
    }
}

/// Rows one after another, some at a time.
#[derive(Debug)]
pub(crate) struct Blocks<'a> {
    reading: Reading<'a>,
    columns: usize,
    /// All rows, and those of a block.
    all: usize,
    rows: usize,
    /// The row that comes next.
    first: usize,
}

#[derive(Debug)]
enum Reading<'a> {
    Memory(&'a [f32]),
    Source(FeatureBatches),
}

impl<'a> Blocks<'a> {
    /// The next block, with the number of its first row.
    ///
    /// # Errors
    /// If it cannot be read.
    pub(crate) fn next(&mut self) -> Result<Option<(usize, Cow<'a, [f32]>)>> {
        let (first, columns) = (self.first, self.columns);
        let end = first.saturating_add(self.rows).min(self.all);
        if first >= end {
            return Ok(None);
        }
        self.first = end;
        match &mut self.reading {
            Reading::Memory(values) => {
                let rows = values.get(first * columns..end * columns).unwrap_or_default();
                Ok(Some((first, Cow::Borrowed(rows))))
            }
            Reading::Source(batches) => match batches.next().transpose()? {
                Some(rows) => Ok(Some((first, Cow::Owned(rows)))),
                None => Ok(None),
            },
        }
    }
}
