//! What goes wrong on a device, until a call returns it as its [`Error`].
//!
//! wgpu says nothing of what is asked of a lost device, as WebGPU has it: the call seems to succeed, and a
//! later one is refused for what the first has not made. A caller's device does not tell wgrad of its loss
//! either. So [`Gpu::verdict`], which every outcome goes through, first asks whether the device lives.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use super::Gpu;
use crate::Error;

/// A fault that the device reported, with its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    Lost(String),
    OutOfMemory(String),
    Refused(String),
}

impl Fault {
    pub(super) fn of(error: &wgpu::Error) -> Self {
        let reason = error.to_string();
        match error {
            wgpu::Error::OutOfMemory { .. } => Fault::OutOfMemory(reason),
            wgpu::Error::Validation { .. } | wgpu::Error::Internal { .. } => Fault::Refused(reason),
        }
    }

    /// The error of what was being done.
    pub(super) fn named(self, during: &str) -> Error {
        let during = during.into();
        match self {
            Fault::Lost(reason) => Error::DeviceLost { during, reason },
            Fault::OutOfMemory(reason) => Error::OutOfMemory { during, reason },
            Fault::Refused(reason) => Error::Validation { during, reason },
        }
    }
}

/// What went wrong on a device outside any call of ours, on devices that wgrad owns; and of any device
/// that it is lost, once that is known.
#[derive(Clone, Debug, Default)]
pub(super) struct Faults(Arc<Mutex<Option<Fault>>>);

impl Faults {
    /// Hears of the faults of `device`, whose handlers it takes: never those of a caller's device.
    pub(super) fn watch(&self, device: &wgpu::Device) {
        let (lost, uncaptured) = (self.clone(), self.clone());
        device.set_device_lost_callback(move |reason, message| {
            lost.report(Fault::Lost(format!("{reason:?}: {message}")));
        });
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| {
            #[cfg(not(target_arch = "wasm32"))]
            if super::identity::overheard() {
                return;
            }
            uncaptured.report(Fault::of(&error));
        }));
    }

    fn slot(&self) -> MutexGuard<'_, Option<Fault>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first fault is kept, since later ones mostly follow from it. A loss replaces it: it is for good.
    fn report(&self, new: Fault) {
        let mut slot = self.slot();
        match (&*slot, &new) {
            (None, _) | (Some(Fault::OutOfMemory(_) | Fault::Refused(_)), Fault::Lost(_)) => {
                *slot = Some(new);
            }
            _ => {}
        }
    }

    /// An error if there was a fault. A lost device stays lost: every later call says so too.
    pub(super) fn check(&self, during: &str) -> Result<(), Error> {
        let mut slot = self.slot();
        let fault = match &*slot {
            Some(Fault::Lost(_)) => slot.clone(),
            _ => slot.take(),
        };
        fault.map_or(Ok(()), |fault| Err(fault.named(during)))
    }

    pub(super) fn is_lost(&self) -> bool {
        matches!(*self.slot(), Some(Fault::Lost(_)))
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Faults {
    /// Runs `poll`. If the driver says meanwhile that the device is lost, wgpu 30 panics rather than
    /// returns; here that is a fault, on a caller's device too, whose callback is not ours.
    fn catch<T>(&self, poll: impl FnOnce() -> T) {
        use std::panic::{AssertUnwindSafe, catch_unwind};
        // Nothing of ours is changed by a poll, and wgpu's own locks are not poisoned.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(poll)) {
            let reason = match (panic.downcast_ref::<String>(), panic.downcast_ref::<&str>()) {
                (Some(reason), _) => reason.clone(),
                (None, Some(reason)) => (*reason).into(),
                (None, None) => "polling the device panicked".into(),
            };
            self.report(Fault::Lost(reason));
        }
    }
}

impl Gpu {
    /// An error if there is a `fault`, or one outside any call of ours, or if the device is lost: then
    /// that, since the fault may well follow from it. A fault that is a loss is kept, for it is every later
    /// call's too. On the web, where asking takes its time, a call that
    /// is not refused is taken to have reached the device.
    pub(super) async fn verdict(&self, during: &str, fault: Option<Fault>) -> Result<(), Error> {
        if let Some(lost @ Fault::Lost(_)) = &fault {
            self.shared.faults.report(lost.clone());
        }
        let asks = fault.is_some() || cfg!(not(target_arch = "wasm32"));
        if asks && !self.lives().await {
            self.check(during)?;
        }
        match fault {
            Some(fault) => Err(fault.named(during)),
            None => self.check(during),
        }
    }

    /// [`Gpu::verdict`], without waiting: on the web, of a fault as it is.
    pub(super) fn verdict_at_once(&self, during: &str, fault: Option<Fault>) -> Result<(), Error> {
        match at_once(self.verdict(during, fault.clone())) {
            Some(verdict) => verdict,
            None => {
                self.check(during)?;
                fault.map_or(Ok(()), |fault| Err(fault.named(during)))
            }
        }
    }

