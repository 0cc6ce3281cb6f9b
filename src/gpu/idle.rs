//! Waiting for what was submitted so far.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::Gpu;
use crate::{Error, Result};

impl Gpu {
    /// Sleeps until the device is done with a submission.
    ///
    /// There is no limit to it, on purpose: wgpu-core 30 panics if a wait that is over its limit finds
    /// that another thread has taken the finished submission meanwhile. Whoever must not sleep forever
    /// lets another thread sleep.
    ///
    /// # Errors
    /// The device's faults.
    pub(crate) fn wait_for(&self, index: wgpu::SubmissionIndex) -> Result<()> {
        let wait = wgpu::PollType::Wait { submission_index: Some(index), timeout: None };
        // A submission that failed is not waited for, and says so elsewhere.
        self.poll(wait);
        self.check("a submission")
    }

    /// Waits, without giving up the processor, until the device is done with everything submitted.
    ///
    /// # Errors
    /// [`Error::Timeout`] after `patience`; the device's faults.
    pub(crate) fn wait_until_idle(&self, during: &str, patience: Duration) -> Result<()> {
        let done = Arc::new(AtomicBool::new(false));
        let flag = done.clone();
        self.queue().on_submitted_work_done(move || flag.store(true, Ordering::Release));
        self.tally().host_waits.add(1);
        let since = Instant::now();
        while !done.load(Ordering::Acquire) {
            self.poll(wgpu::PollType::Poll);
            self.check(during)?;
            if since.elapsed() > patience {
                let seconds = since.elapsed().as_secs();
                return Err(Error::Timeout { during: during.into(), seconds });
            }
            std::hint::spin_loop();
        }
        // A lost device says that all is done.
        self.ask(during)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_has_an_end() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(&device, &queue);
        gpu.wait_until_idle("a test", Duration::from_secs(5)).unwrap();
        assert_eq!(gpu.counters().host_waits, 1);
        gpu.wait_for(queue.submit([])).unwrap();
        let error = gpu.wait_until_idle("a test", Duration::ZERO).expect_err("no time at all");
        assert!(matches!(&error, Error::Timeout { during, .. } if during == "a test"), "{error:?}");
    }
}
