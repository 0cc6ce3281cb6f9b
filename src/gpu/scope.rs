//! Error scopes: what WebGPU has against a call comes back from that call.

use super::Gpu;
use crate::Error;

impl Gpu {
    /// Records with `record` and submits, unless it fails.
    pub(crate) async fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.scoped("a submission", || {
            let mut encoder = self.device().create_command_encoder(&Default::default());
            record(&mut encoder)?;
            self.tally().submissions.add(1);
            self.queue().submit([encoder.finish()]);
            Ok(())
        })
        .await?
    }

    /// Runs `work` and returns its result, or the first error that WebGPU reports for it.
    pub(crate) async fn scoped<T>(
        &self,
        during: &str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        self.check(during)?;
        let device = self.device();
        // Guards must not live across an await; popping at once yields futures that may.
        let (result, errors) = {
            let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
            let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
            let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
            let result = work();
            let internal = internal.pop();
            let validation = validation.pop();
            (result, (internal, validation, memory.pop()))
        };
        let (internal, validation, memory) = errors;
        let (internal, validation, memory) = (internal.await, validation.await, memory.await);
        match memory.or(validation).or(internal) {
            None => self.check(during).map(|()| result),
            Some(error) => Err(named(error, during)),
        }
    }
}

fn named(error: wgpu::Error, during: &str) -> Error {
    let (during, reason) = (during.to_string(), error.to_string());
    match error {
        wgpu::Error::OutOfMemory { .. } => Error::OutOfMemory { during, reason },
        wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. } => {
            Error::Validation { during, reason }
        }
    }
}
