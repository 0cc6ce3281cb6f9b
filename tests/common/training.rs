//! What the tests of training share: the README's net and data, a model of it, and what is left of a
//! training in bits.

use std::sync::mpsc;
use std::time::Duration;

use wgrad::Gpu;
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::plan::AdapterClass;
use wgrad::train::{FitOptions, History, Kernels, Model, Residency, TrainingConfig};

use super::gpu;

/// The kernels that train: one dispatch per operation, and one for many steps, with the numbers in
/// registers or in memory.
pub fn kinds() -> impl Iterator<Item = Kernels> {
    [Kernels::General, Kernels::WholeStep, Kernels::WholeStepInMemory].into_iter()
}

/// The README's data: rows of 10 features, and what there is to learn of them.
pub fn article_data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 10).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Dataset::regression(features, 10, targets, 1).unwrap()
}

/// Rows whose batch `bad` of `batch` rows has a target without a square.
pub fn data_with_a_bad_batch(rows: usize, batch: usize, bad: usize) -> Dataset {
    let (features, width, targets) = article_data(rows).into_parts();
    let Targets::Values { data: mut values, .. } = targets else { panic!("values") };
    values[bad * batch + 1] = 1e30;
    Dataset::regression(features, width, values, 1).unwrap()
}

/// The README's network.
pub fn article_net() -> Sequential {
    Sequential::new(10).dense(64).relu().dense(1).seed(42)
}

/// Points in the plane, three classes by their angle.
pub fn classes(rows: usize) -> Dataset {
    let point = |i: usize| {
        let angle = (i * 37 % 360) as f32 / 57.3;
        let radius = 0.5 + (i * 13 % 50) as f32 / 50.0;
        [radius * angle.cos(), radius * angle.sin()]
    };
    let label = |i: usize| ((i * 37 % 360) / 120) as u32;
    let features = (0..rows).flat_map(point).collect();
    Dataset::classification(features, 2, (0..rows).map(label).collect(), 3).unwrap()
}

pub fn compile_on(
    kernels: Kernels,
    gpu: &Gpu,
    net: Sequential,
    loss: Loss,
    optimizer: Optimizer,
) -> Model {
    net.compile_blocking(gpu, TrainingConfig::new(loss, optimizer).kernels(kernels)).unwrap()
}

pub fn article(kernels: Kernels, optimizer: Optimizer) -> Model {
    compile_on(kernels, &gpu(), article_net(), Loss::MeanSquaredError, optimizer)
}

/// The same adapter without optional features: lanes exchange through workgroup memory.
pub fn without_subgroups() -> Gpu {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name).unwrap();
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    planned_alike(Gpu::from_device(&device, &queue).busy(gpu().target().busy))
}

/// With the kernels of the device that the tests run on, which may be those that a GPU gets.
pub fn planned_alike(other: Gpu) -> Gpu {
    let target = gpu().target();
    match (target.class, target.width) {
        (AdapterClass::Gpu, Some(width)) => other.planned_as_gpu(width),
        _ => other,
    }
}

/// All parameters, one after another.
pub fn weights(model: &Model) -> Vec<f32> {
    model.weights_blocking().unwrap().into_iter().flat_map(|(_, values)| values).collect()
}

pub fn weight_bits(model: &Model) -> Vec<u32> {
    weights(model).iter().map(|w| w.to_bits()).collect()
}

/// A run of the article's net on a fresh model: weights and losses, as bits.
pub fn run(
    kernels: Kernels,
    data: &Dataset,
    optimizer: Optimizer,
    fit: FitOptions,
) -> (Vec<u32>, Vec<u32>) {
    let mut model = article(kernels, optimizer);
    let history = model.fit_blocking(data, fit).unwrap();
    (weight_bits(&model), history.batch_losses.iter().map(|loss| loss.to_bits()).collect())
}

/// The weights after exactly `steps` steps over `data` in batches of `batch` rows, in order.
pub fn weights_after(mut model: Model, data: &Dataset, batch: usize, steps: u64) -> Vec<u32> {
    let mut trainer = pollster::block_on(model.trainer(data, batch, Residency::Resident)).unwrap();
    for step in 0..steps {
        let at = step as usize % trainer.batches();
        pollster::block_on(trainer.submit(at..at + 1, |_| model.next_step(0))).unwrap();
        pollster::block_on(trainer.results()).unwrap();
        model.completed(1);
    }
    drop(trainer);
    weight_bits(&model)
}

/// Targets of which a net that learns others' comes near first, and then away from.
pub fn passing_by() -> (Dataset, Dataset) {
    let data = article_data(200);
    let (features, width, targets) = article_data(100).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let halves = values.iter().map(|t| 0.6 * t).collect();
    (data, Dataset::regression(features, width, halves, 1).unwrap())
}

/// Position of the least, from 0.
pub fn best_epoch(history: &History) -> usize {
    let losses = history.values("val_loss").unwrap();
    (0..losses.len()).min_by(|&a, &b| losses[a].total_cmp(&losses[b])).unwrap()
}

/// What a test may take: it must end, if only by failing.
pub fn within<T: Send + 'static>(seconds: u64, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || sender.send(work()));
    match receiver.recv_timeout(Duration::from_secs(seconds)) {
        Ok(result) => result,
        Err(mpsc::RecvTimeoutError::Timeout) => panic!("no end within {seconds} s"),
        Err(mpsc::RecvTimeoutError::Disconnected) => panic!("the work panicked"),
    }
}
