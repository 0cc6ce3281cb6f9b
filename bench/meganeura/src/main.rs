//! Meganeura under measurement: sessions as `build_session` makes them, driven as its own `Trainer`
//! and examples drive them.

mod net;
mod predict;
mod product;
mod training;

use bench_common::protocol::Description;
use bench_common::worker::{Peer, Refusal, Trial, locked_version, serve};
use bench_common::workload::{Layout, Task};

fn main() {
    serve(Meganeura);
}

struct Meganeura;

impl Peer for Meganeura {
    fn describe(&mut self) -> Result<Description, String> {
        let any = product::session(Layout::AB, [1, 1, 1]);
        let info = any.device_information();
        Ok(Description {
            version: locked_version("meganeura"),
            adapter: info.device_name.clone(),
            driver: Some(format!("{} {}", info.driver_name, info.driver_info)),
        })
    }

    fn prepare(&mut self, task: &Task) -> Result<Box<dyn Trial>, Refusal> {
        Ok(match task {
            Task::Fit { training, epochs } => {
                let steps = epochs * training.batches();
                Box::new(training::Loop::new(training, steps, training::Report::Epoch)?)
            }
            Task::Steps { training, steps } => {
                Box::new(training::Loop::new(training, *steps, training::Report::Step)?)
            }
            Task::HostFit { .. } => {
                return Err(Refusal::Unsupported("its graphics library has no noop device"));
            }
            Task::Product { layout, m, n, k, times } => {
                Box::new(product::Product::new(*layout, [*m, *n, *k], *times))
            }
            Task::Predict { net, rows, calls } => {
                Box::new(predict::Predictions::new(net, *rows, *calls))
            }
            Task::Peak { .. } => return Err(Refusal::Unsupported("a property of the adapter")),
        })
    }
}
