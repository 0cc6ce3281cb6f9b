//! Rows that come one after another: from an iterator of one's own, or a text.

use std::io;
use std::sync::Arc;

use super::read::{ReadRows, RowReader};
use crate::data::error::{DataError, SourceError};
use crate::data::origin::Origin;

/// Some rows that come next, one after another; none at the end.
pub(super) type Next = Box<dyn FnMut() -> Result<Option<Vec<f32>>, DataError> + Send>;
type Begin = dyn Fn() -> Result<Next, DataError> + Send + Sync;

/// What gives the same rows again whenever it is begun.
#[derive(Clone)]
pub(super) struct Forward {
    origin: Origin,
    width: usize,
    rows: Option<usize>,
    begin: Arc<Begin>,
}

impl Forward {
    pub(super) fn new(
        origin: Origin,
        width: usize,
        rows: Option<usize>,
        begin: impl Fn() -> Result<Next, DataError> + Send + Sync + 'static,
    ) -> Self {
        Self { origin, width, rows, begin: Arc::new(begin) }
    }

    /// Of an iterator's blocks of rows.
    pub(super) fn of_blocks<I>(
        origin: Origin,
        width: usize,
        rows: Option<usize>,
        begin: impl Fn() -> I + Send + Sync + 'static,
    ) -> Self
    where
        I: Iterator<Item = io::Result<Vec<f32>>> + Send + 'static,
    {
        let name = origin.clone();
        Self::new(origin, width, rows, move || {
            let (mut blocks, name) = (begin(), name.clone());
            Ok(Box::new(move || match blocks.next().transpose() {
                Ok(block) => Ok(block),
                Err(cause) => Err(DataError::Read { origin: name.clone(), cause }),
            }))
        })
    }
}

impl ReadRows for Forward {
    fn origin(&self) -> Origin {
        self.origin.clone()
    }

    fn width(&self) -> usize {
        self.width
    }

    fn rows(&self) -> Option<usize> {
        self.rows
    }

    fn reads_anywhere(&self) -> bool {
        false
    }

    fn open(&self) -> Result<Box<dyn RowReader>, DataError> {
        let next = (self.begin)()?;
        Ok(Box::new(Begun {
            rows: self.clone(),
            next,
            over: false,
            at: 0,
            block: Vec::new(),
            used: 0,
        }))
    }
}

/// Rows that are coming.
struct Begun {
    rows: Forward,
    next: Next,
    over: bool,
    /// The row that comes next.
    at: usize,
    /// The last block that came, and how many of its numbers were given out.
    block: Vec<f32>,
    used: usize,
}

impl Begun {
    /// Gives up to `count` rows to `take`; fewer only at the end.
    fn advance(&mut self, count: usize, mut take: impl FnMut(&[f32])) -> Result<usize, DataError> {
        let width = self.rows.width;
        let mut left = count;
        while left > 0 {
            if self.used == self.block.len() {
                let Some(block) = self.next_block()? else { break };
                (self.block, self.used) = (block, 0);
                continue;
            }
            let here = (self.block.len() - self.used).min(left * width);
            take(self.block.get(self.used..self.used + here).unwrap_or_default());
            self.used += here;
            self.at += here / width;
            left -= here / width;
        }
        Ok(count - left)
    }

    fn next_block(&mut self) -> Result<Option<Vec<f32>>, DataError> {
        if self.over {
            return Ok(None);
        }
        let block = (self.next)()?;
        self.over = block.is_none();
        let (width, row) = (self.rows.width, self.at);
        match &block {
            Some(block) if !block.len().is_multiple_of(width) => {
                let (origin, length) = (self.rows.origin.clone(), block.len());
                Err(SourceError::Uneven { origin, row, length, width }.into())
            }
            _ => Ok(block),
        }
    }
}

impl RowReader for Begun {
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError> {
        if first < self.at {
            let rows = self.rows.clone();
            (self.next, self.over, self.at) = ((rows.begin)()?, false, 0);
            (self.block, self.used) = (Vec::new(), 0);
        }
        self.advance(first - self.at, |_| {})?;
        if self.at < first {
            return Ok(0);
        }
        self.advance(count, |numbers| out.extend_from_slice(numbers))
    }
}
