//! Reading buffers back without blocking the caller's thread for long, and never forever.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::fault::Fault;
use super::{Buffer, Gpu};
use crate::Error;

/// Longest wait for the device before [`Error::Timeout`]. A submission is sized to take far less; what
/// takes longer hangs. But a software driver compiles a kernel when it first runs it, which on a slow and
/// busy machine takes minutes.
#[cfg(not(target_arch = "wasm32"))]
fn patience(device: wgpu::DeviceType) -> std::time::Duration {
    std::time::Duration::from_secs(match device {
        wgpu::DeviceType::Cpu => 1200,
        _ => 120,
    })
}

/// The bytes of a mapped buffer, once the device is done with it. Awaited again it says the same again.
#[derive(Debug)]
pub(crate) struct Arrival {
    gpu: Gpu,
    state: Arc<Mutex<State>>,
    during: &'static str,
    #[cfg(not(target_arch = "wasm32"))]
    patience: std::time::Duration,
    #[cfg(not(target_arch = "wasm32"))]
    waiting_since: Option<std::time::Instant>,
}

#[derive(Debug, Default)]
struct State {
    result: Option<Result<(), Fault>>,
    waker: Option<Waker>,
}

/// Asks for `bytes` of `buffer` to be mapped for reading. Await the arrival, then read and unmap.
pub(crate) fn map(gpu: &Gpu, buffer: &wgpu::Buffer, bytes: u64, during: &'static str) -> Arrival {
    let state = Arc::new(Mutex::new(State::default()));
    let finish = |state: &Mutex<State>, result: Result<(), Fault>| {
        let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
        // What is refused may be reported twice, by the error scope and by the callback.
        if state.result.as_ref().is_none_or(Result::is_ok) {
            state.result = Some(result);
        }
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    };
    let shared = state.clone();
    // On the web, where there is no asking at once, it is a loss that a mapping is refused for.
    let kind = if cfg!(target_arch = "wasm32") { Fault::Lost } else { Fault::Refused };
    let refused = gpu.refused(|| {
        buffer.map_async(wgpu::MapMode::Read, ..bytes, move |result| {
            finish(&shared, result.map_err(|reason| kind(reason.to_string())));
        });
    });
    if let Some(fault) = refused {
        finish(&state, Err(fault));
    }
    Arrival {
        gpu: gpu.clone(),
        state,
        during,
        #[cfg(not(target_arch = "wasm32"))]
        patience: patience(gpu.info().device_type),
        #[cfg(not(target_arch = "wasm32"))]
        waiting_since: None,
    }
}

impl Arrival {
    /// Asks for `buffer`, which it is of, no more. What a lost device has against that is of no use to anybody.
    pub(crate) fn give_up(self, buffer: &wgpu::Buffer) {
        self.gpu.refused(|| buffer.unmap());
    }

    /// Whether awaiting would return at once. Lets the device make progress where it needs that.
    pub(crate) fn is_ready(&self) -> bool {
        #[cfg(not(target_arch = "wasm32"))]
        self.gpu.poll(wgpu::PollType::Poll);
        self.state.lock().unwrap_or_else(PoisonError::into_inner).result.is_some()
    }

    fn finished(&self) -> Option<Result<(), Error>> {
        let result = self.state.lock().unwrap_or_else(PoisonError::into_inner).result.clone()?;
        Some(result.or_else(|fault| self.gpu.verdict_at_once(self.during, Some(fault))))
    }
}

impl Future for Arrival {
    type Output = Result<(), Error>;

