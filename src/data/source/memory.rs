//! A data set as a source: what it would be if it came from a file.

use std::sync::Arc;

use super::read::{ReadRows, RowReader};
use crate::data::dataset::{Dataset, Targets};
use crate::data::error::DataError;
use crate::data::origin::Origin;

/// The features or the targets of a data set.
#[derive(Clone)]
pub(super) struct Columns {
    pub(super) data: Arc<Dataset>,
    pub(super) targets: bool,
}

impl ReadRows for Columns {
    fn origin(&self) -> Origin {
        Origin::Memory
    }

    fn width(&self) -> usize {
        if self.targets { self.data.target_width() } else { self.data.width() }
    }

    fn rows(&self) -> Option<usize> {
        Some(self.data.rows())
    }

    fn reads_anywhere(&self) -> bool {
        true
    }

    fn open(&self) -> Result<Box<dyn RowReader>, DataError> {
        Ok(Box::new(self.clone()))
    }
}

impl RowReader for Columns {
    fn read(&mut self, first: usize, count: usize, out: &mut Vec<f32>) -> Result<usize, DataError> {
        let (width, rows) = (self.width(), self.data.rows());
        let (first, end) = (first.min(rows), first.saturating_add(count).min(rows));
        let numbers = first * width..end * width;
        match self.data.targets() {
            Targets::Classes { labels, .. } if self.targets => {
                out.extend(labels.get(numbers).unwrap_or_default().iter().map(|&l| l as f32));
            }
            Targets::Values { data, .. } if self.targets => {
                out.extend_from_slice(data.get(numbers).unwrap_or_default());
            }
            _ => out.extend_from_slice(self.data.features().get(numbers).unwrap_or_default()),
        }
        Ok(end - first)
    }
}
