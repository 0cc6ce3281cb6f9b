//! The resident training kernel: against f64 loops and the general kernels, over random nets, with and
//! without subgroup operations; and what it asks of a device.

mod common;
mod support;

use common::gpu;
use common::random::Random;
use support::net::{Net, Unary};
use support::{bits, close, f64s};
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{Loss, Metric, Optimizer, Schedule, Sequential};
use wgrad::train::{
    BatchLog, Callback, Compile, Fit, History, Kernels, Model, Residency, Signal, epoch_order,
};
use wgrad::{Counters, Error, Gpu};

fn article_data(rows: usize) -> Dataset {
    let features: Vec<f32> =
        (0..rows * 10).map(|i| ((i * 7919) % 1013) as f32 / 506.5 - 1.0).collect();
    let targets = features.chunks(10).map(|row| row.iter().sum::<f32>().tanh()).collect();
    Dataset::regression(features, 10, targets, 1).unwrap()
}

fn article_net() -> Sequential {
    Sequential::new(10).dense(64).relu().dense(1).seed(42)
}

fn article(gpu: &Gpu, optimizer: Optimizer, kernels: Kernels) -> Model {
    let compile = Compile::new(Loss::MeanSquaredError, optimizer).kernels(kernels);
    article_net().compile_blocking(gpu, compile).unwrap()
}

fn weights(model: &Model) -> Vec<f32> {
    model.weights_blocking().unwrap().into_iter().flat_map(|(_, values)| values).collect()
}

/// The same adapter without optional features: lanes exchange through workgroup memory.
fn without_subgroups() -> Gpu {
    let descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    let instance = wgpu::Instance::new(descriptor);
    let name = gpu().info().name.clone();
    let adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::all()));
    let adapter = adapters.into_iter().find(|adapter| adapter.get_info().name == name).unwrap();
    let (device, queue) =
        pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor::default())).unwrap();
    Gpu::from_device(&device, &queue)
}

/// A training task drawn at random.
#[derive(Debug)]
struct Task {
    net: Sequential,
    loss: Loss,
    optimizer: Optimizer,
    metrics: Vec<Metric>,
    data: Dataset,
    batch: usize,
    epochs: usize,
    shuffle: Option<u64>,
}

const ACTIVATIONS: [Option<Unary>; 10] = [
    None,
    Some(Unary::Relu),
    Some(Unary::Tanh),
    Some(Unary::Sigmoid),
    Some(Unary::LeakyRelu { slope: 0.125 }),
    Some(Unary::GeluTanh),
    Some(Unary::Relu),
    Some(Unary::Exp),
    Some(Unary::Square),
    Some(Unary::Abs),
];

const LOSSES: [Loss; 6] = [
    Loss::MeanSquaredError,
    Loss::SoftmaxCrossEntropy,
    Loss::MeanAbsoluteError,
    Loss::Huber { delta: 0.5 },
    Loss::SoftmaxCrossEntropyProbabilities,
    Loss::BinaryCrossEntropy,
];

