//! A table of numbers in blocks of rows on its way to a device: centred, since differences of large numbers lose
//! their digits in `f32`, and divided by a power of two, so that no square of them overflows.

mod passes;
mod table;

use std::ops::Range;

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
    pub(crate) inverse: f64,
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
        pass: impl FnOnce(&mut dyn FnMut(&[f32])) -> Result<()>,
    ) -> Result<Self> {
        let mut mean = vec![0.0; columns];
        let mut ends = vec![(f32::INFINITY, f32::NEG_INFINITY); columns];
        pass(&mut |values| {
            for row in values.chunks(columns) {
                for ((sum, (least, most)), &value) in mean.iter_mut().zip(&mut ends).zip(row) {
                    *sum += f64::from(value);
                    *least = least.min(value);
                    *most = most.max(value);
                }
            }
        })?;
        mean.iter_mut().for_each(|sum| *sum /= rows as f64);
        // The largest distance from the mean is that of the least number or of the largest.
        let distance = |((least, most), mean): (&(f32, f32), &f64)| {
            (f64::from(*most) - mean).max(mean - f64::from(*least))
        };
        let largest = ends.iter().zip(&mean).map(distance).fold(0.0, f64::max);
        let unit = if largest > 0.0 { largest.log2().ceil().exp2() } else { 1.0 };
        Ok(Self { mean, unit, inverse: 1.0 / unit })
    }

    /// Numbers of a row, seen from this frame.
    pub(crate) fn seen<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| (f64::from(value) - mean) * self.inverse)
    }

    /// Numbers of a row, counted from the mean in their own unit.
    pub(crate) fn centered<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| f64::from(value) - mean)
    }

    /// As [`Frame::seen`], in f32 as devices have them.
    pub(crate) fn seen_f32<'a>(&'a self, row: &'a [f32]) -> impl Iterator<Item = f32> + 'a {
        self.seen(row).map(|value| value as f32)
    }

    /// Writes numbers `columns` of a row, as devices have them.
    fn see(&self, row: &[f32], columns: &Range<usize>, to: &mut [f32]) {
        let row = row.get(columns.clone()).unwrap_or_default();
        let mean = self.mean.get(columns.clone()).unwrap_or_default();
        for ((to, &value), mean) in to.iter_mut().zip(row).zip(mean) {
            *to = ((f64::from(value) - mean) * self.inverse) as f32;
        }
    }

    /// The same numbers again as they were.
    pub(crate) fn back<'a>(&'a self, row: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
        row.iter().zip(&self.mean).map(|(&value, mean)| value * self.unit + mean)
    }
}

/// An input of a plan, and which columns of the rows it has.
pub(crate) type Panel = (Tensor, Range<usize>);

/// The blocks of a table that a device has had, for passes to come.
#[derive(Debug)]
struct Resident {
    /// By the number of their first row, with a buffer for each panel.
    blocks: Vec<(usize, Vec<Buffer>)>,
    /// Bytes that it may still take.
    room: u64,
}

impl Resident {
    /// Makes a block of `rows` rows, of which the first are `given`, the input of `executor`, panel by panel.
    ///
    /// # Errors
    /// The errors of the device.
    async fn feed(
        &mut self,
        frame: &Frame,
        (first, given): (usize, &[f32]),
        rows: usize,
        (executor, panels): (&Executor, &[Panel]),
    ) -> Result<()> {
        let gpu = executor.gpu().clone();
        let columns = frame.mean.len();
        let bytes = |columns: &Range<usize>| (rows * columns.len() * ELEMENT_BYTES) as u64;
        if let Some((_, kept)) = self.blocks.iter().find(|(place, _)| *place == first) {
            for ((x, columns), kept) in panels.iter().zip(kept) {
                copy(&gpu, kept, executor.buffer_of(*x)?, bytes(columns)).await?;
            }
            return Ok(());
        }
        let keeps = bytes(&(0..columns)) <= self.room;
        let mut kept = Vec::new();
        for (x, of_panel) in panels {
            // Rows of zeros past the last.
            let mut block = vec![0.0; rows * of_panel.len()];
            let to = block.chunks_exact_mut(of_panel.len().max(1));
            for (to, row) in to.zip(given.chunks(columns)) {
                frame.see(row, of_panel, to);
            }
            let (data, input) = (bytemuck::cast_slice(&block), executor.buffer_of(*x)?);
            if !keeps {
                gpu.write(input.0, input.1, data)?;
                continue;
            }
            let buffer = gpu.buffer("rows", bytes(of_panel)).await?;
            gpu.write(&buffer, 0, data)?;
            copy(&gpu, &buffer, input, bytes(of_panel)).await?;
            kept.push(buffer);
        }
        if keeps {
            self.blocks.push((first, kept));
            self.room -= bytes(&(0..columns));
        }
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
