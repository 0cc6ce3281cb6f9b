//! Which device a thing is of.
//!
//! wgpu 30 does not say. It numbers things per instance, so two devices of different instances can be
//! equal, and a buffer that is used on a device of another instance is whatever has its number there,
//! or a panic. But each thing keeps the error scopes of its device: where a refusal is heard, there the
//! thing is from. In browsers, where every thing is an object of its own, the browser looks at it.

use std::sync::Arc;

use super::Gpu;
use crate::{Error, Result};

impl Gpu {
    /// Whether `other` is this device, also if the two were made from it separately.
    pub(crate) fn is_same(&self, other: &Gpu) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared) || same_device(self.device(), other.device())
    }

    /// # Errors
    /// [`Error::Argument`] if `what` lies on another device than this one, which is an executor's.
    pub(crate) fn expect_same(&self, what: &str, other: &Gpu) -> Result<()> {
        if self.is_same(other) {
            return Ok(());
        }
        let rule = format!(
            "the one that it is used on, {}: two devices share nothing, also on one adapter; read the \
             values back and write them there",
            self.describe()
        );
        Err(Error::argument(&format!("the device of {what}"), other.describe(), &rule))
    }
}

#[cfg(target_arch = "wasm32")]
fn same_device(a: &wgpu::Device, b: &wgpu::Device) -> bool {
    a == b
}

#[cfg(target_arch = "wasm32")]
impl Gpu {
    pub(crate) fn expect_buffer(&self, _name: &str, _buffer: &wgpu::Buffer) -> Result<()> {
        Ok(())
    }
}

#[cfg(target_arch = "wasm32")]
pub(super) fn owns_queue(_device: &wgpu::Device, _queue: &wgpu::Queue) -> bool {
    true
}

#[cfg(not(target_arch = "wasm32"))]
pub(super) use native::{overheard, owns_queue};

#[cfg(not(target_arch = "wasm32"))]
use native::same_device;

#[cfg(not(target_arch = "wasm32"))]
mod native {
    use std::cell::Cell;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::super::Gpu;
    use crate::{Error, Result};

    /// Where a refusal was heard.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Heard {
        Here,
        Elsewhere,
        /// By nobody: the device is lost, or the other one's owner has a handler of its own.
        Nowhere,
    }

    thread_local! {
        /// Whether this thread asks where a refusal is heard, and one of wgrad's devices heard it.
        static ASKING: Cell<Option<bool>> = const { Cell::new(None) };
    }

    /// Whether a refusal that reached a device's handler was only asked for; then it is no fault.
    pub(in super::super) fn overheard() -> bool {
        ASKING.with(|asking| {
            let asked = asking.get().is_some();
            if asked {
                asking.set(Some(true));
            }
            asked
        })
    }

    /// What was refused in the scope; natively that is known at once.
    fn popped(scope: wgpu::ErrorScopeGuard) -> Option<wgpu::Error> {
        match pin!(scope.pop()).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(error) => error,
            Poll::Pending => None,
        }
    }

    /// Asks for a buffer without a use, which every device refuses; its handle is on nothing.
    fn useless(device: &wgpu::Device) -> wgpu::Buffer {
        device.create_buffer(&wgpu::BufferDescriptor {
            label: None,
            size: 4,
            usage: wgpu::BufferUsages::empty(),
            mapped_at_creation: false,
        })
    }

    /// Where it is heard that `refused` is refused. A device that nobody listens to panics: that is
    /// elsewhere too.
    fn heard(device: &wgpu::Device, refused: impl FnOnce()) -> Heard {
        ASKING.set(Some(false));
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        // Nothing of ours is changed by it, and wgpu's own locks are not poisoned.
        let panicked = catch_unwind(AssertUnwindSafe(refused)).is_err();
        let here = popped(scope).is_some();
        let overheard = ASKING.take() == Some(true);
        match (here, panicked || overheard) {
            (true, _) => Heard::Here,
            (false, true) => Heard::Elsewhere,
            (false, false) => Heard::Nowhere,
        }
    }

    /// Whether the device still refuses what it must: one that is lost says nothing any more.
    fn answers(device: &wgpu::Device) -> bool {
        heard(device, || drop(useless(device))) == Heard::Here
    }

    pub(super) fn same_device(a: &wgpu::Device, b: &wgpu::Device) -> bool {
        if a != b {
            return false;
        }
        let outer = b.push_error_scope(wgpu::ErrorFilter::Validation);
        let inner = a.push_error_scope(wgpu::ErrorFilter::Validation);
        drop(useless(b));
        let (inner, outer) = (popped(inner), popped(outer));
        // Of one device the inner scope hears it; a lost one is as it seems.
        inner.is_some() || outer.is_none()
    }

    /// Whether `queue` is the queue of `device`.
    pub(in super::super) fn owns_queue(device: &wgpu::Device, queue: &wgpu::Queue) -> bool {
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        let nothing = useless(device);
        popped(scope);
        // To byte 1 no queue writes, whatever the buffer is.
        match heard(device, || queue.write_buffer(&nothing, 1, &[0; 4])) {
            Heard::Here => true,
            Heard::Elsewhere => false,
            Heard::Nowhere => !answers(device),
        }
    }

    impl Gpu {
        /// # Errors
        /// [`Error::Argument`] if `buffer`, which is to hold `name`, is of another device.
        pub(crate) fn expect_buffer(&self, name: &str, buffer: &wgpu::Buffer) -> Result<()> {
            // From byte 1 on no buffer is mapped: refused before anything happens to it.
            let ask = || buffer.map_async(wgpu::MapMode::Read, 1..2, |_| {});
            let asked = heard(self.device(), ask);
            if asked != Heard::Nowhere {
                // The buffer is not mapped, but its handle thinks that it might be; not any more.
                heard(self.device(), || buffer.unmap());
            }
            let own = match asked {
                Heard::Here => true,
                Heard::Elsewhere => false,
                // A buffer that is mapped already is not asked.
                Heard::Nowhere => buffer.get_mapped_range(..4).is_ok() || !answers(self.device()),
            };
            if own {
                return Ok(());
            }
            let rule = format!(
                "the executor's, {}: make the buffer on that device, and give it while it is not being \
                 mapped",
                self.describe()
            );
            Err(Error::argument(
                &format!("the device of the buffer for '{name}'"),
                "another",
                &rule,
            ))
        }
    }
}
