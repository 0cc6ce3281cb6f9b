//! A net and a batch that one device refuses, for its limits, train as a pipeline over two such devices.

use std::sync::Arc;

use crate::common::training::planned_alike;
use crate::common::{gpu, lanes};
use crate::support::bits;
use crate::support::parallel::{run_to, start, state_bits};
use wgrad::data::Dataset;
use wgrad::lanes::{ParallelOptions, Schedule};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{FitOptions, TrainingConfig};
use wgrad::{Error, Gpu};

/// Bytes of the largest buffer and of the largest binding.
const MOST: u64 = 1 << 20;
/// A step of 1,280 rows has 1.3 MB of each layer's activations; in eight parts 164 KB.
const ROWS: usize = 1280;

fn small_device() -> Gpu {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name).unwrap();
    let required_limits = wgpu::Limits {
        max_buffer_size: MOST,
        max_storage_buffer_binding_size: MOST,
        ..Default::default()
    };
    let descriptor = wgpu::DeviceDescriptor { required_limits, ..Default::default() };
    let (device, queue) = pollster::block_on(adapter.request_device(&descriptor)).unwrap();
    planned_alike(Gpu::from_device(&device, &queue).busy(gpu().target().busy))
}

fn refused<T>(outcome: wgrad::Result<T>) -> String {
    let error = outcome.map(drop).expect_err("more than a buffer may hold");
    let cause = match &error {
        Error::Lane { source, .. } => source,
        error => error,
    };
    let Error::Limit { allowed: MOST, .. } = cause else { panic!("{error:?}") };
    error.to_string()
}

#[test]
fn what_one_device_refuses_two_train() {
    let features: Vec<f32> = (0..ROWS * 8).map(|i| ((i * 7919) % 1013) as f32 / 506.5).collect();
    let targets = features.chunks(8).map(|row| row[0] * row[1] - row[2]).collect();
    let data = Arc::new(Dataset::regression(features, 8, targets, 1).unwrap());
    // 1.3 MB of parameters, about half of them in each stage.
    let net = (0..5).fold(Sequential::new(8).dense(256), |net, _| net.tanh().dense(256));
    let net = net.tanh().dense(1).seed(4);
    let how = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
    let options = |schedule| ParallelOptions::new(ROWS, 8, schedule);
    let one = small_device();

    let mut model = net.clone().compile_blocking(&one, how.clone()).unwrap();
    refused(model.fit_blocking(&data, FitOptions::new(1).batch_size(ROWS)));
    let train = |schedule: Schedule, gpus: &[Gpu]| {
        let mut parallel = start((net.clone(), how.clone(), &data), options(schedule), gpus)?;
        let losses = run_to(&mut parallel, 2)?;
        Ok((bits(&losses), state_bits(parallel.state())))
    };
    refused(train(Schedule::Serial, std::slice::from_ref(&one)));
    let trained = train(Schedule::pipeline(), &[one, small_device()]).unwrap();
    assert!(trained == train(Schedule::Serial, &lanes(1)).unwrap(), "other bits");
}
