//! Going on after the device was lost.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::checkpoint::Every;
use crate::Result;
use crate::gpu::Gpu;
use crate::train::callback::MaybeSend;

#[cfg(not(target_arch = "wasm32"))]
type NewDevice = Pin<Box<dyn Future<Output = Result<Gpu>> + Send>>;
#[cfg(target_arch = "wasm32")]
type NewDevice = Pin<Box<dyn Future<Output = Result<Gpu>>>>;

#[cfg(not(target_arch = "wasm32"))]
type Make<'a> = dyn FnMut() -> NewDevice + Send + 'a;
#[cfg(target_arch = "wasm32")]
type Make<'a> = dyn FnMut() -> NewDevice + 'a;

/// How a training goes on after the device was lost (unplugged, reset by its driver, taken by the browser): on
/// a new device, from the last moment that was copied to the host, to the bits of an undisturbed training.
///
/// ```no_run
/// use wgrad::prelude::*;
/// use wgrad::train::{Every, Survive};
///
/// # async fn run(model: &mut Model, data: &Dataset) -> wgrad::Result<()> {
/// let survive = Survive::every(Every::Steps(1000), Gpu::new);
/// let history = model.fit(data, FitOptions::new(100).survive(survive)).await?;
/// # Ok(())
/// # }
/// ```
pub struct Survive<'a> {
    pub(super) every: Every,
    make: Box<Make<'a>>,
    most: usize,
}

impl<'a> Survive<'a> {
    /// Copies the state to the host so often, without waiting for it, and goes on on the device that `make` gives:
    /// a new one ([`Gpu::new`]), or for an app's device the one that the app has made again
    /// ([`Gpu::from_device`]). The model is on that device afterwards. Three losses of a call are survived.
    pub fn every<F>(every: Every, mut make: impl FnMut() -> F + MaybeSend + 'a) -> Self
    where
        F: Future<Output = Result<Gpu>> + MaybeSend + 'static,
    {
        Self { every, make: Box::new(move || Box::pin(make())), most: 3 }
    }

    /// Survives so many losses of a call; after the next one the call ends with it.
    pub fn at_most(mut self, losses: usize) -> Self {
        self.most = losses;
        self
    }

    /// Whether training goes on after another loss.
    pub(super) fn survives_more(&self) -> bool {
        self.most > 0
    }

    /// The device to go on on.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) async fn device(&mut self) -> Result<Gpu> {
        self.most = self.most.saturating_sub(1);
        (self.make)().await
    }
}

impl fmt::Debug for Survive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survive").field("every", &self.every).field("most", &self.most).finish()
    }
}
