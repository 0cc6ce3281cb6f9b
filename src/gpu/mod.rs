//! The device: adapter choice, buffers, pipelines, reading back, and every error of WebGPU as a
//! value of the call that caused it.

mod adapter;
mod buffer;
mod counters;
#[cfg(not(target_arch = "wasm32"))]
mod device_clock;
mod fault;
mod identity;
#[cfg(not(target_arch = "wasm32"))]
mod idle;
mod measure;
mod pipeline;
mod readback;
mod scope;
mod texels;
#[cfg(not(target_arch = "wasm32"))]
mod timestamps;

pub use adapter::{AdapterChoice, adapters};
pub(crate) use buffer::Buffer;
pub use counters::Counters;
#[cfg(not(target_arch = "wasm32"))]
pub use device_clock::{Bracket, DeviceClock};
pub(crate) use pipeline::Pipeline;
pub(crate) use readback::{Arrival, map};
pub(crate) use texels::Texels;
#[cfg(not(target_arch = "wasm32"))]
pub use timestamps::Timestamps;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::Error;
use crate::kernel::matmul::Tiling;
use crate::plan::{
    AdapterClass, FILLED_BY_DISCRETE, FILLED_BY_INTEGRATED, FILLED_BY_OTHER, LaunchLimits,
    MOST_TURNS, Target,
};
use counters::Tally;
use fault::Faults;
use pipeline::Pipelines;

/// A `wgpu` device with its queue: made by wgrad or lent by the app that owns it.
///
/// Cloning is cheap and yields the same device.
#[derive(Clone, Debug)]
pub struct Gpu {
    shared: Arc<DeviceContext>,
    target: Arc<Target>,
    /// Counts what is done through this handle and its clones alone, if that is wanted.
    own: Option<Arc<Tally>>,
}

#[derive(Debug)]
struct DeviceContext {
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    tally: Tally,
    /// Bytes of the buffers that there are.
    in_use: Arc<AtomicU64>,
    pipelines: Pipelines,
    faults: Faults,
    /// Whether the queue is the device's; a caller could give another.
    owns_queue: bool,
}

impl Gpu {
    /// A device on the best adapter: discrete before integrated before software.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] with what to install on this system; [`Error::NoDevice`].
    pub async fn new() -> Result<Self, Error> {
        Self::with_adapter(&AdapterChoice::default()).await
    }

    /// A device on the adapter that `choice` names. Natively devices are made one after another,
    /// whatever thread asks for them: some drivers crash if they are made at the same time.
    ///
    /// # Errors
    /// As for [`Gpu::new`]; the error lists the adapters there are.
    pub async fn with_adapter(choice: &AdapterChoice) -> Result<Self, Error> {
        // Futures that other threads poll could deadlock on a lock held across an await; natively
        // these are ready at once, and run to their end here.
        #[cfg(not(target_arch = "wasm32"))]
        {
            use std::sync::{Mutex, PoisonError};
            static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
            let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
            pollster::block_on(Self::make(choice))
        }
        #[cfg(target_arch = "wasm32")]
        Self::make(choice).await
    }

