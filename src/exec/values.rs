//! The values of all parameters, with their copies in 16 bits: what writes the ones writes the others.

use half::f16;

use crate::gpu::{Buffer, Gpu};
use crate::plan::{ArenaEntry, ArenaLayout};
use crate::{Error, Result};

/// The chunks of an arena of values, and of the copies if there are such.
#[derive(Debug)]
pub(super) struct Values {
    numbers: Vec<Buffer>,
    /// At half the offsets; none without mixed precision.
    copies: Vec<Buffer>,
}

impl Values {
    /// Zeroed ones.
    ///
    /// # Errors
    /// The errors of the device.
    pub(super) async fn new(
        gpu: &Gpu,
        label: &str,
        layout: &ArenaLayout,
        with_copies: bool,
    ) -> Result<Self> {
        let (mut numbers, mut copies) = (Vec::new(), Vec::new());
        for &bytes in &layout.chunks {
            numbers.push(gpu.buffer(label, bytes).await?);
            if with_copies {
                copies.push(gpu.buffer(&format!("{label} in 16 bits"), bytes / 2).await?);
            }
        }
        Ok(Self { numbers, copies })
    }

    /// Values in 32 bits.
    pub(super) fn numbers(&self) -> &[Buffer] {
        &self.numbers
    }

    /// Their copies.
    pub(super) fn copies(&self) -> &[Buffer] {
        // A page has no copies; an empty slice that is known when it is compiled leaves out all that uses them.
        if cfg!(target_arch = "wasm32") { &[] } else { &self.copies }
    }

    /// Writes the parameter at `entry`.
    ///
    /// # Errors
    /// The errors of the device.
    pub(super) fn write(&self, gpu: &Gpu, entry: &ArenaEntry, values: &[f32]) -> Result<()> {
        let missing = || Error::bug("a chunk is missing");
        let chunk = self.numbers.get(entry.chunk).ok_or_else(missing)?;
        gpu.write(chunk, entry.offset, bytemuck::cast_slice(values))?;
        self.write_copy(gpu, entry, values)
    }

    /// Writes the copy of these values, if there are copies.
    ///
    /// # Errors
    /// The errors of the device.
    pub(super) fn write_copy(&self, gpu: &Gpu, entry: &ArenaEntry, values: &[f32]) -> Result<()> {
        let Some(copies) = self.copies().get(entry.chunk) else { return Ok(()) };
        let rounded = values.iter().map(|&value| f16::from_f32(value).to_bits());
        let mut rounded: Vec<u16> = rounded.collect();
        // Buffers are written in words; what lies behind a parameter is 0.
        rounded.resize(rounded.len().next_multiple_of(2), 0);
        gpu.write(copies, entry.offset / 2, bytemuck::cast_slice(&rounded))
    }

    /// Copies all of it to `other`, which is laid out alike.
    pub(super) fn copy_to(&self, encoder: &mut wgpu::CommandEncoder, other: &Self) {
        let pairs = self.numbers.iter().zip(&other.numbers);
        for (from, to) in pairs.chain(self.copies().iter().zip(other.copies())) {
            encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size());
        }
    }
}
