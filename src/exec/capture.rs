//! Copies of everything that training changes, on their way to the host while training goes on.

use super::Parameters;
use crate::Result;
use crate::gpu::{Arrival, Buffer, map};
use crate::kernel::Arena;

/// The values and the optimizer's state of parameters, as they were between two submissions.
#[derive(Debug)]
pub(crate) struct Capture {
    parts: Vec<(Buffer, Arrival)>,
}

/// The buffers of a capture that has arrived, for the next one of the same parameters.
pub(crate) type Staging = Vec<Buffer>;

impl Parameters {
    /// Has the present values and the optimizer's state copied, after all that was submitted so far; nothing
    /// is waited for. `staging` is what an earlier capture left.
    ///
    /// # Errors
    /// The errors of the device.
    pub(crate) async fn capture(&self, mut staging: Staging) -> Result<Capture> {
        use wgpu::BufferUsages as Usage;
        let gpu = self.gpu();
        let states = self.states().unwrap_or(0);
        let arenas = std::iter::once(Arena::Values).chain((0..states).map(Arena::State));
        let mut copies = Vec::new();
        for arena in arenas {
            for chunk in 0..self.layout().chunks.len() {
                copies.push(self.buffer(arena, chunk)?);
            }
        }
        // Arenas keep their sizes, so those of an earlier capture fit one by one.
        for source in copies.iter().skip(staging.len()) {
            let usage = Usage::COPY_DST | Usage::MAP_READ;
            staging.push(gpu.buffer_for("captured parameters", source.size(), usage).await?);
        }
        gpu.tally().captures.add(1);
        gpu.tally().captured_bytes.add(copies.iter().map(|source| source.size()).sum());
        gpu.submit(|encoder| {
            for (&source, copy) in copies.iter().zip(&staging) {
                encoder.copy_buffer_to_buffer(source, 0, copy, 0, source.size());
            }
            Ok(())
        })
        .await?;
        let mapped = |copy: Buffer| {
            let arrival = map(gpu, &copy, copy.size(), "reading back the state");
            (copy, arrival)
        };
        Ok(Capture { parts: staging.into_iter().map(mapped).collect() })
    }
}

impl Capture {
    /// Whether awaiting it would return at once. Lets the device make progress where it needs that.
    pub(crate) fn is_ready(&self) -> bool {
        self.parts.iter().all(|(_, arrival)| arrival.is_ready())
    }

    /// The bytes: the chunks of the values, then those of each state. Leaves the staging buffers.
    ///
    /// # Errors
    /// The errors of the device.
    pub(crate) async fn bytes(self, parameters: &Parameters) -> Result<(Vec<u8>, Staging)> {
        let mut bytes = Vec::new();
        let mut staging = Vec::new();
        for (copy, arrival) in self.parts {
            arrival.await?;
            bytes.extend(parameters.gpu().mapped(&copy, copy.size())?);
            staging.push(copy);
        }
        Ok((bytes, staging))
    }
}
