//! The whole-step training kernels, with numbers in registers and in memory: against f64 loops and the
//! general kernels, over random nets, with and without subgroup operations.

use crate::common;
use crate::common::gpu;
use crate::common::random::Random;
use crate::common::training::{article_data, article_net, compile_on, weights, without_subgroups};
use crate::support::net::{Net, Unary};
use crate::support::{bits, close};
use approx::assert_relative_eq;
use wgrad::data::{Dataset, Targets};
use wgrad::nn::{LearningRateSchedule, Loss, Metric, Optimizer, Sequential};
use wgrad::train::{
    BatchLog, Callback, FitOptions, History, Kernels, Model, Residency, Signal, TrainingConfig,
    epoch_order,
};
use wgrad::{Error, Gpu};

/// Both kernels.
const WHOLE_STEP: [Kernels; 2] = [Kernels::WholeStep, Kernels::WholeStepInMemory];

fn article(gpu: &Gpu, optimizer: Optimizer, kernels: Kernels) -> Model {
    compile_on(kernels, gpu, article_net(), Loss::MeanSquaredError, optimizer)
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
        // Widths around multiples of 4, 8 and 32 invocations, and narrow ones.
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
            // Derivatives from the output, and from the input.
            let function = [Unary::Tanh, Unary::GeluTanh, Unary::Square][random.below(3)];
            net = net.activation(function);
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
            Optimizer::adamw(3e-3, 0.1).schedule(LearningRateSchedule::cosine(10, 0.1).warm_up(3)),
            Optimizer::adam(3e-3).weight_decay(0.01).clip_norm(0.5),
            Optimizer::rmsprop(1e-3).weight_decay(0.01),
            Optimizer::adagrad(1e-2).weight_decay(0.01),
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
        let mut compile = TrainingConfig::new(self.loss, self.optimizer.clone()).kernels(kernels);
        for &metric in &self.metrics {
            compile = compile.metric(metric);
        }
        let mut model = self.net.clone().compile_blocking(gpu, compile).unwrap();
        let fit = FitOptions::new(self.epochs).batch_size(self.batch);
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
        let (general, of_general) = task.train(&with, Kernels::General);
        close(&label, &general.batch_losses, &losses, BOUND, BOUND);
        close(&label, &of_general, &parameters, BOUND, BOUND);
        for kernels in WHOLE_STEP {
            let label = format!("{kernels:?}, {label}");
            let (history, found) = task.train(&with, kernels);
            close(&label, &history.batch_losses, &losses, BOUND, BOUND);
            close(&label, &found, &parameters, BOUND, BOUND);
            // Twice the same bits, and the same with the other exchange. (It is compiled anew, which is what takes
            // the time of these tests: every second net.)
            let other = seed.is_multiple_of(2).then_some(&without);
            for gpu in [Some(&with), other].into_iter().flatten() {
                let (again, same) = task.train(gpu, kernels);
                assert_eq!(bits(&again.batch_losses), bits(&history.batch_losses), "{label}");
                assert_eq!(bits(&same), bits(&found), "{label}");
            }
            for metric in &task.metrics {
                let (found, expected) = (
                    history.values(metric.name()).unwrap(),
                    general.values(metric.name()).unwrap(),
                );
                for (found, expected) in found.iter().zip(&expected) {
                    let off = (found - expected).abs();
                    assert!(
                        off <= 1e-4 * (1.0 + expected.abs()),
                        "{label}: {found}, not {expected}"
                    );
                }
                assert_eq!(found.len(), task.epochs);
            }
        }
    }
}

#[test]
fn random_nets_follow_the_reference() {
    follows(0..4);
}

#[test]
fn more_random_nets_follow_the_reference() {
    follows(4..8);
}

#[test]
#[ignore = "a minute of more cases"]
fn still_more_random_nets_follow_the_reference() {
    follows(8..24);
}

/// Invocations as GPUs have them. Without subgroup operations any device runs them.
#[test]
fn more_lanes_follow_the_reference() {
    for (invocations, seeds) in [(16, 24..25), (32, 25..26), (64, 24..25)] {
        let gpu = without_subgroups().planned_as_gpu(invocations);
        for seed in seeds {
            let task = Task::draw(seed);
            let (losses, parameters) = task.reference();
            for kernels in WHOLE_STEP {
                let label = format!("{invocations} invocations, {kernels:?}, seed {seed}");
                let compile =
                    TrainingConfig::new(task.loss, task.optimizer.clone()).kernels(kernels);
                let model = task.net.clone().compile_blocking(&gpu, compile).unwrap();
                let said = model.kernels(task.batch).unwrap();
                assert!(said.contains(&format!(
                    " {invocations} invocations, which exchange by workgroup memory"
                )));
                let (history, found) = task.train(&gpu, kernels);
                close(&label, &history.batch_losses, &losses, BOUND, BOUND);
                close(&label, &found, &parameters, BOUND, BOUND);
            }
        }
    }
}

