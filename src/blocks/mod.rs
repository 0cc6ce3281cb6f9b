//! A table of numbers in blocks of rows on its way to a device: centred, since differences of large numbers lose
//! their digits in `f32`, and divided by a power of two, so that no square of them overflows.

mod passes;
mod table;

pub(crate) use passes::{Block, Output, Passes};
pub(crate) use table::Table;

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

    /// The mean of each column, and a unit in which no number is beyond ±1, of all rows that `pass` gives.
    fn over(
        columns: usize,
        rows: usize,
        mut pass: impl FnMut(&mut dyn FnMut(&[f32])) -> Result<()>,
    ) -> Result<Self> {
        let mut mean = vec![0.0; columns];
        pass(&mut |values| {
            for row in values.chunks(columns) {
                for (sum, &value) in mean.iter_mut().zip(row) {
                    *sum += f64::from(value);
                }
            }
        })?;
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        let mut largest: f64 = 0.0;
        pass(&mut |values| {
            for row in values.chunks(columns) {
                for (mean, &value) in mean.iter().zip(row) {
                    largest = largest.max((f64::from(value) - mean).abs());
                }
            }
        })?;
        let unit = if largest > 0.0 { largest.log2().ceil().exp2() } else { 1.0 };
        Ok(Self { mean, unit, inverse: 1.0 / unit })
    }

    /// Numbers of a row, seen from this frame.
    pub(crate) fn seen<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| (f64::from(value) - mean) * self.inverse)
    }

    /// As [`Frame::seen`], in f32 as devices have them.
    pub(crate) fn seen_f32<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.seen(row).map(|value| value as f32)
    }

    /// The same numbers again as they were.
    pub(crate) fn back<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| value * self.unit + mean)
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
    /// Makes a block of `rows` rows, of which the first are `given`, the input `x` of `executor`.
    ///
    /// # Errors
    /// The errors of the device.
    async fn feed(
        &mut self,
        frame: &Frame,
        (first, given): (usize, &[f32]),
        rows: usize,
        (executor, x): (&Executor, Tensor),
    ) -> Result<()> {
        let gpu = executor.gpu().clone();
        let columns = frame.mean.len();
        let bytes = (rows * columns * ELEMENT_BYTES) as u64;
        let (input, offset) = executor.buffer_of(x)?;
        if let Some((_, block)) = self.blocks.iter().find(|(place, _)| *place == first) {
            return copy(&gpu, block, (input, offset), bytes).await;
        }
        let mut block = Vec::with_capacity(rows * columns);
        block.extend(given.chunks(columns).flat_map(|row| frame.seen_f32(row)));
        // Rows of zeros past the last.
        block.resize(rows * columns, 0.0);
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
    /// For several passes over one table. Of a source nothing is kept: on a software adapter the device's memory is
    /// the host's, which is not to grow with the rows.
    pub(crate) fn by(gpus: &[Gpu], table: &Table<'_>) -> Self {
        let room = if table.is_in_memory() { RESIDENT } else { 0 };
        Self(gpus.iter().map(|_| Resident { blocks: Vec::new(), room }).collect())
    }

    /// For one pass: nothing is kept.
    pub(crate) fn passing(gpus: &[Gpu]) -> Self {
        Self(gpus.iter().map(|_| Resident { blocks: Vec::new(), room: 0 }).collect())
    }
}

/// Rows of a block of a table of `rows`, so that `per_row` numbers for each take 32 MiB at most: a power of two, at most
/// 65,536. Of a small table not many more than it has, since a device computes those past the last as well.
pub(crate) fn block_rows(per_row: usize, rows: usize) -> usize {
    const NUMBERS: usize = 8 << 20;
    const FEW: usize = 1024;
    let most = rows.clamp(FEW, 1 << 16).next_power_of_two();
    1 << (NUMBERS / per_row.max(1)).clamp(1, most).ilog2()
}

/// # Errors
/// [`Error::Argument`] unless a number of things is at least one.
pub(crate) fn at_least_one(name: &str, value: usize) -> Result<()> {
    if value > 0 { Ok(()) } else { Err(Error::argument(name, value, "at least 1")) }
}