impl Task {
    fn draw(seed: u64) -> Self {
        let mut random = Random::new(1000 + seed);
        // Widths around multiples of 4, 8 and 32 lanes, and narrow ones.
        let widths = [1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 31, 33];
        let loss = LOSSES[seed as usize % LOSSES.len()];
        let inputs = widths[random.below(widths.len())];
        let hidden = (seed as usize / 2) % 4;
        let mut net = Sequential::new(inputs).seed(seed);
        for _ in 0..hidden {
            // Wide layers one after another are more than registers hold.
            net = net.dense(widths[random.below(if hidden > 2 { 8 } else { widths.len() })]);
            if let Some(function) = ACTIVATIONS[random.below(ACTIVATIONS.len())] {
                net = net.activation(function);
            }
        }
        let outputs = match loss {
            Loss::SoftmaxCrossEntropy | Loss::SoftmaxCrossEntropyProbabilities => {
                2 + random.below(9)
            }
            _ => 1 + random.below(5),
        };
        net = net.dense(outputs);
        let regression =
            matches!(loss, Loss::MeanSquaredError | Loss::MeanAbsoluteError | Loss::Huber { .. });
        if regression && random.below(2) == 0 {
            net = net.tanh();
        }
        let rows = 20 + random.below(30);
        let features = random.many(rows * inputs, |r| r.uniform(-1.0, 1.0));
        let data = match loss {
            Loss::SoftmaxCrossEntropy => {
                let labels = (0..rows).map(|_| random.below(outputs) as u32).collect();
                Dataset::classification(features, inputs, labels, outputs).unwrap()
            }
            Loss::SoftmaxCrossEntropyProbabilities => {
                let targets = common::cases::probabilities(&mut random, rows, outputs);
                Dataset::regression(features, inputs, targets, outputs).unwrap()
            }
            Loss::BinaryCrossEntropy => {
                let targets = random.many(rows * outputs, |r| r.below(2) as f32);
                Dataset::regression(features, inputs, targets, outputs).unwrap()
            }
            _ => {
                let targets = random.many(rows * outputs, |r| r.uniform(-1.0, 1.0));
                Dataset::regression(features, inputs, targets, outputs).unwrap()
            }
        };
        let optimizers = [
            Optimizer::sgd(0.02),
            Optimizer::sgd(0.02).weight_decay(0.1).clip_norm(0.3),
            Optimizer::momentum(0.01, 0.9),
            Optimizer::nesterov(0.01, 0.8).weight_decay(0.01),
            Optimizer::adam(3e-3),
            Optimizer::adamw(3e-3, 0.1).schedule(Schedule::cosine(10, 0.1).warm_up(3)),
            Optimizer::adam(3e-3).weight_decay(0.01).clip_norm(0.5),
        ];
        let metrics = match loss {
            _ if seed.is_multiple_of(3) => vec![],
            _ if regression => vec![Metric::MeanAbsoluteError, Metric::RSquared],
            _ => vec![Metric::Accuracy],
        };
        Task {
            net,
            loss,
            optimizer: optimizers[random.below(optimizers.len())].clone(),
            metrics,
            data,
            batch: [1, 2, 7, 8, 13, rows, 1000][random.below(7)],
            epochs: 2,
            shuffle: (random.below(2) == 0).then_some(seed),
        }
    }

    fn train(&self, gpu: &Gpu, kernels: Kernels) -> (History, Vec<f32>) {
        let mut compile = Compile::new(self.loss, self.optimizer.clone()).kernels(kernels);
        for &metric in &self.metrics {
            compile = compile.metric(metric);
        }
        let mut model = self.net.clone().compile_blocking(gpu, compile).unwrap();
        let fit = Fit::new(self.epochs).batch_size(self.batch);
        let fit = match self.shuffle {
            Some(seed) => fit.shuffle(seed),
            None => fit.in_order(),
        };
        let history = model.fit_blocking(&self.data, fit).unwrap();
        (history, weights(&model))
    }

    fn reference(&self) -> (Vec<f64>, Vec<f64>) {
        let mut net = Net::new(&self.net, self.loss, &self.optimizer);
        let rows = self.data.rows();
        let losses = (0..self.epochs as u64).flat_map(|epoch| {
            let order: Vec<usize> = match self.shuffle {
                Some(seed) => {
                    epoch_order(rows, seed, epoch).into_iter().map(|row| row as usize).collect()
                }
                None => (0..rows).collect(),
            };
            net.epoch(&self.data, &order, self.batch.min(rows))
        });
        let losses = losses.collect();
        (losses, net.parameters().to_vec())
    }
}

/// Roundings of a hundred steps at most, each of sums of at most 50 · 33 terms near 1. Adam divides by
/// roots of small squares, which makes them larger.
const BOUND: f64 = 5e-5;

fn follows(seeds: impl Iterator<Item = u64>) {
    let (with, without) = (gpu(), without_subgroups());
    for seed in seeds {
        let task = Task::draw(seed);
        let label = format!("seed {seed}: {task:.0?}").chars().take(600).collect::<String>();
        let (losses, parameters) = task.reference();
        let (history, found) = task.train(&with, Kernels::Resident);
        close(&label, &history.batch_losses, &losses, BOUND, BOUND);
        close(&label, &found, &parameters, BOUND, BOUND);
        // Twice the same bits, and the same with the other exchange.
        for gpu in [&with, &without] {
            let (again, same) = task.train(gpu, Kernels::Resident);
            assert_eq!(bits(&again.batch_losses), bits(&history.batch_losses), "{label}");
            assert_eq!(bits(&same), bits(&found), "{label}");
        }
        let (general, of_general) = task.train(&with, Kernels::General);
        close(&label, &history.batch_losses, &f64s(&general.batch_losses), BOUND, BOUND);
        close(&label, &found, &f64s(&of_general), BOUND, BOUND);
        for metric in &task.metrics {
            let (found, expected) = (history.values(metric.name()), general.values(metric.name()));
            for (found, expected) in found.iter().zip(&expected) {
                let off = (found - expected).abs();
                assert!(off <= 1e-4 * (1.0 + expected.abs()), "{label}: {found}, not {expected}");
            }
            assert_eq!(found.len(), task.epochs);
        }
    }
}

