//! wgrad under measurement, through its public interface.

mod fit;
mod peak;
mod predict;
mod product;
mod steps;

use bench_common::protocol::Description;
use bench_common::worker::{Peer, Refusal, Trial, locked_version, serve, words};
use bench_common::workload::{Loss, Net, Optimizer, Task};
use wgrad::Gpu;
use wgrad::nn::Sequential;
use wgrad::train::{TrainingConfig, Model};

fn main() {
    serve(Wgrad { gpu: None });
}

struct Wgrad {
    gpu: Option<Gpu>,
}

impl Wgrad {
    fn gpu(&mut self) -> Result<Gpu, String> {
        match &self.gpu {
            Some(gpu) => Ok(gpu.clone()),
            None => Ok(self.gpu.insert(Gpu::new_blocking().map_err(words)?).clone()),
        }
    }
}

impl Peer for Wgrad {
    fn describe(&mut self) -> Result<Description, String> {
        let gpu = self.gpu()?;
        let info = gpu.info();
        Ok(Description {
            version: locked_version("wgrad"),
            adapter: info.name.clone(),
            driver: Some(format!("{} {}", info.driver, info.driver_info).trim().into()),
        })
    }

    fn prepare(&mut self, task: &Task) -> Result<Box<dyn Trial>, Refusal> {
        let gpu = self.gpu()?;
        Ok(match task {
            Task::Fit { training, epochs } => Box::new(fit::Fitting::new(gpu, training, *epochs)?),
            Task::Steps { training, steps } => Box::new(steps::Steps::new(gpu, training, *steps)?),
            Task::HostFit { training, epochs } => {
                let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
                let noop = Gpu::from_device(&device, &queue);
                Box::new(fit::Fitting::new(noop, training, *epochs)?)
            }
            Task::Product { layout, m, n, k, times } => {
                Box::new(product::Product::new(&gpu, *layout, [*m, *n, *k], *times)?)
            }
            Task::Predict { net, rows, calls } => {
                Box::new(predict::Predictions::new(&gpu, net, *rows, *calls)?)
            }
            Task::Peak { multiply_adds } => Box::new(peak::Peak::new(&gpu, *multiply_adds)?),
        })
    }
}

/// The net on a device, with the first weights.
fn model(gpu: &Gpu, net: &Net, optimizer: Optimizer, rate: f32) -> Result<Model, String> {
    let last = net.widths.len() - 2;
    let layers = net.widths[1..].iter().enumerate();
    let sequential = layers.fold(Sequential::new(net.inputs()), |net, (index, &units)| {
        let net = net.dense(units);
        if index < last { net.relu() } else { net }
    });
    let loss = match net.loss {
        Loss::MeanSquaredError => wgrad::nn::Loss::MeanSquaredError,
        Loss::CrossEntropy => wgrad::nn::Loss::SoftmaxCrossEntropy,
    };
    let optimizer = match optimizer {
        Optimizer::Sgd => wgrad::nn::Optimizer::sgd(rate),
        Optimizer::Adam => wgrad::nn::Optimizer::adam(rate),
    };
    let mut model =
        sequential.compile_blocking(gpu, TrainingConfig::new(loss, optimizer)).map_err(words)?;
    model.set_weights(&weights(net)).map_err(words)?;
    Ok(model)
}

/// The weights and biases that every peer starts from.
fn weights(net: &Net) -> Vec<Vec<f32>> {
    bench_common::data::layers(net).into_iter().flat_map(|l| [l.weight, l.bias]).collect()
}

/// The data of a training.
fn dataset(training: &bench_common::workload::Training) -> Result<wgrad::data::Dataset, String> {
    use bench_common::data::Targets;
    use wgrad::data::Dataset;
    let net = &training.net;
    let data = bench_common::data::data(training)?;
    match data.targets {
        Targets::Values(values) => {
            Dataset::regression(data.features, net.inputs(), values, net.outputs())
        }
        Targets::Classes(classes) => {
            Dataset::classification(data.features, net.inputs(), classes, net.outputs())
        }
    }
    .map_err(words)
}
