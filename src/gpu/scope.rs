//! Error scopes: what WebGPU has against a call comes back from that call.

use super::Gpu;
use super::fault::{Fault, at_once};
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
        let scopes = self.scopes();
        let result = work();
        self.judged(during, fault_of(scopes), true).await.map(|()| result)
    }

    /// [`Gpu::scoped`] of what belongs to a step, or is read back; see [`Gpu::write_of_step`].
    pub(crate) async fn scoped_of_step<T>(
        &self,
        during: &str,
        work: impl FnOnce() -> T,
    ) -> Result<T, Error> {
        self.check(during)?;
        let scopes = self.scopes();
        let result = work();
        self.judged(during, fault_of(scopes), false).await.map(|()| result)
    }

    /// The error that [`Gpu::verdict`] makes of `fault`; `asks` says whether the device is asked if there is
    /// none. What comes after work is here, once, rather than in every function that has work done.
    async fn judged(
        &self,
        during: &str,
        fault: impl Future<Output = Option<Fault>>,
        asks: bool,
    ) -> Result<(), Error> {
        match fault.await {
            None if !asks => self.check(during),
            fault => self.verdict(during, fault).await,
        }
    }

    /// Runs `work`, which does not wait, and returns what WebGPU has against it; on the web, where
    /// that would have to be waited for, the browser's console has it.
    pub(super) fn refused(&self, work: impl FnOnce()) -> Option<Fault> {
        if cfg!(target_arch = "wasm32") {
            work();
            return None;
        }
        let scopes = self.scopes();
        work();
        at_once(fault_of(scopes)).flatten()
    }

    /// Scopes for errors of every kind, the innermost first, as they are to be popped, and dropped if work
    /// panics.
    fn scopes(&self) -> [wgpu::ErrorScopeGuard; 3] {
        let memory = self.device().push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let validation = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let internal = self.device().push_error_scope(wgpu::ErrorFilter::Internal);
        [internal, validation, memory]
    }
}

/// The first fault that the scopes have caught, as soon as it is known. They are popped at once: they must
/// not live across an await.
fn fault_of(scopes: [wgpu::ErrorScopeGuard; 3]) -> impl Future<Output = Option<Fault>> {
    let [internal, validation, memory] = scopes.map(wgpu::ErrorScopeGuard::pop);
    async move {
        let (internal, validation, memory) = (internal.await, validation.await, memory.await);
        memory.or(validation).or(internal).as_ref().map(Fault::of)
    }
}