/// Teams of a workgroup, as GPUs have them, each with rows of its own: as many as a batch has rows for.
#[test]
fn teams_follow_the_reference() {
    let with = gpu().planned_as_gpu(8);
    let without = without_subgroups().planned_as_gpu(with.target().width.unwrap());
    for seed in [25, 26, 29, 30, 33] {
        let task = Task { batch: 31, ..Task::draw(seed) };
        let label = format!("seed {seed}: {task:.0?}").chars().take(600).collect::<String>();
        let (losses, parameters) = task.reference();
        let (history, found) = task.train(&with, Kernels::WholeStep);
        close(&label, &history.batch_losses, &losses, BOUND, BOUND);
        close(&label, &found, &parameters, BOUND, BOUND);
        let (again, same) = task.train(&without, Kernels::WholeStep);
        assert_eq!(bits(&again.batch_losses), bits(&history.batch_losses), "{label}");
        assert_eq!(bits(&same), bits(&found), "{label}");
    }
}

/// The turns of a step, which are what takes its time.
#[test]
fn teams_take_fewer_turns() {
    let net = |gpu: &Gpu, batch| {
        let model = article(gpu, Optimizer::sgd(0.05), Kernels::WholeStep);
        model.whole_step_kernel(batch).unwrap().unwrap()
    };
    let wide = without_subgroups().planned_as_gpu(32);
    assert_eq!(net(&wide, 32).teams, 8);
    assert_eq!(net(&wide, 32).turns_of_step(32), 2 + 2, "two of the loop over rows");
    assert_eq!((net(&wide, 5).teams, net(&wide, 4).teams, net(&wide, 1).teams), (4, 2, 1));
}

/// The longest sums over rows.
#[test]
fn a_batch_of_many_rows_follows_the_reference() {
    let (data, optimizer) = (article_data(32_768), Optimizer::sgd(0.05));
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
    let expected = net.train(&data, 3, 32_768);
    let mut model = article(&gpu(), optimizer, Kernels::WholeStep);
    let fit = FitOptions::new(3).batch_size(32_768).in_order();
    let history = model.fit_blocking(&data, fit).unwrap();
    close("losses", &history.batch_losses, &expected, 1e-5, 1e-6);
    close("weights", &weights(&model), net.parameters(), 1e-5, 1e-5);
}

#[test]
fn the_article_net_follows_the_reference() {
    let data = article_data(1000);
    for optimizer in [Optimizer::sgd(0.05), Optimizer::adam(1e-3)] {
        // 1000 rows in one batch: the longest sums.
        for (batch, epochs) in [(32, 10), (1000, 20)] {
            let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer);
            let expected = net.train(&data, epochs, batch);
            for kernels in WHOLE_STEP {
                let mut model = article(&gpu(), optimizer.clone(), kernels);
                let fit = FitOptions::new(epochs).batch_size(batch).in_order();
                let history = model.fit_blocking(&data, fit).unwrap();
                let label = format!("{kernels:?}, batch {batch}");
                close(&label, &history.batch_losses, &expected, 1e-5, 1e-6);
                close(&label, &weights(&model), net.parameters(), 1e-5, 1e-5);
            }
        }
    }
}

/// Widths and batches at and beyond the edges of tiles, more than fit registers.
#[test]
fn wide_nets_follow_the_reference() {
    let (with, without) = (gpu(), without_subgroups());
    for (widths, loss, optimizer, batch) in [
        (vec![70, 130, 65, 3], Loss::SoftmaxCrossEntropy, Optimizer::sgd(0.02), 33),
        (vec![33, 257, 1], Loss::MeanSquaredError, Optimizer::adam(1e-3).clip_norm(0.5), 31),
        (vec![32, 64, 64, 32], Loss::Huber { delta: 0.5 }, Optimizer::nesterov(0.02, 0.9), 64),
        (vec![5, 129, 36], Loss::BinaryCrossEntropy, Optimizer::sgd(0.1).weight_decay(0.01), 97),
    ] {
        let (inputs, outputs) = (widths[0], widths[widths.len() - 1]);
        let mut net = Sequential::new(inputs).seed(9);
        for (l, &units) in widths[1..].iter().enumerate() {
            net = net.dense(units);
            if l + 2 < widths.len() {
                net = if l == 0 { net.activation(Unary::Square) } else { net.tanh() };
            }
        }
        let mut random = Random::new(batch as u64);
        let rows = 130;
        let features = random.many(rows * inputs, |r| r.uniform(-1.0, 1.0));
        let data = match loss {
            Loss::SoftmaxCrossEntropy => {
                let labels = (0..rows).map(|_| random.below(outputs) as u32).collect();
                Dataset::classification(features, inputs, labels, outputs).unwrap()
            }
            _ => {
                let targets = random.many(rows * outputs, |r| r.below(2) as f32);
                Dataset::regression(features, inputs, targets, outputs).unwrap()
            }
        };
        let task = Task {
            net,
            loss,
            optimizer,
            metrics: vec![],
            data,
            batch,
            epochs: 3,
            shuffle: Some(4),
        };
        let label = format!("{widths:?}, batch {batch}");
        let (losses, parameters) = task.reference();
        let (history, found) = task.train(&with, Kernels::WholeStepInMemory);
        close(&label, &history.batch_losses, &losses, BOUND, BOUND);
        close(&label, &found, &parameters, BOUND, BOUND);
        let (again, same) = task.train(&without, Kernels::WholeStepInMemory);
        assert_eq!(bits(&again.batch_losses), bits(&history.batch_losses), "{label}");
        assert_eq!(bits(&same), bits(&found), "{label}");
    }
}