#[test]
fn random_nets_follow_the_reference() {
    follows(0..12);
}

#[test]
fn more_random_nets_follow_the_reference() {
    follows(12..24);
}

#[test]
fn the_article_net_follows_the_reference() {
    let data = article_data(1000);
    for optimizer in [Optimizer::sgd(0.05), Optimizer::adam(1e-3)] {
        let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
        let expected = net.train(&data, 10, 32);
        let mut model = article(&gpu(), optimizer.clone(), Kernels::Resident);
        let history = model.fit_blocking(&data, Fit::new(10).batch_size(32).in_order()).unwrap();
        close("losses", &history.batch_losses, &expected, 1e-5, 1e-6);
        close("weights", &weights(&model), net.parameters(), 1e-5, 1e-5);
        // 1000 rows in one batch: the longest sums.
        let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
        let expected = net.train(&data, 20, 1000);
        let mut model = article(&gpu(), optimizer, Kernels::Resident);
        let history = model.fit_blocking(&data, Fit::new(20).full_batch().in_order()).unwrap();
        close("losses", &history.batch_losses, &expected, 1e-5, 1e-6);
        close("weights", &weights(&model), net.parameters(), 1e-5, 1e-5);
    }
}

/// Orders of several epochs lie side by side on the device; a callback wants each epoch by itself.
#[test]
fn epochs_together_are_epochs_alone() {
    struct Quiet;
    impl Callback for Quiet {}
    let data = article_data(75);
    // More epochs than orders fit a submission: 1024 steps of 19 batches each.
    for (epochs, batch) in [(3, 32), (60, 4)] {
        let run = |alone: bool, residency| {
            let mut model = article(&gpu(), Optimizer::adam(1e-3), Kernels::Resident);
            let mut quiet = Quiet;
            let fit = Fit::new(epochs).batch_size(batch).shuffle(5).residency(residency);
            let fit = if alone { fit.callback(&mut quiet) } else { fit };
            let history = model.fit_blocking(&data, fit).unwrap();
            assert_eq!(model.steps() as usize, epochs * 75usize.div_ceil(batch));
            (bits(&weights(&model)), bits(&history.batch_losses))
        };
        let together = run(false, Residency::Resident);
        assert_eq!(together, run(true, Residency::Resident));
        assert_eq!(together, run(false, Residency::Streamed));
    }
}

/// What goes out of registers comes back into them: weights, state, steps.
#[test]
fn calls_of_fit_and_of_the_general_kernels_take_turns() {
    let data = article_data(100);
    let optimizer = || Optimizer::adam(1e-2).schedule(Schedule::cosine(30, 0.1));
    let fit = |epochs| Fit::new(epochs).batch_size(32).in_order();
    let mut whole = article(&gpu(), optimizer(), Kernels::Resident);
    whole.fit_blocking(&data, fit(5)).unwrap();
    let mut parts = article(&gpu(), optimizer(), Kernels::Resident);
    for epochs in [2, 1, 2] {
        parts.fit_blocking(&data, fit(epochs)).unwrap();
        // Looking moves nothing.
        parts.evaluate_blocking(&data).unwrap();
    }
    assert_eq!(bits(&weights(&parts)), bits(&weights(&whole)));
    let evaluation = parts.evaluate_blocking(&data).unwrap();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer());
    net.train(&data, 5, 32);
    let expected = net.loss_and_gradient(&data, &(0..100).collect::<Vec<_>>()).0;
    assert!((evaluation.loss - expected).abs() <= 1e-5 * expected);
}

/// One target overflows the loss: that step and those after it, in the same dispatch and in later
/// ones, move nothing.
#[test]
fn nothing_moves_from_the_first_bad_step_on() {
    let (features, width, targets) = article_data(160).into_parts();
    let Targets::Values { data: mut values, .. } = targets else { panic!("values") };
    values[70] = 1e30;
    let data = Dataset::regression(features, width, values, 1).unwrap();
    let rules = [
        Optimizer::sgd(0.05),
        Optimizer::momentum(0.05, 0.9).clip_norm(1.0),
        Optimizer::adam(1e-2),
    ];
    for gpu in [gpu(), without_subgroups()] {
        for optimizer in rules.clone() {
            let mut model = article(&gpu, optimizer.clone(), Kernels::Resident);
            let fit = Fit::new(3).batch_size(32).in_order();
            let error = model.fit_blocking(&data, fit).expect_err("a square of 1e60");
            let Error::NotFinite { step: 2, epoch: 1, loss } = error else { panic!("{error:?}") };
            assert_eq!(loss, f32::INFINITY);
            assert_eq!(model.steps(), 2);
            let (first, _) = data.split_at(64).unwrap();
            let mut good = article(&gpu, optimizer.clone(), Kernels::Resident);
            good.fit_blocking(&first, Fit::new(1).batch_size(32).in_order()).unwrap();
            assert_eq!(bits(&weights(&model)), bits(&weights(&good)), "{optimizer:?}");
            // Training goes on once the data is in order.
            model.fit_blocking(&first, Fit::new(1).batch_size(32).in_order()).unwrap();
            assert_ne!(bits(&weights(&model)), bits(&weights(&good)));
        }
    }
}

