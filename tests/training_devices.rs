//! Training on a device of the caller's, on one that goes away, and on one that is too small.

use std::sync::mpsc;
use std::time::Duration;

use crate::common::gpu;
use crate::common::training::{
    article_data, article_net, compile_on, kinds, planned_alike, weight_bits, within,
};
use crate::support::bits;
use wgrad::nn::{Init, Loss, Optimizer, Sequential};
use wgrad::train::{BatchLog, Callback, FitOptions, Kernels, Signal, TrainingConfig};
use wgrad::{Error, Gpu};

/// A device of the caller's, with default limits and no features.
fn callers_device() -> (wgpu::Device, wgpu::Queue) {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    // The adapter that the tests run on.
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name);
    let adapter = adapter.expect("the adapter of the tests");
    pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default()))
        .expect("a device")
}

#[test]
fn a_callers_device_gives_the_same_bits() {
    for kernels in kinds() {
        let (device, queue) = callers_device();
        assert_eq!(device.features(), wgpu::Features::empty());
        let lent = planned_alike(Gpu::from_device(&device, &queue));
        let data = article_data(200);
        let run_on = |gpu: &Gpu| {
            let mut model = compile_on(
                kernels,
                gpu,
                article_net(),
                Loss::MeanSquaredError,
                Optimizer::adam(1e-2),
            );
            let history = model.fit_blocking(&data, FitOptions::new(3).shuffle(4)).unwrap();
            (weight_bits(&model), bits(&history.batch_losses))
        };
        assert_eq!(run_on(&lent), run_on(&gpu()));
    }
}

/// Destroys the device after some batches.
struct Destroyer(wgpu::Device, u64);

impl Callback for Destroyer {
    fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
        if log.step == self.1 {
            self.0.destroy();
        }
        Signal::Continue
    }
}

/// Training on a device that goes away ends with an error, soon, and so does everything after it.
fn lose(gpu: Gpu, kernels: Kernels) -> (Error, Vec<Error>) {
    within(300, move || {
        let data = article_data(300);
        let mut model =
            compile_on(kernels, &gpu, article_net(), Loss::MeanSquaredError, Optimizer::sgd(0.05));
        let mut destroyer = Destroyer(gpu.device().clone(), 40);
        let fit = FitOptions::new(50).batch_size(32).callback(&mut destroyer);
        let first = model.fit_blocking(&data, fit).expect_err("the device is gone");
        let row = data.row(0).unwrap();
        let mut later = vec![
            model.fit_blocking(&data, FitOptions::new(1)).expect_err("fit"),
            model.predict_blocking(row).expect_err("predict"),
            model.evaluate_blocking(&data).expect_err("evaluate"),
            model.weights_blocking().expect_err("weights"),
        ];
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
        later.push(article_net().compile_blocking(&gpu, compile).map(drop).expect_err("compile"));
        (first, later)
    })
}

#[test]
fn losing_a_device_is_an_error_whosever_it_is() {
    for kernels in kinds() {
        let (device, queue) = callers_device();
        for gpu in [Gpu::new_blocking().unwrap(), Gpu::from_device(&device, &queue)] {
            let (first, later) = lose(gpu, kernels);
            for error in std::iter::once(&first).chain(&later) {
                assert!(matches!(error, Error::DeviceLost { .. }), "{error:?}");
                assert!(error.to_string().contains("lost"), "{error}");
            }
        }
    }
}

/// The caller's error handler and device-lost callback stay the caller's.
#[test]
fn a_callers_callbacks_are_left_alone() {
    let (device, queue) = callers_device();
    let (sender, receiver) = mpsc::channel();
    device.set_device_lost_callback(move |reason, _| {
        let _ = sender.send(reason);
    });
    let gpu = Gpu::from_device(&device, &queue);
    let mut model = compile_on(
        Kernels::Auto,
        &gpu,
        article_net(),
        Loss::MeanSquaredError,
        Optimizer::sgd(0.05),
    );
    model.fit_blocking(&article_data(64), FitOptions::new(1)).unwrap();
    device.destroy();
    let _ = device.poll(wgpu::PollType::Poll);
    assert_eq!(
        receiver.recv_timeout(Duration::from_secs(120)),
        Ok(wgpu::DeviceLostReason::Destroyed)
    );
}

/// What is larger than the device allows is refused before anything runs, and leaves the device in
/// order.
#[test]
fn too_large_is_an_error() {
    let gpu = gpu();
    let allowed = gpu.target().max_tensor_bytes();
    let units = 1 << 16;
    let inputs = usize::try_from(allowed / 4 / units + 1).unwrap();
    let net = Sequential::new(4).dense(1);
    let small = compile_on(Kernels::Auto, &gpu, net, Loss::MeanSquaredError, Optimizer::sgd(0.05));
    if inputs < 1 << 14 {
        // The initial weights alone are drawn on the host: only where they fit it.
        let net = Sequential::new(inputs).dense_with(units as usize, Init::Zeros);
        let compile = TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05));
        let error = net.compile_blocking(&gpu, compile).map(drop).expect_err("too large");
        assert!(matches!(error, Error::Limit { .. }), "{error:?}");
        assert!(error.to_string().contains("dense_0.weight"), "{error}");
    }
    assert_eq!(small.predict_blocking(&[1.0; 4]).unwrap().len(), 1);
}
