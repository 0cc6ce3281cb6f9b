//! A table of numbers in blocks of rows on its way to a device: centred, since differences of large numbers lose
//! their digits in `f32`, and divided by a power of two, so that no square of them overflows.

mod passes;

pub(crate) use passes::{Block, Output, Passes};

use crate::data::{Part, checked_rows};
use crate::exec::Executor;
use crate::gpu::{Buffer, Gpu};
use crate::graph::{ELEMENT_BYTES, Tensor};
use crate::{Error, Result};

/// Bytes of blocks that stay on a device from pass to pass; what is more is written anew in each.
const RESIDENT: u64 = 1 << 30;

/// Where the origin lies that numbers are counted from, and the unit that they are counted in.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) mean: Vec<f64>,
    /// A power of two.
    pub(crate) unit: f64,
    /// 1 / unit, exactly.
    inverse: f64,
}

impl Frame {
    /// The origin as it is, and this unit.
    #[cfg(feature = "decompose")]
    pub(crate) fn of_unit(unit: f64, columns: usize) -> Self {
        Self { mean: vec![0.0; columns], unit, inverse: 1.0 / unit }
    }

    /// The mean of each column, and a unit in which no number is beyond ±1.
    fn of(values: &[f32], columns: usize, rows: usize) -> Self {
        let mut mean = vec![0.0; columns];
        for row in values.chunks(columns) {
            for (sum, &value) in mean.iter_mut().zip(row) {
                *sum += f64::from(value);
            }
        }
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        let mut largest: f64 = 0.0;
        for row in values.chunks(columns) {
            for (mean, &value) in mean.iter().zip(row) {
                largest = largest.max((f64::from(value) - mean).abs());
            }
        }
        let unit = if largest > 0.0 { largest.log2().ceil().exp2() } else { 1.0 };
        Self { mean, unit, inverse: 1.0 / unit }
    }

    /// Numbers of a row, seen from this frame.
    pub(crate) fn seen<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| (f64::from(value) - mean) * self.inverse)
    }

    /// The same numbers again as they were.
    pub(crate) fn back<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| value * self.unit + mean)
    }
}

/// Rows of finite numbers, seen from a frame.
#[derive(Clone, Debug)]
pub(crate) struct Table<'a> {
    values: &'a [f32],
    pub(crate) columns: usize,
    pub(crate) rows: usize,
    pub(crate) frame: Frame,
}

impl<'a> Table<'a> {
    /// Rows of `columns` numbers, seen from their own mean.
    ///
    /// # Errors
    /// [`Error::Data`] unless they are whole rows of finite numbers, at least one.
    pub(crate) fn new(values: &'a [f32], columns: usize) -> Result<Self> {
        let rows = checked_rows(values, columns, Part::Values)?;
        let frame = Frame::of(values, columns, rows);
        Ok(Self { values, columns, rows, frame })
    }

    /// Rows seen from another table's frame.
    ///
    /// # Errors
    /// As for [`Table::new`].
    pub(crate) fn within(values: &'a [f32], frame: &Frame) -> Result<Self> {
        let columns = frame.mean.len();
        let rows = checked_rows(values, columns, Part::Values)?;
        Ok(Self { values, columns, rows, frame: frame.clone() })
    }

    /// The numbers of a row as they are; none past the last.
    pub(crate) fn as_given(&self, row: usize) -> &'a [f32] {
        let start = row.saturating_mul(self.columns);
        self.values.get(start..start + self.columns).unwrap_or_default()
    }

    /// The numbers of a row, seen from the frame.
    pub(crate) fn row(&self, row: usize) -> impl Iterator<Item = f64> + '_ {
        self.frame.seen(self.as_given(row))
    }

    /// As [`Table::row`], in f32 as devices have them.
    pub(crate) fn row_f32(&self, row: usize) -> impl Iterator<Item = f32> + '_ {
        self.row(row).map(|value| value as f32)
    }

    /// `rows` rows from `first` on, with rows of zeros past the last.
    fn block(&self, first: usize, rows: usize) -> Vec<f32> {
        let mut block = Vec::with_capacity(rows * self.columns);
        for row in first..(first + rows).min(self.rows) {
            block.extend(self.row_f32(row));
        }
        block.resize(rows * self.columns, 0.0);
        block
    }
}

/// The blocks of a table that a device has had, for passes to come.
#[derive(Debug)]
struct Resident {
    blocks: Vec<(usize, Buffer)>,
    /// Bytes that it may still take.
    room: u64,
}

impl Resident {
    /// Makes the `rows` rows from `first` on the input `x` of `executor`.
    ///
    /// # Errors
    /// The errors of the device.
    async fn feed(
        &mut self,
        table: &Table<'_>,
        (first, rows): (usize, usize),
        executor: &Executor,
        x: Tensor,
    ) -> Result<()> {
        let gpu = executor.gpu().clone();
        let bytes = (rows * table.columns * ELEMENT_BYTES) as u64;
        let (input, offset) = executor.buffer_of(x)?;
        if let Some((_, block)) = self.blocks.iter().find(|(place, _)| *place == first) {
            return copy(&gpu, block, (input, offset), bytes).await;
        }
        let block = table.block(first, rows);
        let data = bytemuck::cast_slice(&block);
        if bytes > self.room {
            return gpu.write(input, offset, data);
        }
        let buffer = gpu.buffer("rows", bytes).await?;
        gpu.write(&buffer, 0, data)?;
        copy(&gpu, &buffer, (input, offset), bytes).await?;
        self.blocks.push((first, buffer));
        self.room -= bytes;
        Ok(())
    }
}

async fn copy(
    gpu: &Gpu,
    from: &wgpu::Buffer,
    (to, offset): (&wgpu::Buffer, u64),
    bytes: u64,
) -> Result<()> {
    gpu.scoped("copying rows", || {
        let mut encoder = gpu.encoder();
        encoder.copy_buffer_to_buffer(from, 0, to, offset, bytes);
        gpu.send(encoder);
    })
    .await
}

/// The blocks that each of some devices holds.
#[derive(Debug)]
pub(crate) struct Held(Vec<Resident>);

impl Held {
    /// For several passes over one table.
    pub(crate) fn by(gpus: &[Gpu]) -> Self {
        Self(gpus.iter().map(|_| Resident { blocks: Vec::new(), room: RESIDENT }).collect())
    }

    /// For one pass: nothing is kept.
    pub(crate) fn passing(gpus: &[Gpu]) -> Self {
        Self(gpus.iter().map(|_| Resident { blocks: Vec::new(), room: 0 }).collect())
    }
}

/// Rows of a block, so that `per_row` numbers for each take 32 MiB at most: a power of two, at most 65,536.
pub(crate) fn block_rows(per_row: usize) -> usize {
    const NUMBERS: usize = 8 << 20;
    let rows = (NUMBERS / per_row.max(1)).clamp(1, 1 << 16);
    1 << rows.ilog2()
}

/// # Errors
/// [`Error::Argument`] unless a number of things is at least one.
pub(crate) fn at_least_one(name: &str, value: usize) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::argument(name, value, "at least 1")) }
}
