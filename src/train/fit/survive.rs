//! Going on after the device was lost.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::checkpoint::Every;
use super::keeper::Keeper;
use super::state::Moment;
use crate::gpu::Gpu;
use crate::train::callback::{Callback, MaybeSend};
use crate::train::history::History;
use crate::{Error, Result};

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
    /// ([`Gpu::from_device`]). The model is on that device afterwards. Of lanes each that is lost gets a device of its
    /// own. Three losses of a call are survived.
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
    pub(crate) fn survives_more(&self) -> bool {
        self.most > 0
    }

    /// The devices to go on on after a loss, so many.
    ///
    /// # Errors
    /// Those of making them.
    pub(crate) async fn devices(&mut self, count: usize) -> Result<Vec<Gpu>> {
        self.most = self.most.saturating_sub(1);
        let mut devices = Vec::new();
        for _ in 0..count {
            devices.push((self.make)().await?);
        }
        Ok(devices)
    }
}

/// Whether a device was lost, that of a lane too.
pub(crate) fn is_device_lost(error: &Error) -> bool {
    match error {
        Error::DeviceLost { .. } => true,
        Error::Lane { source, .. } => is_device_lost(source),
        _ => false,
    }
}

/// The moment from which a training goes on after `outcome`, of whose end callbacks have not heard then but of the
/// loss; or how it ended.
pub(crate) fn to_go_on(
    survives: bool,
    outcome: Result<History>,
    keeper: &Keeper,
    callbacks: &mut [&mut dyn Callback],
) -> std::result::Result<Moment, Result<History>> {
    match (outcome, &keeper.last) {
        (Err(error), Some(moment)) if survives && is_device_lost(&error) => {
            for callback in callbacks {
                callback.on_device_lost(&error, moment.state.step);
            }
            Ok(moment.clone())
        }
        (outcome, _) => Err(outcome),
    }
}

/// Tells callbacks of an end after which nobody is there that could put remembered weights back.
pub(crate) fn end_all(callbacks: &mut [&mut dyn Callback]) {
    for callback in callbacks {
        callback.on_train_end();
    }
}

impl fmt::Debug for Survive<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Survive").field("every", &self.every).field("most", &self.most).finish()
    }
}