/// Orders of several epochs lie side by side on the device; a callback wants each epoch by itself.
#[test]
fn epochs_together_are_epochs_alone() {
    struct Quiet;
    impl Callback for Quiet {}
    let data = article_data(75);
    // More epochs than orders fit a submission: 1024 steps of 19 batches each.
    for (kernels, epochs, batch) in
        WHOLE_STEP.into_iter().flat_map(|kernels| [(kernels, 3, 32), (kernels, 60, 4)])
    {
        let run = |alone: bool, residency| {
            let mut model = article(&gpu(), Optimizer::adam(1e-3), kernels);
            let mut quiet = Quiet;
            let fit = FitOptions::new(epochs).batch_size(batch).shuffle(5).residency(residency);
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

/// What goes out of registers or memory comes back into them: weights, state, steps.
#[test]
fn calls_of_fit_and_of_the_general_kernels_take_turns() {
    let data = article_data(100);
    let optimizer = || Optimizer::adam(1e-2).schedule(LearningRateSchedule::cosine(30, 0.1));
    let fit = |epochs| FitOptions::new(epochs).batch_size(32).in_order();
    let mut net = Net::new(&article_net(), Loss::MeanSquaredError, &optimizer());
    net.train(&data, 5, 32);
    let expected = net.loss_and_gradient(&data, &(0..100).collect::<Vec<_>>()).0;
    for kernels in WHOLE_STEP {
        let mut whole = article(&gpu(), optimizer(), kernels);
        whole.fit_blocking(&data, fit(5)).unwrap();
        let mut parts = article(&gpu(), optimizer(), kernels);
        for epochs in [2, 1, 2] {
            parts.fit_blocking(&data, fit(epochs)).unwrap();
            // Looking moves nothing.
            parts.evaluate_blocking(&data).unwrap();
        }
        assert_eq!(bits(&weights(&parts)), bits(&weights(&whole)));
        let evaluation = parts.evaluate_blocking(&data).unwrap();
        assert_relative_eq!(evaluation.loss, expected, epsilon = 0.0, max_relative = 1e-5);
    }
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
    for (gpu, kernels) in [gpu(), without_subgroups()]
        .into_iter()
        .flat_map(|gpu| WHOLE_STEP.map(|kernels| (gpu.clone(), kernels)))
    {
        for optimizer in rules.clone() {
            let mut model = article(&gpu, optimizer.clone(), kernels);
            let fit = FitOptions::new(3).batch_size(32).in_order();
            let error = model.fit_blocking(&data, fit).expect_err("a square of 1e60");
            let Error::NotFinite { step: 2, epoch: 1, loss: Some(loss), .. } = error else {
                panic!("{error:?}")
            };
            assert_eq!(loss, f32::INFINITY);
            assert_eq!(model.steps(), 2);
            let (first, _) = data.split_at(64).unwrap();
            let mut good = article(&gpu, optimizer.clone(), kernels);
            good.fit_blocking(&first, FitOptions::new(1).batch_size(32).in_order()).unwrap();
            assert_eq!(bits(&weights(&model)), bits(&weights(&good)), "{optimizer:?}");
            // Training goes on once the data is in order.
            model.fit_blocking(&first, FitOptions::new(1).batch_size(32).in_order()).unwrap();
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
        let fit = FitOptions::new(3).batch_size(32).in_order();
        let error = model.fit_blocking(&data, fit).expect_err("parameters beyond 1e39");
        let Error::NotFinite { step, loss: Some(loss), epoch, .. } = error else {
            panic!("{error:?}")
        };
        assert!(loss.is_finite());
        let stayed: Vec<bool> =
            weights(&model).iter().zip(&start).map(|(w, s)| w == s && *s != 0.0).collect();
        (step, epoch, stayed)
    };
    let general = run(Kernels::General);
    assert!(general.2.iter().any(|&stayed| stayed));
    for kernels in WHOLE_STEP {
        assert_eq!(run(kernels), general, "{kernels:?}");
    }
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
    for kernels in WHOLE_STEP {
        let mut model = article(&gpu(), Optimizer::sgd(0.05), kernels);
        let mut stopper = Stopper(4);
        let fit = FitOptions::new(5).batch_size(32).in_order().callback(&mut stopper);
        let history = model.fit_blocking(&data, fit).unwrap();
        assert!(history.stopped_early);
        // What is under way, the rest of the epoch, is finished.
        assert_eq!(model.steps(), 6);
    }
}
