//! What the whole-step training kernels ask of a device: dispatches, their bounds, and the choice.

use crate::common::gpu;
use crate::common::training::{article_data, article_net, compile_on};
use wgrad::nn::{Loss, Optimizer, Sequential};
use wgrad::train::{FitOptions, Kernels, Model, Residency, TrainingConfig};
use wgrad::{Counters, Error, Gpu};

fn article(gpu: &Gpu, optimizer: Optimizer, kernels: Kernels) -> Model {
    compile_on(kernels, gpu, article_net(), Loss::MeanSquaredError, optimizer)
}

fn noop() -> Gpu {
    let (device, queue) = wgpu::Device::noop(&wgpu::DeviceDescriptor::default());
    Gpu::from_device(&device, &queue)
}

/// Ten epochs of 32 batches are one dispatch; further ones create nothing.
#[test]
fn ten_epochs_are_one_dispatch() {
    let data = article_data(1000);
    let fit = |gpu: &Gpu, epochs: usize, shuffled: bool| {
        let mut model = article(gpu, Optimizer::sgd(0.05), Kernels::WholeStep);
        let before = gpu.counters();
        let fit = FitOptions::new(epochs).batch_size(32);
        let fit = if shuffled { fit.shuffle(1) } else { fit.in_order() };
        let history = model.fit_blocking(&data, fit).unwrap();
        assert_eq!(history.batch_losses.len(), 32 * epochs);
        gpu.counters() - before
    };
    for gpu in [noop(), gpu()] {
        for shuffled in [false, true] {
            let (one, ten) = (fit(&gpu, 1, shuffled), fit(&gpu, 10, shuffled));
            assert_eq!((ten.submissions, ten.dispatches, ten.bind_groups), (1, 1, 1));
            assert_eq!((one.submissions, one.dispatches, one.bind_groups), (1, 1, 1));
            assert_eq!(ten.buffers, one.buffers);
            let orders = if shuffled { 9 * 4000 } else { 0 };
            let more = Counters { pipelines: one.pipelines, ..ten };
            assert_eq!(more.bytes_uploaded - one.bytes_uploaded, 9 * 32 * 32 + orders);
            assert_eq!(more.bytes_read_back - one.bytes_read_back, 9 * 32 * 4);
            // 40 epochs have 1280 steps, and a dispatch at most 1024: 32 epochs, then 8.
            let forty = fit(&gpu, 40, shuffled);
            assert_eq!((forty.submissions, forty.dispatches), (2, 2));
        }
    }
}

#[test]
fn dispatches_are_bounded() {
    let data = article_data(1000);
    let most = |batch: usize| {
        let mut model = article(&noop(), Optimizer::sgd(0.05), Kernels::WholeStep);
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident)).unwrap();
        trainer.batches_per_submission()
    };
    assert_eq!(most(32), 1024);
    // 502 turns each of the 60,000 that a driver lets a shader make, but for loading and storing.
    assert_eq!(most(1000), 119);
    assert_eq!(most(1), 1024);
}

/// The noop device has no subgroups: tiles of 8 rows and 32 columns.
#[test]
fn turns_of_loops_in_memory_are_bounded() {
    let data = article_data(1000);
    let kernels = |widths: &[usize], batch: usize, busy: usize| {
        let net = widths.iter().fold(Sequential::new(10), |net, &units| net.dense(units).relu());
        let optimizer = Optimizer::sgd(0.05);
        let compile = TrainingConfig::new(Loss::MeanSquaredError, optimizer)
            .kernels(Kernels::WholeStepInMemory);
        let mut model = net.dense(1).compile_blocking(&noop().busy(busy), compile)?;
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident))?;
        Ok::<_, Error>(trainer.batches_per_submission())
    };
    assert_eq!(kernels(&[64], 32, 1).unwrap(), 77);
    assert_eq!(kernels(&[64, 64], 1000, 1).unwrap(), 1);
    // A dispatch per step: what bounds a submission is the time, of 13,760 multiply-adds a row.
    assert_eq!(kernels(&[64, 64], 1000, 2).unwrap(), (2 << 28) / 13_760_000);
    let error = kernels(&[2048, 2048], 1000, 1).expect_err("thirteen million turns");
    assert!(error.to_string().contains("turns of loops, at most 60000"), "{error}");
}

#[test]
fn the_choice_is_said_and_refused_with_reasons() {
    let gpu = noop();
    let data = article_data(100);
    let kernels = |net: Sequential, kernels: Kernels| {
        let compile =
            TrainingConfig::new(Loss::MeanSquaredError, Optimizer::sgd(0.05)).kernels(kernels);
        let mut model = net.compile_blocking(&gpu, compile)?;
        let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Auto))?;
        Ok::<String, Error>(trainer.kernels().into())
    };
    let said = kernels(article_net(), Kernels::Auto).unwrap();
    assert!(said.starts_with("whole-step: 97 parameters in each of 8 invocations"), "{said}");
    let said = kernels(article_net(), Kernels::General).unwrap();
    assert_eq!(said, "general: as asked for");
    let wide = || Sequential::new(10).dense(512).relu().dense(1);
    let said = kernels(wide(), Kernels::Auto).unwrap();
    assert!(said.starts_with("whole-step: numbers in memory, 8 invocations"), "{said}");
    let wider = || Sequential::new(10).dense(512).relu().dense(512).relu().dense(1);
    let softmax = || Sequential::new(10).dense(4).softmax().dense(1);
    let first = || Sequential::new(10).relu().dense(1);
    for (net, reason) in [
        (wider(), "33601 parameters"),
        (softmax(), "layer 1 (softmax)"),
        (first(), "layer 0 (relu)"),
    ] {
        let said = kernels(net.clone(), Kernels::Auto).unwrap();
        assert!(said.starts_with("general: ") && said.contains(reason), "{said}");
        let error = kernels(net.clone(), Kernels::WholeStep).expect_err(reason);
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