    #[cfg_attr(target_arch = "wasm32", allow(unused_mut))]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(result) = self.finished() {
            return Poll::Ready(result);
        }
        let state = self.state.clone();
        state.lock().unwrap_or_else(PoisonError::into_inner).waker = Some(context.waker().clone());
        #[cfg(not(target_arch = "wasm32"))]
        if let Err(error) = self.drive() {
            return Poll::Ready(Err(error));
        }
        match self.finished() {
            Some(result) => Poll::Ready(result),
            None => {
                // Natively nobody else polls the device: ask to be polled again.
                #[cfg(not(target_arch = "wasm32"))]
                context.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Arrival {
    /// Lets the device make progress and gives up the processor for a moment: short at first, so that
    /// small steps come back fast, longer when there is much to wait for.
    ///
    /// `PollType::Wait` would be simpler, but it waits for the newest submission rather than ours,
    /// and wgpu-core 30 panics if it times out while another thread submits.
    fn drive(&mut self) -> Result<(), Error> {
        use std::time::{Duration, Instant};
        let since = match self.waiting_since {
            Some(since) => since,
            None => {
                self.gpu.tally().host_waits.add(1);
                *self.waiting_since.insert(Instant::now())
            }
        };
        self.gpu.poll(wgpu::PollType::Poll);
        self.gpu.check(self.during)?;
        if self.state.lock().unwrap_or_else(PoisonError::into_inner).result.is_some() {
            return Ok(());
        }
        let waited = since.elapsed();
        if waited > self.patience {
            let seconds = self.patience.as_secs();
            return Err(Error::Timeout { during: self.during.into(), seconds });
        }
        std::thread::sleep(
            (waited / 20).clamp(Duration::from_micros(20), Duration::from_millis(1)),
        );
        Ok(())
    }
}

impl Gpu {
    /// Copies `bytes` of `buffer` from `offset` to the host.
    pub(crate) async fn read(
        &self,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        self.read_by_way_of(&mut None, buffer, offset, bytes).await
    }

    /// The same by way of the buffer in `kept`, or a new one that is left there for the next time. If the
    /// future is dropped none is left, since it may be mapped.
    pub(crate) async fn read_by_way_of(
        &self,
        kept: &mut Option<Buffer>,
        buffer: &wgpu::Buffer,
        offset: u64,
        bytes: u64,
    ) -> Result<Vec<u8>, Error> {
        use wgpu::BufferUsages as Usage;
        let staging = match kept.take().filter(|kept| kept.size() >= bytes) {
            Some(kept) => kept,
            None => self.buffer_for("readback", bytes, Usage::COPY_DST | Usage::MAP_READ).await?,
        };
        self.scoped_of_step("a submission", || {
            let mut encoder = self.encoder();
            encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
            self.send(encoder);
        })
        .await?;
        map(self, &staging, bytes, "reading back").await?;
        let data = self.mapped(&staging, bytes)?;
        *kept = Some(staging);
        Ok(data)
    }

    /// The bytes of a mapped buffer, which is unmapped.
    pub(crate) fn mapped(&self, buffer: &wgpu::Buffer, bytes: u64) -> Result<Vec<u8>, Error> {
        let during = "reading back";
        let view = match buffer.get_mapped_range(..bytes) {
            Ok(view) => view,
            Err(reason) => {
                self.verdict_at_once(during, Some(Fault::Refused(reason.to_string())))?;
                return Err(Error::bug("a refused mapping is no error"));
            }
        };
        let data = view.to_vec();
        drop(view);
        let fault = self.refused(|| buffer.unmap());
        if fault.is_some() {
            self.verdict_at_once(during, fault)?;
        }
        self.tally().bytes_read_back.add(bytes);
        Ok(data)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What never arrives is not waited for for ever.
    #[test]
    fn what_never_arrives_is_an_error() {
        let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
        let gpu = Gpu::from_device(&device, &queue);
        let patience = std::time::Duration::from_secs(1);
        let (state, during) = (Arc::default(), "a test");
        let arrival = Arrival { gpu, state, during, patience, waiting_since: None };
        let error = pollster::block_on(arrival).expect_err("it never arrives");
        assert!(matches!(error, Error::Timeout { seconds: 1, .. }), "{error:?}");
        assert!(error.to_string().contains("did not finish a test within 1 s"), "{error}");
    }

    #[test]
    fn software_drivers_are_given_time_to_compile() {
        use wgpu::DeviceType::*;
        let seconds = |device| patience(device).as_secs();
        let gpus = [Other, IntegratedGpu, DiscreteGpu, VirtualGpu].map(seconds);
        assert_eq!((gpus, seconds(Cpu)), ([120; 4], 1200));
    }
}
