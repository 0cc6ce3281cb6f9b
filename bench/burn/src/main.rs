//! Burn under measurement: its `wgpu` backend with fusion and autotune, as its features come, written
//! as its guide writes a training loop.

mod net;
mod predict;
mod product;
mod training;

use bench_common::protocol::Description;
use bench_common::worker::{Peer, Refusal, Trial, locked_version, serve, words};
use bench_common::workload::Task;
use burn::tensor::wgpu::{WgpuSetup, wgpu};
use burn::tensor::{Device, DeviceKind};

fn main() {
    serve(Burn);
}

struct Burn;

impl Peer for Burn {
    fn describe(&mut self) -> Result<Description, String> {
        let identity = device().identity().ok_or("the device does not say what it is")?;
        Ok(Description { version: locked_version("burn"), adapter: identity.name, driver: None })
    }

    fn prepare(&mut self, task: &Task) -> Result<Box<dyn Trial>, Refusal> {
        Ok(match task {
            Task::Fit { training, epochs } => {
                Box::new(training::Fitting::new(device(), training, *epochs)?)
            }
            Task::Steps { training, steps } => {
                Box::new(training::Steps::new(device(), training, *steps)?)
            }
            Task::HostSteps { training, steps } => {
                Box::new(training::Steps::new(noop()?, training, *steps)?)
            }
            Task::Product { layout, m, n, k, times } => {
                Box::new(product::Product::new(device(), *layout, [*m, *n, *k], *times))
            }
            Task::Predict { net, rows, calls } => {
                Box::new(predict::Predictions::new(device(), net, *rows, *calls))
            }
            Task::Peak { .. } => return Err(Refusal::Unsupported("a property of the adapter")),
        })
    }
}

/// The device that Burn chooses.
fn device() -> Device {
    Device::wgpu(DeviceKind::DefaultDevice)
}

/// wgpu's noop device, lent to Burn.
fn noop() -> Result<Device, String> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::NOOP,
        backend_options: wgpu::BackendOptions {
            noop: wgpu::NoopBackendOptions { enable: true, ..Default::default() },
            ..Default::default()
        },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let setup = pollster::block_on(async {
        let adapter = instance.request_adapter(&Default::default()).await.map_err(words)?;
        let descriptor = wgpu::DeviceDescriptor {
            required_limits: adapter.limits(),
            required_features: adapter.features(),
            // SAFETY: nothing is computed on this device.
            experimental_features: unsafe { wgpu::ExperimentalFeatures::enabled() },
            ..Default::default()
        };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(words)?;
        Ok::<_, String>(WgpuSetup {
            instance,
            adapter,
            device,
            queue,
            backend: wgpu::Backend::Noop,
        })
    })?;
    Device::wgpu_options().setup(setup).init().map_err(words)
}
