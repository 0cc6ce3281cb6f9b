//! Error scopes: what WebGPU has against a call comes back from that call.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::Gpu;
use super::fault::Fault;
use crate::Error;

impl Gpu {
    /// Records with `record` and submits, unless it fails.
    pub(crate) async fn submit(
        &self,
        record: impl FnOnce(&mut wgpu::CommandEncoder) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.scoped("a submission", || {
            let mut encoder = self.encoder();
            record(&mut encoder)?;
            self.send(encoder);
            Ok(())
        })
        .await?
    }

    /// An encoder, to be sent within a scope.
    pub(crate) fn encoder(&self) -> wgpu::CommandEncoder {
        self.device().create_command_encoder(&Default::default())
    }

    /// Submits what was recorded, within a scope.
    pub(crate) fn send(&self, encoder: wgpu::CommandEncoder) {
        self.tally().submissions.add(1);
        self.queue().submit([encoder.finish()]);
    }

    /// Runs `work`, which does not wait, and returns what WebGPU has against it; on the web, where
    /// that would have to be waited for, the browser's console has it.
    pub(super) fn refused(&self, work: impl FnOnce()) -> Option<String> {
        if cfg!(target_arch = "wasm32") {
            work();
            return None;
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        work();
        let mut context = Context::from_waker(Waker::noop());
        match pin!(scope.pop()).poll(&mut context) {
            Poll::Ready(error) => error.map(|error| error.to_string()),
            Poll::Pending => None,
        }
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
            Some(error) => Err(Fault::of(&error).named(during)),
        }
    }
}