/// The same weights keep their values as with the general kernels, and the step is the same.
#[test]
fn overflowing_parameters_stop_training_alike() {
    let (features, width, targets) = article_data(64).into_parts();
    let Targets::Values { data: values, .. } = targets else { panic!("values") };
    let values = values.iter().map(|t| 1000.0 * t).collect();
    let data = Dataset::regression(features, width, values, 1).unwrap();
    let run = |kernels| {
        let mut model = article(&gpu(), Optimizer::momentum(1e37, 0.5), kernels);
        let start = weights(&model);
        let fit = Fit::new(3).batch_size(32).in_order();
        let error = model.fit_blocking(&data, fit).expect_err("parameters beyond 1e39");
        let Error::NotFinite { step, epoch, loss } = error else { panic!("{error:?}") };
        assert!(loss.is_finite());
        let stayed: Vec<bool> =
            weights(&model).iter().zip(&start).map(|(w, s)| w == s && *s != 0.0).collect();
        (step, epoch, stayed)
    };
    let resident = run(Kernels::Resident);
    assert!(resident.2.iter().any(|&stayed| stayed));
    assert_eq!(resident, run(Kernels::General));
}

#[test]
fn a_callback_stops_training() {
    struct Stopper(u64);
    impl Callback for Stopper {
        fn on_batch_end(&mut self, log: &BatchLog) -> Signal {
            if log.step == self.0 { Signal::Stop } else { Signal::Continue }
        }
    }
    let data = article_data(80);
    let mut model = article(&gpu(), Optimizer::sgd(0.05), Kernels::Resident);
    let mut stopper = Stopper(4);
    let fit = Fit::new(5).batch_size(32).in_order().callback(&mut stopper);
    let history = model.fit_blocking(&data, fit).unwrap();
    assert!(history.stopped_early);
    // What is under way, the rest of the epoch, is finished.
    assert_eq!(model.steps(), 6);
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
        let mut model = article(gpu, Optimizer::sgd(0.05), Kernels::Resident);
        let before = gpu.counters();
        let fit = Fit::new(epochs).batch_size(32);
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
        let model = article(&noop(), Optimizer::sgd(0.05), Kernels::Resident);
        let trainer = pollster::block_on(model.trainer(&data, batch, Residency::Resident)).unwrap();
        trainer.batches_per_submission()
    };
    assert_eq!(most(32), 1024);
    // 501 turns each of the 60,000 that a driver lets a shader make, but for loading and storing.
    assert_eq!(most(1000), 119);
    assert_eq!(most(1), 1024);
}

#[test]
fn the_choice_is_said_and_refused_with_reasons() {
    let gpu = noop();
    let data = article_data(100);
    let kernels = |net: Sequential, kernels: Kernels| {
        let compile = Compile::new(Loss::MeanSquaredError, Optimizer::sgd(0.05)).kernels(kernels);
        let model = net.compile_blocking(&gpu, compile)?;
        let trainer = pollster::block_on(model.trainer(&data, 32, Residency::Auto))?;
        Ok::<String, Error>(trainer.kernels().into())
    };
    let said = kernels(article_net(), Kernels::Auto).unwrap();
    assert!(said.starts_with("resident: 97 parameters in each of 8 lanes"), "{said}");
    let said = kernels(article_net(), Kernels::General).unwrap();
    assert_eq!(said, "general: as asked for");
    let wide = || Sequential::new(10).dense(512).relu().dense(1);
    let softmax = || Sequential::new(10).dense(4).softmax().dense(1);
    let first = || Sequential::new(10).relu().dense(1);
    for (net, reason) in
        [(wide(), "769 parameters"), (softmax(), "layer 1 (softmax)"), (first(), "layer 0 (relu)")]
    {
        let said = kernels(net.clone(), Kernels::Auto).unwrap();
        assert!(said.starts_with("general: ") && said.contains(reason), "{said}");
        let error = kernels(net, Kernels::Resident).expect_err(reason);
        assert!(matches!(error, Error::Argument { .. }), "{error:?}");
        assert!(error.to_string().contains(reason), "{error}");
    }
}