    async fn make(choice: &AdapterChoice) -> Result<Self, Error> {
        let adapter = adapter::pick(choice).await?;
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("wgrad"),
            required_features: adapter.features()
                & (wgpu::Features::SUBGROUP
                    | wgpu::Features::SHADER_INT64
                    | wgpu::Features::TIMESTAMP_QUERY),
            required_limits: adapter.limits(),
            // A lane each of several, or beside a browser and games: not 128 MiB from the start.
            memory_hints: wgpu::MemoryHints::MemoryUsage,
            ..Default::default()
        };
        let (device, queue) = adapter::open(&adapter, &descriptor).await?;
        Ok(Self::own(device, queue, adapter.get_info()))
    }

    /// A device of wgrad's own, whose faults it hears of.
    fn own(device: wgpu::Device, queue: wgpu::Queue, info: wgpu::AdapterInfo) -> Self {
        let faults = Faults::default();
        faults.watch(&device);
        Self::assemble(device, queue, info, faults, true)
    }

    /// A device that the caller owns. Its error handler and its device-lost callback stay the
    /// caller's; everything works on default WebGPU limits and without optional features. If `queue` is
    /// another device's, every call that needs the device is an [`Error::Argument`] that says so.
    pub fn from_device(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        let info = device.adapter_info();
        let owns_queue = identity::owns_queue(device, queue);
        Self::assemble(device.clone(), queue.clone(), info, Faults::default(), owns_queue)
    }

    fn assemble(
        device: wgpu::Device,
        queue: wgpu::Queue,
        info: wgpu::AdapterInfo,
        faults: Faults,
        owns_queue: bool,
    ) -> Self {
        let limits = device.limits();
        let width =
            (info.subgroup_min_size == info.subgroup_max_size).then_some(info.subgroup_min_size);
        let class = match info.device_type {
            wgpu::DeviceType::Cpu => AdapterClass::Software,
            _ => AdapterClass::Gpu,
        };
        let target = Target {
            class,
            // Shaders count bytes in 32 bits, also where the limit is larger (Metal).
            max_binding_bytes: limits.max_storage_buffer_binding_size.min(u32::MAX.into()),
            max_buffer_bytes: limits.max_buffer_size,
            max_workgroups: limits.max_compute_workgroups_per_dimension,
            launch: LaunchLimits::of(&limits),
            alignment: limits
                .min_storage_buffer_offset_alignment
                .max(limits.min_uniform_buffer_offset_alignment),
            subgroup: width.filter(|_| device.features().contains(wgpu::Features::SUBGROUP)),
            width,
            words: device.features().contains(wgpu::Features::SHADER_INT64),
            texels: texels::fits(&device.limits()),
            texels_from: match class {
                AdapterClass::Software => texels::pay_from(&info.driver_info),
                AdapterClass::Gpu => None,
            },
            busy: match class {
                AdapterClass::Software => processors(),
                AdapterClass::Gpu => Target::default().busy,
            },
            filled_by: match info.device_type {
                wgpu::DeviceType::DiscreteGpu => FILLED_BY_DISCRETE,
                wgpu::DeviceType::IntegratedGpu => FILLED_BY_INTEGRATED,
                _ => FILLED_BY_OTHER,
            },
            most_turns: MOST_TURNS,
            tiling: None,
        };
        let shared = Arc::new(DeviceContext {
            device,
            queue,
            info,
            tally: Tally::default(),
            in_use: Arc::default(),
            pipelines: Pipelines::default(),
            faults,
            owns_queue,
        });
        Self { shared, target: Arc::new(target), own: None }
    }

    /// The device.
    pub fn device(&self) -> &wgpu::Device {
        &self.shared.device
    }

    /// The device's queue.
    pub fn queue(&self) -> &wgpu::Queue {
        &self.shared.queue
    }

    /// Name, driver and kind of the adapter.
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.shared.info
    }

    /// What plans need to know of the device.
    pub fn target(&self) -> Target {
        Target::clone(&self.target)
    }

    /// The same device, for which every plan tiles its matrix products by `tiling` rather than as the
    /// rule has it: for tests and measurements. A plan with a tiling that the device cannot run is
    /// refused.
    pub fn tiled(mut self, tiling: Option<Tiling>) -> Self {
        Arc::make_mut(&mut self.target).tiling = tiling;
        self
    }

    /// The same device, for which plans and whole-step kernels share their work out over so many workgroups
    /// (0 counts as 1) rather than, on a software adapter, over as many as its host has processors: for the
    /// same bits as on another host.
    pub fn busy(mut self, workgroups: usize) -> Self {
        Arc::make_mut(&mut self.target).busy = workgroups.max(1);
        self
    }

    /// The same device, for which plans take it that so many invocations (0 counts as 1) fill it if it is a
    /// GPU: what [`Gpu::measure`] found, now or on another day. Sums are split accordingly, so the bits of
    /// results depend on it.
    pub fn filled_by(mut self, invocations: usize) -> Self {
        Arc::make_mut(&mut self.target).filled_by = invocations.max(1);
        self
    }

    /// The same device, for which plans and whole-step kernels are chosen as on a GPU with subgroups of `width`
    /// invocations, whatever it is: for tests and measurements. If the device has subgroup operations, the
    /// width is its own.
    pub fn planned_as_gpu(mut self, width: u32) -> Self {
        let Target { class, busy, filled_by, .. } = Target::default();
        let target = Arc::make_mut(&mut self.target);
        (target.class, target.busy, target.filled_by) = (class, busy, filled_by);
        target.width = target.subgroup.or(Some(width));
        self
    }

    /// Adapter, driver and API in one line.
    pub fn describe(&self) -> String {
        adapter::label(self.info())
    }

    /// What was done on this device so far.
    pub fn counters(&self) -> Counters {
        self.tally().read()
    }

    /// Bytes of the buffers that wgrad has on this device now: of models, data and results. Lanes on one device
    /// count together.
    pub fn bytes_in_use(&self) -> u64 {
        self.shared.in_use.load(Ordering::Relaxed)
    }

    pub(crate) fn tally(&self) -> &Tally {
        self.own.as_deref().unwrap_or(&self.shared.tally)
    }

    /// An error if the device reported a fault of its own.
    pub(crate) fn check(&self, during: &str) -> Result<(), Error> {
        if !self.shared.owns_queue {
            let rule = "the one that came with the device from `Adapter::request_device`";
            let name = format!("the queue given to Gpu::from_device, needed for {during},");
            return Err(Error::argument(&name, "another device's", rule));
        }
        self.shared.faults.check(during)
    }

    /// A zeroed buffer that kernels, copies and the host can use.
    pub(crate) async fn buffer(&self, label: &str, bytes: u64) -> Result<Buffer, Error> {
        use wgpu::BufferUsages as Usage;
        let usage = Usage::STORAGE | Usage::COPY_SRC | Usage::COPY_DST;
        self.buffer_for(label, bytes, usage).await
    }

    /// A zeroed buffer for `usage`.
    pub(crate) async fn buffer_for(
        &self,
        label: &str,
        bytes: u64,
        usage: wgpu::BufferUsages,
    ) -> Result<Buffer, Error> {
        let target = &self.target;
        let (limit, allowed) = match usage.contains(wgpu::BufferUsages::STORAGE) {
            true => target.tensor_limit(),
            false => ("the device's maxBufferSize", target.max_buffer_bytes),
        };
        if bytes > allowed {
            return Err(Error::Limit {
                what: label.into(),
                needed: bytes,
                unit: "bytes",
                limit,
                allowed,
                remedy: "use a smaller batch, model or data block".into(),
            });
        }
        let size = bytes.max(4).next_multiple_of(4);
        let during = format!("allocating {label} ({size} bytes)");
        self.tally().buffers.add(1);
        self.tally().buffer_bytes.add(size);
        self.scoped(&during, || {
            let raw = self.device().create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size,
                usage,
                mapped_at_creation: false,
            });
            Buffer::owned(raw, self.shared.in_use.clone())
        })
        .await
    }

    /// Queues a write of `data` (a multiple of four bytes) to `buffer`, and asks whether the device lives
    /// that is to make it.
    pub(crate) fn write(
        &self,
        buffer: &wgpu::Buffer,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Error> {
        let fault = self.queue_write(buffer, offset, data);
        self.verdict_at_once(WRITING, fault)
    }

    /// [`Gpu::write`] of what belongs to a step. Asking takes as long as many writes do, so only a refusal
    /// is asked about: what is read back of the step says that the device is lost.
    pub(crate) fn write_of_step(
        &self,
        buffer: &wgpu::Buffer,
        offset: u64,
        data: &[u8],
    ) -> Result<(), Error> {
        match self.queue_write(buffer, offset, data) {
            None => self.check(WRITING),
            fault => self.verdict_at_once(WRITING, fault),
        }
    }

    fn queue_write(&self, buffer: &wgpu::Buffer, offset: u64, data: &[u8]) -> Option<fault::Fault> {
        self.tally().bytes_uploaded.add(data.len() as u64);
        self.refused(|| self.queue().write_buffer(buffer, offset, data))
    }

    pub(crate) async fn pipeline(
        &self,
        parts: &[&'static crate::kernel::Part],
        constants: &[(&'static str, f64)],
    ) -> Result<Arc<Pipeline>, Error> {
        self.shared.pipelines.get(self, parts, constants).await
    }

    /// The training kernel of a small net.
    pub(crate) async fn whole_step_pipeline(
        &self,
        net: &crate::kernel::whole_step::Net,
    ) -> Result<Arc<Pipeline>, Error> {
        self.shared.pipelines.whole_step(self, net).await
    }
}

#[cfg(not(target_arch = "wasm32"))]
impl Gpu {
    /// A handle whose counters begin at zero and count what is done through it and its clones; those of
    /// the device count it too.
    pub(crate) fn as_lane(&self) -> Self {
        Self { own: Some(Arc::new(self.shared.tally.part())), ..self.clone() }
    }

    /// A handle whose counters are the device's.
    pub(crate) fn as_whole(&self) -> Self {
        Self { own: None, ..self.clone() }
    }
}

/// What is being done when a write fails.
const WRITING: &str = "writing to the device";

/// Processors that a software adapter can work on, as far as they are known.
fn processors() -> usize {
    #[cfg(not(target_arch = "wasm32"))]
    if let Ok(processors) = std::thread::available_parallelism() {
        return processors.get();
    }
    16
}
