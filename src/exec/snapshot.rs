//! Copies of all parameter values that stay on the device.

use super::Parameters;
use crate::Result;
use crate::gpu::Buffer;
use crate::kernel::Arena;

/// Parameter values as they were.
#[derive(Debug)]
pub struct Snapshot {
    values: Vec<Buffer>,
}

impl Parameters {
    /// A copy of the present values.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let mut values = Vec::new();
        for &bytes in &self.layout().chunks {
            values.push(self.gpu().buffer("remembered parameters", bytes).await?);
        }
        let snapshot = Snapshot { values };
        self.save_to(&snapshot).await?;
        Ok(snapshot)
    }

    /// Copies the present values into an older snapshot of these parameters.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn save_to(&self, snapshot: &Snapshot) -> Result<()> {
        self.copy(snapshot, |values, saved| (values, saved)).await
    }

    /// Puts remembered values back. Gradients and the optimizer's state stay as they are.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<()> {
        self.copy(snapshot, |values, saved| (saved, values)).await
    }

    async fn copy<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        direction: impl Fn(&'a wgpu::Buffer, &'a wgpu::Buffer) -> (&'a wgpu::Buffer, &'a wgpu::Buffer),
    ) -> Result<()> {
        let gpu = self.gpu();
        gpu.submit(|encoder| {
            for (chunk, saved) in snapshot.values.iter().enumerate() {
                let (from, to) = direction(self.buffer(Arena::Values, chunk)?, saved);
                encoder.copy_buffer_to_buffer(from, 0, to, 0, from.size().min(to.size()));
            }
            Ok(())
        })
        .await
    }
}
