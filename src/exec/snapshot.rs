//! Copies of all parameter values that stay on the device.

use super::Parameters;
use super::values::Values;
use crate::gpu::Gpu;
use crate::plan::ArenaLayout;
use crate::{Error, Result};

/// Parameter values as they were. It fits parameters that are laid out like those it was taken of, on
/// the same device.
#[derive(Debug)]
pub struct Snapshot {
    gpu: Gpu,
    layout: ArenaLayout,
    values: Values,
}

impl Snapshot {
    /// The values on the host.
    pub(crate) async fn read(&self) -> Result<Vec<Vec<f32>>> {
        let mut all = Vec::new();
        for entry in &self.layout.entries {
            let chunk = self.values.numbers().get(entry.chunk);
            let chunk = chunk.ok_or_else(|| Error::bug("a chunk is missing"))?;
            let bytes = self.gpu.read(chunk, entry.offset, entry.shape.bytes() as u64).await?;
            all.push(bytemuck::pod_collect_to_vec(&bytes));
        }
        Ok(all)
    }

    /// Other values of the same parameters.
    ///
    /// # Errors
    /// [`Error::Argument`] if they are of other lengths; the errors of the device.
    pub(crate) fn write(&self, all: &[Vec<f32>]) -> Result<()> {
        for (entry, values) in self.layout.entries.iter().zip(all) {
            if values.len() != entry.shape.elements() {
                let name = format!("number of remembered values of '{}'", entry.name);
                let rule = entry.shape.elements().to_string();
                return Err(Error::argument(&name, values.len(), &rule));
            }
            self.values.write(&self.gpu, entry, values)?;
        }
        Ok(())
    }
}

impl Parameters {
    /// A copy of the present values.
    ///
    /// # Errors
    /// The errors of the device.
    pub async fn snapshot(&self) -> Result<Snapshot> {
        let (gpu, layout) = (self.gpu(), self.layout());
        let values = Values::new(gpu, "remembered parameters", layout, self.has_copies()).await?;
        let snapshot = Snapshot { gpu: gpu.clone(), layout: layout.clone(), values };
        self.save_to(&snapshot).await?;
        Ok(snapshot)
    }

    /// Copies the present values into an older snapshot of these parameters.
    ///
    /// # Errors
    /// [`Error::Shape`] if the snapshot is of other parameters, [`Error::Argument`] if it is of another
    /// device; the errors of the device.
    pub async fn save_to(&self, snapshot: &Snapshot) -> Result<()> {
        self.copy(snapshot, |values, saved| (values, saved)).await
    }

    /// Puts remembered values back. Gradients and the optimizer's state stay as they are.
    ///
    /// # Errors
    /// [`Error::Shape`] if the snapshot is of other parameters, [`Error::Argument`] if it is of another
    /// device: nothing is changed then. The errors of the device.
    pub async fn restore(&self, snapshot: &Snapshot) -> Result<()> {
        self.copy(snapshot, |values, saved| (saved, values)).await
    }

    async fn copy<'a>(
        &'a self,
        snapshot: &'a Snapshot,
        direction: impl Fn(&'a Values, &'a Values) -> (&'a Values, &'a Values),
    ) -> Result<()> {
        let gpu = self.gpu();
        if *self.layout() != snapshot.layout {
            let (have, needed) = (snapshot.layout.names(), self.layout().names());
            let detail =
                format!("it holds {have}, the parameters are {needed}; take a snapshot of these");
            return Err(Error::shape("snapshot", detail));
        }
        gpu.expect_same("the snapshot", &snapshot.gpu)?;
        if self.has_copies() == snapshot.values.copies().is_empty()
            && !snapshot.layout.chunks.is_empty()
        {
            let detail = "it is of parameters of another precision; take a snapshot of these";
            return Err(Error::shape("snapshot", detail));
        }
        gpu.submit(|encoder| {
            let (from, to) = direction(self.values(), &snapshot.values);
            from.copy_to(encoder, to);
            Ok(())
        })
        .await
    }
}
