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

    /// Runs `work` and returns its result, or the error that [`Gpu::verdict`] makes of what WebGPU has
    /// against it.
    pub(crate) async fn scoped<T>(
        &self,
        during: &str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        self.check(during)?;
        let (result, fault) = self.caught(work);
        let fault = fault.await;
        self.verdict(during, fault).await.map(|()| result)
    }

    /// [`Gpu::scoped`] of what belongs to a step, or is read back; see [`Gpu::write_of_step`].
    pub(crate) async fn scoped_of_step<T>(
        &self,
        during: &str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        self.check(during)?;
        let (result, fault) = self.caught(work);
        match fault.await {
            None => self.check(during)?,
            fault => self.verdict(during, fault).await?,
        }
        Ok(result)
    }

    /// Runs `work`, which does not wait, and returns what WebGPU has against it; on the web, where
    /// that would have to be waited for, the browser's console has it.
    pub(super) fn refused(&self, work: impl FnOnce()) -> Option<Fault> {
        if cfg!(target_arch = "wasm32") {
            work();
            return None;
        }
        let ((), fault) = self.caught(work);
        at_once(fault).flatten()
    }

    /// Runs `work` in scopes for errors of every kind; returns its result, and the first of them as soon
    /// as it is known.
    fn caught<T>(&self, work: impl FnOnce() -> T) -> (T, impl Future<Output = Option<Fault>>) {
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
        let fault = async move {
            let (internal, validation, memory) = errors;
            let (internal, validation, memory) = (internal.await, validation.await, memory.await);
            memory.or(validation).or(internal).as_ref().map(Fault::of)
        };
        (result, fault)
    }
}

/// What `future` comes to, if it needs not wait: natively, what error scopes say is known at once.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