    /// An error if the device is lost, which it is asked, or reported a fault of its own.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) fn ask(&self, during: &str) -> Result<(), Error> {
        self.verdict_at_once(during, None)
    }

    /// Whether the device lives: asked for a buffer that none makes, a lost device says nothing.
    async fn lives(&self) -> bool {
        if self.shared.faults.is_lost() {
            return false;
        }
        let scope = self.device().push_error_scope(wgpu::ErrorFilter::Validation);
        let _ = self.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        });
        let answer = scope.pop();
        if answer.await.is_some() {
            return true;
        }
        // One of wgrad's own has a reason, which it tells when it is polled.
        #[cfg(not(target_arch = "wasm32"))]
        self.poll(wgpu::PollType::Poll);
        self.shared.faults.report(Fault::Lost("it no longer answers".into()));
        false
    }

    /// Whether the device is gone: destroyed, unplugged or reset. In a browser a caller's device is only
    /// known to be after a call has failed for it.
    pub fn is_lost(&self) -> bool {
        match cfg!(target_arch = "wasm32") {
            true => self.shared.faults.is_lost(),
            false => at_once(self.lives()) == Some(false),
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// Lets the device make progress, or waits for it. What goes wrong is a fault for the next check.
    pub(crate) fn poll(&self, how: wgpu::PollType) {
        self.shared.faults.catch(|| self.device().poll(how));
    }
}

/// What `future` comes to, if it needs not wait: natively, what error scopes say is known at once.
pub(super) fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

#[cfg(test)]
impl Gpu {
    /// Lets the next call find the device without memory.
    pub(crate) fn lacks_memory_once(&self) {
        self.shared.faults.report(Fault::OutOfMemory("none left".into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory() -> wgpu::Error {
        wgpu::Error::OutOfMemory { source: "none left".into() }
    }

    fn validation(description: &str) -> wgpu::Error {
        wgpu::Error::Validation { source: "no".into(), description: description.into() }
    }

    fn internal(description: &str) -> wgpu::Error {
        wgpu::Error::Internal { source: "oh".into(), description: description.into() }
    }

    /// A device without hardware that wgrad owns.
    fn own() -> Gpu {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let info = device.adapter_info();
        Gpu::own(device, queue, info)
    }

    /// A buffer that no device makes, asked for outside any call of ours.
    fn without_usage(gpu: &Gpu) {
        let _ = gpu.device().create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        });
    }

    #[test]
    fn errors_keep_their_kind() {
        assert!(matches!(
            Fault::of(&memory()).named("a copy"),
            Error::OutOfMemory { during, .. } if during == "a copy"
        ));
        for error in [validation("bad binding"), internal("bad binding")] {
            let Error::Validation { during, reason } = Fault::of(&error).named("a dispatch") else {
                panic!("{error:?}")
            };
            assert_eq!((during.as_str(), reason.as_str()), ("a dispatch", "bad binding"));
        }
    }

    #[test]
    fn the_first_fault_is_told_once_and_a_loss_for_ever() {
        let faults = Faults::default();
        assert!(faults.check("nothing").is_ok());
        faults.report(Fault::of(&memory()));
        faults.report(Fault::of(&validation("what follows")));
        assert!(matches!(faults.check("one"), Err(Error::OutOfMemory { .. })));
        assert!(faults.check("two").is_ok());
        faults.report(Fault::of(&validation("refused")));
        faults.report(Fault::Lost("Unknown: gone".into()));
        faults.report(Fault::of(&memory()));
        assert!(faults.is_lost());
        for during in ["three", "four"] {
            let error = faults.check(during).expect_err("lost");
            assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
            assert!(error.to_string().contains(during), "{error}");
        }
    }

    /// What a device says outside any call comes from the next call, by its kind, and once.
    #[test]
    fn uncaptured_errors_come_from_the_next_call() {
        let gpu = own();
        let call = || pollster::block_on(gpu.buffer("a small one", 4)).map(drop);
        without_usage(&gpu);
        let error = call().expect_err("no usage");
        assert!(matches!(error, Error::Validation { .. }), "{error:?}");
        assert!(error.to_string().contains("allocating a small one (4 bytes)"), "{error}");
        call().unwrap();
        gpu.shared.faults.report(Fault::of(&memory()));
        let error = call().expect_err("out of memory");
        assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
        call().unwrap();
    }

    /// The error of a call's own is that call's, and nothing is left for the next.
    #[test]
    fn captured_errors_come_from_their_call() {
        let gpu = own();
        let error = pollster::block_on(gpu.scoped("a test", || without_usage(&gpu)));
        let error = error.expect_err("no usage");
        let Error::Validation { during, reason } = &error else { panic!("{error:?}") };
        assert!(during == "a test" && reason.contains("usage"), "{error}");
        gpu.check("afterwards").unwrap();
        // Outside a scope of wgrad's, a refusal goes to the caller of the function that saw it.
        let refused = gpu.refused(|| without_usage(&gpu));
        assert!(matches!(&refused, Some(Fault::Refused(reason)) if reason.contains("usage")));
        gpu.check("afterwards").unwrap();
    }

    #[test]
    fn a_poll_that_panics_is_a_loss() {
        let faults = Faults::default();
        faults.catch(|| Err::<(), _>("a timeout is none"));
        assert!(!faults.is_lost());
        faults.catch(|| {
            if faults.0.lock().is_ok() {
                panic!("Error in {}: Lost", "Device::poll")
            }
        });
        let error = faults.check("a step").expect_err("lost");
        assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
        assert!(error.to_string().contains("Error in Device::poll: Lost"), "{error}");
    }

    #[test]
    fn a_lost_device_stays_lost() {
        let gpu = own();
        assert!(!gpu.is_lost());
        gpu.device().destroy();
        assert!(gpu.is_lost());
        for _ in 0..2 {
            let error = pollster::block_on(gpu.buffer("one more", 4)).map(drop).expect_err("lost");
            assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
        }
    }
}
