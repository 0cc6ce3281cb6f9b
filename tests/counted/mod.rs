//! What the tests on wgpu's noop device share.
#![allow(dead_code)]

use wgrad::data::Dataset;
use wgrad::graph::{Graph, Loss, Tensor, UpdateRule};
use wgrad::nn::{Optimizer, Sequential};
use wgrad::train::{Kernels, Model, TrainingConfig};
use wgrad::{Counters, Gpu};

/// Bytes that say whether a step went wrong, and which.
pub const STATUS: u64 = 20;
pub const SGD: UpdateRule = UpdateRule::Sgd { weight_decay: 0.0 };

pub fn noop_with(limits: wgpu::Limits) -> Gpu {
    let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
    let (device, queue) = wgpu::Device::noop(&descriptor);
    Gpu::from_device(&device, &queue)
}

/// A noop device with WebGPU's default limits.
pub fn noop() -> Gpu {
    noop_with(wgpu::Limits::default())
}

/// A noop device whose buffers and bindings end at `bytes`.
pub fn small(bytes: u64) -> Gpu {
    noop_with(wgpu::Limits {
        max_storage_buffer_binding_size: bytes,
        max_buffer_size: bytes,
        ..Default::default()
    })
}

/// The README's data: 1000 rows of 10 features and one target.
pub fn article_data() -> Dataset {
    let features: Vec<f32> = (0..10_000).map(|i| (i % 17) as f32 / 17.0).collect();
    Dataset::regression(features, 10, vec![0.5; 1000], 1).unwrap()
}

/// Mean squared error and `optimizer`, with the kernels of the plan.
pub fn general(optimizer: Optimizer) -> TrainingConfig {
    TrainingConfig::new(Loss::MeanSquaredError, optimizer).kernels(Kernels::General)
}

/// The README's network: 10, 64 and 1 units.
pub fn article(gpu: &Gpu) -> Model {
    let net = Sequential::new(10).dense(64).relu().dense(1).seed(42);
    net.compile_blocking(gpu, general(Optimizer::sgd(0.05))).unwrap()
}

/// What `work` made the device do.
pub fn counted<T>(gpu: &Gpu, work: impl FnOnce() -> T) -> (Counters, T) {
    let before = gpu.counters();
    let result = work();
    (gpu.counters() - before, result)
}

pub fn created(counters: &Counters) -> [u64; 3] {
    [counters.buffers, counters.bind_groups, counters.pipelines]
}

/// `Σ w·x` with a parameter `w` and SGD.
pub fn descent(elements: usize) -> (Graph, Tensor, Tensor, Tensor) {
    let mut graph = Graph::new();
    let w = graph.parameter("w", [elements]).unwrap();
    let x = graph.input("x", [elements]).unwrap();
    let product = graph.mul(w, x).unwrap();
    let loss = graph.sum(product, 0).unwrap();
    let gradients = graph.gradients(loss, &[w]).unwrap();
    graph.update(SGD, None, loss, &[(w, gradients[0])]).unwrap();
    (graph, w, x, loss)
}
