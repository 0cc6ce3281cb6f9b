//! Burn under measurement: its `wgpu` backend with fusion and autotune, as its features come, written
//! as its guide writes a training loop.

mod net;
mod predict;
mod product;
mod training;

use bench_common::protocol::Description;
use bench_common::worker::{Peer, Refusal, Trial, locked_version, serve};
use bench_common::workload::Task;
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
            Task::HostFit { .. } => {
                return Err(Refusal::Unsupported("its wgpu is built without the noop device"));
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
